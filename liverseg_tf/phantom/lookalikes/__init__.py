"""Structures that look like lesions but are not, in the organs of real patients."""
