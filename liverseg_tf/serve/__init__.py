"""From a trained run to a model server, and its client."""
