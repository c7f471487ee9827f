"""`model.keras` of a bundle: checked without running it, and stored in half precision.

A bundle comes from somebody else. Keras' own safe mode refuses code in the file; this module also
refuses whatever a network of image layers does not need: layers that read files, further members,
weights that refer to other files, and sizes that the file does not have.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.printable import printable

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"
_MEMBERS = {WEIGHTS, CONFIG, METADATA}
_MAX_CONFIG_BYTES = 16 << 20
_MAX_OBJECTS = 20_000  # groups and arrays of weights
_MAX_DEPTH = 16
_LAYER_NAMES = """
    Activation Add AlphaDropout Average AveragePooling2D BatchNormalization Concatenate Conv2D
    Conv2DTranspose Cropping2D Dense DepthwiseConv2D Dropout ELU GaussianDropout GaussianNoise
    GlobalAveragePooling2D GlobalMaxPooling2D GroupNormalization Identity InputLayer
    LayerNormalization LeakyReLU MaxPooling2D Maximum Minimum Multiply Normalization PReLU Permute
    ReLU Rescaling Reshape SeparableConv2D Softmax SpatialDropout2D Subtract UpSampling2D
    ZeroPadding2D
"""
_LAYERS = frozenset(_LAYER_NAMES.split())
# parts of layers, and operations: pure computations, whatever they are called
_MODULES = {
    *("keras.initializers", "keras.regularizers", "keras.constraints", "keras.dtype_policies"),
    *("keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.math"),
}
_OTHERS = {
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    ("keras.src.models.sequential", "Sequential"),
    ("keras", "Functional"),
    ("keras", "Sequential"),
    (None, "__keras_tensor__"),
}


def check_keras_file(path: Path) -> None:
    """Check that a file is a network of Keras' image layers with plain weights.

    Nothing of it is run, and Keras is not imported.

    Args:
        path: `model.keras`.

    Raises:
        LiverSegError: If it is damaged, or holds anything else.
    """
    config, weights = _read_members(Path(path).read_bytes())
    _check_config(config)
    for _, array in _walk(weights):
        _check_array(array, len(weights))


def repack_model(content: bytes, half: bool) -> bytes:
    """Write a model without times and without the configuration of its training.

    Args:
        content: `model.keras`.
        half: Whether kernels are stored as float16, half of the bytes; Keras loads them as
            float32. Vectors (biases, the statistics of normalisation) stay as they are: they are
            small, and variances may be below the range of float16.

    Returns:
        The same model; a kernel beyond the range of float16 stays as it is.

    Raises:
        LiverSegError: If it is no file of Keras.
    """

    def shrink(values: np.ndarray) -> np.ndarray:
        if not half or values.ndim < 2 or values.dtype != np.float32:
            return values
        with np.errstate(over="ignore"):
            halved = values.astype(np.float16)
        return halved if np.isfinite(halved).all() else values

    config, weights = _read_members(content)
    target = io.BytesIO()
    with h5py.File(io.BytesIO(weights), "r") as old, h5py.File(target, "w") as new:
        _copy(old, new, shrink)
    metadata = {"keras_version": _keras_version(content), "date_saved": "1980-01-01@00:00:00"}
    plain = {key: value for key, value in config.items() if key != "compile_config"}
    members = {
        METADATA: json.dumps(metadata).encode(),
        CONFIG: json.dumps(plain).encode(),
        WEIGHTS: target.getvalue(),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # without times, so that it has one checksum
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return packed.getvalue()


def _read_members(content: bytes) -> tuple[dict, bytes]:
    """Return the configuration and the weights of a model."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            names = [info.orig_filename for info in infos]
            if sorted(names) != sorted(_MEMBERS):
                raise _error(f"the members {', '.join(map(printable, names))[:200] or 'none'}")
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise _error("compressed members")
            if any(info.file_size > len(content) for info in infos):
                raise _error("members that are larger than the file")
            parts = {name: archive.read(name) for name in names}
        if len(parts[CONFIG]) > _MAX_CONFIG_BYTES:
            raise _error("a configuration that is too large")
        config = json.loads(parts[CONFIG])
    except LiverSegError:
        raise
    except Exception as error:  # zipfile and json raise errors of many classes for damaged files
        raise _error(f"a damaged file ({printable(first_line(error))[:200]})") from error
    if not isinstance(config, dict):
        raise _error("a configuration that is no object")
    return config, parts[WEIGHTS]


def _keras_version(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return str(json.loads(archive.read(METADATA)).get("keras_version", ""))


def _check_config(config: dict) -> None:
    """Check that a configuration names only classes that compute."""
    waiting: list[Any] = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value or "module" in value:
                _check_class(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_class(value: dict) -> None:
    module, name = value.get("module"), value.get("class_name")
    registered = value.get("registered_name")
    if registered in (None, name) and (
        (module == "keras.layers" and name in _LAYERS)
        or (isinstance(module, str) and module in _MODULES and isinstance(name, str))
        or (isinstance(name, str) and (module, name) in _OTHERS)
    ):
        return
    raise _error(
        f"{printable(module)[:80]}.{printable(name)[:80]}, which a bundle must not contain: keep "
        "such a model as a run"
    )


def _walk(weights: bytes) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield all arrays of a file of weights; links to other places are refused."""
    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            waiting: list[tuple[h5py.Group, str, int]] = [(file, "", 0)]
            count = 0
            while waiting:
                group, place, depth = waiting.pop()
                for name in group:
                    count += 1
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        raise _error("weights that refer to another place")
                    if count > _MAX_OBJECTS or depth > _MAX_DEPTH:
                        raise _error("weights in too many groups")
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        waiting.append((item, f"{place}/{name}", depth + 1))
                    elif isinstance(item, h5py.Dataset):
                        yield f"{place}/{name}", item
                    else:
                        raise _error("weights that are no arrays")
    except LiverSegError:
        raise
    except Exception as error:  # h5py raises errors of many classes for damaged files
        raise _error(f"damaged weights ({printable(first_line(error))[:200]})") from error


def _check_array(array: h5py.Dataset, size: int) -> None:
    """Check that an array lies in the file as it is: no filters, no other files."""
    if array.external or array.is_virtual or array.chunks is not None:
        raise _error("weights that are compressed or in another file")
    if array.dtype.kind not in "fiu" or array.nbytes > size:
        raise _error("weights that are no numbers, or more than the file has")
    if array.nbytes and not array.id.get_storage_size():
        raise _error("weights that are missing")


def _copy(old: h5py.Group, new: h5py.Group, convert) -> None:
    for key, value in old.attrs.items():
        new.attrs[key] = value
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            _copy(item, new.create_group(name), convert)
        else:
            copied = new.create_dataset(name, data=convert(item[()]))
            for key, value in item.attrs.items():
                copied.attrs[key] = value


def _error(received: str) -> LiverSegError:
    return LiverSegError(
        f"Expected a network of Keras' image layers in model.keras. Received {received}."
    )
