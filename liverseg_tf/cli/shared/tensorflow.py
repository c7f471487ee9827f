"""The import of TensorFlow, with fast kernels and without its start-up messages.

With another Keras backend, training and the prediction with runs neither need TensorFlow nor import
it, and its settings here, such as the number of threads, do not apply.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder

from liverseg_tf.choices import BACKENDS
from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.printable import printable


def import_backend() -> None:
    """Import Keras with its backend: TensorFlow, or that of the variable KERAS_BACKEND.

    Raises:
        LiverSegError: If the backend cannot be imported.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        import_tensorflow()
        return
    if backend not in BACKENDS:
        raise LiverSegError(
            f"Expected the variable KERAS_BACKEND to be one of {', '.join(BACKENDS)}. Received "
            f"{printable(backend)}."
        )
    _HiddenTensorFlow.install()
    try:
        with _hidden("matplotlib"):
            import keras  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            f"Keras cannot be imported with the backend {backend} ({first_line(error)}). Install "
            f"it with pip install 'liverseg_tf[{backend}]'."
        ) from error


def import_tensorflow() -> None:
    """Import TensorFlow and configure it. Environment variables that are set are respected.

    - oneDNN is enabled, which doubles the speed on processors with AVX2.
    - Messages of its C++ code are shown only if the import fails.
    - GPU memory is allocated as needed, so that other programs can use the rest.
    - Without a GPU, operations run one after another, each on all cores. This is as fast as
      running them in parallel, and only then does a seed determine the weights.
    - matplotlib is hidden from Keras, which would import it if it is installed. Importing it
      takes longer than predicting the masks of a small CT.

    Raises:
        LiverSegError: If TensorFlow cannot be imported.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _HiddenTensorFlow.remove()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as messages:
        stderr = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            with _hidden("matplotlib"):
                import tensorflow as tf

            # TensorFlow also prints messages when it looks for GPUs
            gpus = tf.config.list_physical_devices("GPU")
            with suppress(RuntimeError):  # TensorFlow was used before and cannot be configured
                for gpu in gpus:
                    tf.config.experimental.set_memory_growth(gpu, True)
                if not gpus:
                    tf.config.threading.set_inter_op_parallelism_threads(1)
        except Exception as error:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise LiverSegError(
                f"TensorFlow cannot be imported ({first_line(error)}). Install it again. Training "
                "and the prediction with runs need none with KERAS_BACKEND=jax or torch."
            ) from error
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


class _HiddenTensorFlow(MetaPathFinder):
    """Lets TensorFlow appear not to be installed: Keras imports it to save a model if it is."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError("TensorFlow is not needed", name=fullname)
        return None

    @classmethod
    def install(cls) -> None:
        if "tensorflow" not in sys.modules:
            cls.remove()
            sys.meta_path.insert(0, cls())

    @classmethod
    def remove(cls) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, cls)]


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Hide an optional package from imports in the block; later imports find it."""
    if package in sys.modules:
        yield
        return
    # None stops the import system; the stubs do not know this
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
