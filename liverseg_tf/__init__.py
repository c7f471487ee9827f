"""Liver and tumour segmentation of CT volumes with 2D slices, in Keras."""

__version__ = "0.1.0"
