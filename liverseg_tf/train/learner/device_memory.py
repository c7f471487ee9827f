"""The error of a device without enough memory."""

from liverseg_tf.errors import LiverSegError


def out_of_memory() -> LiverSegError:
    """Return the error to raise if a training step needs more memory than the device has."""
    return LiverSegError(
        "The device has not enough memory for this training: lower --batch-size, "
        "--base-filters or --context, or use --patch 2. `train --dry-run` prints the "
        "memory that a run needs."
    )
