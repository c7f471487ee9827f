"""How challenges and frameworks score."""
