import io
import zipfile

import h5py
import numpy as np
import pytest
from bundles import CONFIG, keras_file

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.bundle.keras_file import check_keras_file, repack_model


def _layer(module="keras.layers", name="Lambda", **entries):
    return {**CONFIG, "config": {"layers": [{"module": module, "class_name": name, **entries}]}}


def _external(file):
    file.create_dataset("x", (4,), np.float32, external=[("/etc/hostname", 0, 16)])


def _compressed(file):
    file.create_dataset("x", data=np.zeros(10**6, np.float32), compression="gzip")


def _missing(file):
    file.create_dataset("x", (10,), np.float32)


def _deep(file):
    file.create_group("/".join("abcdefghijklmnopqrstuvwxyz"))


HOSTILE = {
    "Lambda": keras_file(_layer()),
    "TFSMLayer": keras_file(_layer(name="TFSMLayer", config={"filepath": "/tmp/x"})),
    "TextVectorization": keras_file(_layer(name="TextVectorization")),
    "os.system": keras_file(_layer("os", "system")),
    "another place": keras_file(edit=lambda file: file.__setitem__("x", h5py.SoftLink("/layers"))),
    "refer to": keras_file(edit=lambda f: f.__setitem__("x", h5py.ExternalLink("b.h5", "/"))),
    "in another file": keras_file(edit=_external),
    "compressed": keras_file(edit=_compressed),
    "are missing": keras_file(edit=_missing),
    "too many groups": keras_file(edit=_deep),
    "evil.py": keras_file(**{"evil.py": b"import os"}),
    "no numbers": keras_file(edit=lambda file: file.__setitem__("x", b"text")),
    "damaged": keras_file()[:-40],
    "renamed": keras_file(_layer(name="Conv2D", registered_name="renamed>Conv2D")),
    "Conv2D": keras_file(_layer("my.layers", "Conv2D")),
}


@pytest.mark.parametrize("found", HOSTILE)
def test_what_is_no_network_of_image_layers_is_refused(found, tmp_path):
    (tmp_path / "model.keras").write_bytes(HOSTILE[found])
    with pytest.raises(LiverSegError, match=r"^Expected a network of Keras' image layers") as error:
        check_keras_file(tmp_path / "model.keras")
    assert "\n" not in str(error.value)
    if found != "renamed":
        assert found in str(error.value)


def test_kernels_become_float16_and_vectors_stay(tmp_path):
    content = keras_file({**CONFIG, "compile_config": {"loss": "mine"}})
    halved = repack_model(content, half=True)
    assert halved == repack_model(content, half=True)
    (tmp_path / "model.keras").write_bytes(halved)
    check_keras_file(tmp_path / "model.keras")
    with zipfile.ZipFile(io.BytesIO(halved)) as archive:
        assert b"mine" not in archive.read("config.json")
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert weights["layers/conv/vars/0"].dtype == np.float16
    np.testing.assert_array_equal(weights["layers/conv/vars/1"], np.float32([1e-9, 2.0]))


def test_kernels_beyond_float16_stay():
    huge = keras_file(edit=lambda f: f.__setitem__("x", np.full((2, 2), 1e6, np.float32)))
    with zipfile.ZipFile(io.BytesIO(repack_model(huge, half=True))) as archive:
        assert h5py.File(io.BytesIO(archive.read("model.weights.h5")))["x"].dtype == np.float32
