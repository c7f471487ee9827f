"""Synthetic patients: CT and MR volumes with masks."""
