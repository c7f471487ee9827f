"""Batches of augmented tiles."""
