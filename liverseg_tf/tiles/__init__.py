"""Stage 1: from volumes to a store of 2D tiles, and back."""
