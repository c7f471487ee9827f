"""DICOM over the network: listener, queries and sending."""
