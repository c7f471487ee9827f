"""A training run from the first step to the finished run folder."""
