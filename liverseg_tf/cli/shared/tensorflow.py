"""TensorFlow's import: fast kernels on, its start-up talk off the screen."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from liverseg_tf.errors import LiverSegError


def import_tensorflow() -> None:
    """Import TensorFlow with oneDNN (twice the speed on AVX2 processors) and without its lines.

    Keras imports matplotlib where it is installed, to draw galleries; that takes longer than the
    masks of a small CT, and is left out.

    GPUs lend their memory as it is needed, so that others can use the rest.

    Without a GPU, operations run one after another, each on all cores: that is as fast, and the
    same seed gives the same weights, which operations beside each other do not.

    What the user has set in the environment stays. Lines that its C++ parts print are shown
    only where the import fails.

    Raises:
        LiverSegError: when TensorFlow can't be imported.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as talk:
        screen = os.dup(2)
        os.dup2(talk.fileno(), 2)
        try:
            with _without("matplotlib"):
                import tensorflow as tf

            # looking for a GPU makes TensorFlow talk, hence here
            gpus = tf.config.list_physical_devices("GPU")
            with suppress(RuntimeError):  # it is at work already, as it was set up
                for gpu in gpus:
                    tf.config.experimental.set_memory_growth(gpu, True)
                if not gpus:
                    tf.config.threading.set_inter_op_parallelism_threads(1)
        except Exception as error:
            talk.seek(0)
            os.write(screen, talk.read())
            raise LiverSegError(f"Expected TensorFlow to import. Received: {error}.") from error
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)


@contextmanager
def _without(package: str) -> Iterator[None]:
    """For imports that can do without a package; later imports find it."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]
