"""A model bundle that is made without Keras: its network does not compute anything."""

import hashlib
import io
import json
import zipfile

import h5py
import numpy as np

from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE, FORMAT, KIND, MEMBERS
from liverseg_tf.model.spec import NetworkSpec

CONFIG = {"module": "keras", "class_name": "Functional", "config": {"layers": []}}


def make_folder(folder, name="tiny", **changes):
    """Write an unpacked bundle; `changes` replace entries of its record or, as bytes, its files."""
    folder.mkdir(parents=True)
    image = np.zeros((2, 8, 8), np.int16)
    write_volume(folder / "self_test_image.nii.gz", Volume(image, np.diag([1.0, 1, 5, 1])))
    labels = Volume(image.astype(np.uint8), np.diag([1.0, 1, 5, 1]))
    write_labels(folder / "self_test_mask.nii.gz", labels)
    (folder / "README.md").write_text('---\nlicense: "mit"\n---\n# tiny 1.0\n\nA card.\n')
    (folder / "LICENSE.txt").write_text("The model tiny is licensed under MIT.\n")
    files = {key: value for key, value in changes.items() if isinstance(value, bytes)}
    model = files.pop("model", None) or keras_file()
    (folder / "model.keras").write_bytes(model)
    run = {
        "format": 1,
        "network": NetworkSpec(regions=LIVER_REGIONS).to_json(),
        "store": {"split": {"train": [], "val": [], "test": []}},
        "result": {"checksum": hashlib.blake2b(model, digest_size=16).hexdigest()},
    }
    (folder / "run.json").write_text(json.dumps(run))
    record = {
        "kind": KIND,
        "format": FORMAT,
        "name": name,
        "version": "1.0",
        "trained_on": "nothing.",
        "licence": "MIT",
        "attribution": "",
        "regions": ["liver", "tumour"],
        "modality": "CT",
        "weights": "float32",
        "members": {member: describe(folder / member) for member in MEMBERS},
        "self_test": {"min_dice": 0.98, "max_difference": 0.01, "probabilities": {}},
    }
    record |= {key: value for key, value in changes.items() if not isinstance(value, bytes)}
    (folder / BUNDLE_FILE).write_text(json.dumps(record))
    return folder


def describe(path):
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def keras_file(config=CONFIG, edit=lambda file: None, **members):
    """The bytes of a model; `edit` changes its weights, and `members` are further members."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/conv/vars/0"] = np.linspace(-1, 1, 36, dtype=np.float32).reshape(3, 3, 2, 2)
        file["layers/conv/vars/1"] = np.float32([1e-9, 2.0])
        edit(file)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def zip_folder(folder, path, edit=lambda archive: None):
    """Pack the files of a folder; `edit` may add members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
        edit(archive)
    return path
