"""Check of what a model of foreign origin computed: a server, or an exported file."""

import numpy as np

from liverseg_tf.errors import LiverSegError


def check_probabilities(values: np.ndarray, shape: tuple[int, ...], source: str) -> None:
    """Check that values are probabilities of the tiles that were sent.

    Args:
        values: Output of a model.
        shape: Expected shape, (batch, h, w, regions).
        source: File or address of the model, for messages.

    Raises:
        LiverSegError: If the values have another shape or type than float32, or are not numbers
            from 0 to 1. NaN would become background without a word.
    """
    if values.shape != shape or values.dtype != np.float32:
        raise LiverSegError(
            f"Expected probabilities of shape {shape} from {source}. "
            f"Received {values.dtype} of shape {values.shape}."
        )
    lowest, highest = values.min(), values.max()  # NaN if any value is NaN
    if not (lowest >= 0 and highest <= 1):
        raise LiverSegError(
            f"Expected probabilities from 0 to 1 from {source}. Received {lowest:g} to {highest:g}."
        )
