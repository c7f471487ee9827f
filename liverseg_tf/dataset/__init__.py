"""Data sets: which cases they hold, how cases are read, and the split by patient."""
