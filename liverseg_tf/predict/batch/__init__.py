"""Prediction of many images."""
