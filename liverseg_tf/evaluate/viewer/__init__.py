"""The interactive viewer page."""
