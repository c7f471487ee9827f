"""Segmentation of organs and tumours in CT and MR volumes with a 2D Keras U-Net."""

__version__ = "0.1.0"
