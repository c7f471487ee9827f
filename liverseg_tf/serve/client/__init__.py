"""A client for models on a server; it needs no TensorFlow."""
