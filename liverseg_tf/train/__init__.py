"""Stage 2: from a store of tiles to a trained run."""
