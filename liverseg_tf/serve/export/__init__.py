"""Exports of a run: SavedModel, LiteRT, ONNX."""
