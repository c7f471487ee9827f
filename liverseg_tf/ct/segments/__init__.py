"""Masks with named segments: DICOM-SEG, RTSTRUCT and the segmentations of 3D Slicer."""
