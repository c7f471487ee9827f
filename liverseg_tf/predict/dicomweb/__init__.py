"""Images from an archive, and results to it, over DICOMweb."""
