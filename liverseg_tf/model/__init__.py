"""What a trained model is, without running it."""
