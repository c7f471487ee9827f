"""One training step, on TensorFlow, JAX or PyTorch."""
