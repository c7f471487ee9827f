"""Files of a predicted case."""
