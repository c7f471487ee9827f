"""Exports of small, untrained networks."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.model.run_record import compute_model_checksum
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.serve.export.export_run import ExportSettings, export_run
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.network.unet import UNetSpec, build_unet
from liverseg_tf.train.session.run_folder import RunFolder

NETWORKS = {
    "liver": NetworkSpec(TileSpec(spacing_mm=3.0), LIVER_REGIONS, 1, 4),
    "five slices, two windows": NetworkSpec(
        TileSpec((Window(25, 450), Window(60, 150)), spacing_mm=2.0), LIVER_REGIONS, 5, 4, 8.0
    ),
    "native": NetworkSpec(TileSpec(spacing_mm=None), Regions({"spleen": (3,)}), 3, 4),
    "percentiles": NetworkSpec(
        TileSpec(percentiles=PercentileRange(), spacing_mm=1.3), LIVER_REGIONS, 1, 4
    ),
}
# further settings of the U-Net
UNET_SETTINGS = {
    "five slices, two windows": {"residual": True, "patch": 2, "depth": 1},
    "native": {"attention": True, "normalisation": "instance"},
}
POSTPROCESSING = {"native": {"threshold": [["spleen", 0.45]]}}
SLOW = ("native", "percentiles", "demo")


class Served(NamedTuple):
    """A run, its predictor, the folder of its export, and the loaded export."""

    run: Path
    local: RunPredictor
    folder: Path
    loaded: object  # this reference keeps the variables alive

    @classmethod
    def load(cls, run, folder):
        return cls(run, RunPredictor(run, "float32"), folder, tf.saved_model.load(folder))

    def call(self, signature, inputs):
        given = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self.loaded.signatures[signature](**given)
        return {name: value.numpy() for name, value in outputs.items()}


def make_run(folder, kind, **sections):
    """Write an untrained run whose probabilities are spread around 0.5."""
    network = NETWORKS[kind]
    keras.utils.set_random_seed(0)
    run = RunFolder.create(folder)
    split = {"train": ["patient_a"], "val": [], "test": []}
    run.write_record(network, store={"split": split}, result={}, **sections)
    depth = network.stride.bit_length() - 1
    spec = UNetSpec(network.channels, network.regions.names, 4, depth)
    model = build_unet(replace(spec, **UNET_SETTINGS.get(kind, {})))
    tiles = np.random.default_rng(0).integers(0, 256, (4, 64, 64, network.channels))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # not `predict`, which traces each of these models
            inputs = np.asarray(keras.Model(model.input, layer.input)(tiles))
            layer.moving_mean.assign(inputs.mean(axis=(0, 1, 2)))
            layer.moving_variance.assign(inputs.var(axis=(0, 1, 2)))
    run.save_model(model)
    return folder


def _spread_probabilities(run):
    """Spread the probabilities of a briefly trained run around 0.5, as in `make_run`."""
    model = keras.models.load_model(run / "model.keras", compile=False)
    last = model.get_layer("logits")
    # several noise levels, because resampling of coarse or fine pixels reduces noise differently
    levels = np.linspace(10, 120, 8)[:, None, None, None]
    noise = np.random.default_rng(0).normal(127, levels, (8, 64, 64, model.input_shape[-1]))
    logits = np.asarray(keras.Model(model.input, last.output)(noise.clip(0, 255)))
    kernel, bias = last.get_weights()
    median, deviation = np.median(logits, axis=(0, 1, 2)), logits.std(axis=(0, 1, 2))
    last.set_weights([2 * kernel / deviation, 2 * (bias - median) / deviation])
    model.save(run / "model.keras")
    record = json.loads((run / "run.json").read_text())
    record["result"]["checksum"] = compute_model_checksum(run)
    (run / "run.json").write_text(json.dumps(record))


@pytest.fixture(scope="session")
def export_cache():
    """The exports that this process has loaded, by kind."""
    return {}


@pytest.fixture(
    params=[
        pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ())
        for kind in (*NETWORKS, "demo")
    ],
)
def served(request, export_cache, make_once):
    """A run and its export, of each kind of network."""
    kind = request.param
    if kind == "liver":
        return request.getfixturevalue("served_liver")
    if kind not in export_cache:
        folder = make_once(f"served {kind}", lambda folder: _export(request, folder))
        export_cache[kind] = Served.load(folder / "run", folder / "out" / "model" / "1")
    return export_cache[kind]


def _export(request, folder):
    if request.param == "demo":
        run = shutil.copytree(request.getfixturevalue("demo")[0] / "run", folder / "run")
        _spread_probabilities(run)
    else:
        steps = POSTPROCESSING.get(request.param, {})
        run = make_run(folder / "run", request.param, postprocessing=steps)
    export_run(run, folder / "out", ExportSettings("model", 1))


@pytest.fixture(scope="session")
def served_liver(liver_exports):
    """A run of one window and slice, and its export."""
    return Served.load(*liver_exports)


@pytest.fixture(scope="session")
def liver_exports(make_once):
    """A run, and the folder of its SavedModel. LiteRT and ONNX files are in `folder.parents[1]`.

    Tests must not change them.
    """

    def export(folder):
        run = make_run(folder / "run", "liver", postprocessing={"largest": ["liver"]})
        settings = ExportSettings("liver", 1, litert=("float16",), onnx=True)
        export_run(run, folder / "out", settings)

    folder = make_once("liver", export)
    return folder / "run", folder / "out" / "liver" / "1"


@pytest.fixture
def liver_copy(liver_exports, tmp_path):
    """A copy of the folder of the models, which tests may change."""
    return shutil.copytree(liver_exports[1].parents[1], tmp_path / "out")


@pytest.fixture(scope="session")
def slice_inputs():
    """A function: volume and network to the inputs of hu_slices, one batch of all slices."""

    def make(image, network):
        canonical = to_canonical(image)
        stack = NetworkSpec(regions=network.regions, context=network.context).stack
        slice_step = network.slice_step(canonical.spacing_mm[0])
        array = np.ascontiguousarray(canonical.array)
        inputs = {
            "slices": np.stack([stack(array[..., None], z, slice_step) for z in range(len(array))]),
            "spacing_mm": np.tile(canonical.spacing_mm[1:], (len(array), 1)),
        }
        if network.tiles.percentiles is not None:
            window = network.tiles.percentiles.window_of(array)
            ends = (window.lower_hu, window.upper_hu)
            inputs["window"] = np.tile(ends, (len(array), 1))
        return inputs

    return make
