"""Volumes: voxels, where they lie in the patient, and the files that hold them."""
