"""A DICOM node: receives series, segments them and sends the results."""
