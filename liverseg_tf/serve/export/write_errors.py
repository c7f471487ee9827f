"""TensorFlow's errors while files are written, as errors of one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from liverseg_tf.errors import LiverSegError, first_line


@contextmanager
def as_write_errors(target: Path) -> Iterator[None]:
    """Turn TensorFlow's errors, such as that of a full disk, into one line.

    Args:
        target: What is being written.

    Raises:
        LiverSegError: If TensorFlow raises an error.
    """
    try:
        yield
    except tf.errors.OpError as error:
        full = isinstance(error, tf.errors.ResourceExhaustedError)
        reason = "No space left on device" if full else first_line(error)
        raise LiverSegError(f"Expected to write {target}. Received: {reason}.") from error
