"""The server for 3D Slicer and OHIF, which speaks the protocol of MONAI Label."""
