"""Structures that look like lesions and are none, in the organs of real patients."""
