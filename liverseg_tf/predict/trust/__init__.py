"""When not to trust a mask: scores against the Dice of unseen cases, and calibration."""
