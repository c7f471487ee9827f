"""Stage 3: segmentation of volumes with a trained model."""

from liverseg_tf.predict.api import segment

__all__ = ["segment"]
