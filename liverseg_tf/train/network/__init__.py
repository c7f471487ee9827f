"""The U-Net, its encoders and its losses."""
