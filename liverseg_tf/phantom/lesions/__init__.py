"""Synthetic lesions in the organs of real patients."""
