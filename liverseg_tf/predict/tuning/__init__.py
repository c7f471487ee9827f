"""Thresholds and post-processing chosen on held-out cases."""
