"""Model bundles: a trained model with its card, its licence and a self-test, without patients."""
