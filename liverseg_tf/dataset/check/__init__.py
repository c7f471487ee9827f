"""Checks of a data set before hours are spent on it."""
