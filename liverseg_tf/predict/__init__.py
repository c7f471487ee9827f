"""Stage 3: from slices to masks."""

from liverseg_tf.predict.api import segment

__all__ = ["segment"]
