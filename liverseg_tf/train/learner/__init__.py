"""One training step, on TensorFlow or JAX."""
