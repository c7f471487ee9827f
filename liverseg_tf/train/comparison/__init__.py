"""Comparison of runs: what they were trained with, and what they reached."""
