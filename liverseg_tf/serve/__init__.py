"""From a trained run to a model server."""
