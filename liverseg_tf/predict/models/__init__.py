"""Models that predict: runs, exports, ensembles."""
