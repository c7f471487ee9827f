"""DICOM series: find them, order their slices, read their pixels."""
