"""What a run will do and see: estimates and pictures."""
