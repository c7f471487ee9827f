"""Settings for a data set and a machine: the fingerprint of the data, and the rules from it."""
