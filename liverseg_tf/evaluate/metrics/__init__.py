"""Scores of one pair of masks."""
