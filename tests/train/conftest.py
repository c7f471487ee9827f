"""A small store of synthetic cases, and a comparison of one and two replicas."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.ct.volume import Volume
from liverseg_tf.tiles.case_record import annotation_entry
from liverseg_tf.tiles.case_tiles import CaseTiles, cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore


def blob_case(seed: int) -> tuple[Volume, Volume]:
    """A bright ellipsoid (label 1) with a dark core (label 2) in the middle slices, and noise."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((10, 40, 40), np.uint8)
    z, y, x = np.mgrid[:10, :40, :40]
    row, col = rng.uniform(15, 25, 2)
    distance = ((y - row) / 10) ** 2 + ((x - col) / 8) ** 2 + ((z - 5) / 4) ** 2
    labels[distance < 1] = 1
    labels[distance < 0.1] = 2
    values = np.array([-80, 120, 20])[labels] + rng.normal(0, 15, labels.shape)
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    return Volume(values.astype(np.int16), affine), Volume(labels, affine)


@pytest.fixture
def blob_store(tmp_path, make_blob_store):
    """A store of four cases: two for training, one for validation and one for testing."""
    return make_blob_store(tmp_path)


@pytest.fixture(scope="session")
def make_blob_store():
    """A function: folder to the `blob_store` in it."""
    return _make_blob_store


def _make_blob_store(folder):
    store = TileStore(folder / "store", TileSpec(spacing_mm=2.0, tile_shape=(48, 48)))
    records = {}
    for seed in range(4):
        tiles = cut_tiles(*blob_case(seed), store.spec)
        store.write(f"case_{seed}", tiles)
        records[f"case_{seed}"] = tiles.record
    split = {"train": ["case_0", "case_1"], "val": ["case_2"], "test": ["case_3"]}
    store = dataclasses.replace(store, cases=records, split=split)
    store.save()
    return TileStore.open(store.folder)


@pytest.fixture(scope="session")
def annotate():
    """A function: store and the annotations of some cases to the store with them."""

    def annotate(store, **annotations):
        records = dict(store.cases)
        for name, annotation in annotations.items():
            tiles = store.read(name)
            record = tiles.record | {"annotation": annotation.to_json()}
            arrays = (np.array(tiles.image), np.array(tiles.mask))
            dataclasses.replace(store, cases={}).write(name, CaseTiles(*arrays, record))
            records[name] = record
        dataclasses.replace(store, cases=records).save()
        return TileStore.open(store.folder)

    return annotate


@pytest.fixture(scope="session")
def list_slices():
    """A function: store and the labelled slices of some cases to the store with these cut again."""

    def list_slices(store, **lists):
        records = dict(store.cases)
        for name, text in lists.items():
            annotation = Annotation(None, 255, SliceList.parse(text), ignored_is_chosen=True)
            tiles = cut_tiles(*blob_case(int(name[-1])), store.spec, annotation)
            tiles.record.update(annotation_entry(annotation))
            dataclasses.replace(store, cases={}).write(name, tiles)
            records[name] = tiles.record
        dataclasses.replace(store, cases=records).save()
        return TileStore.open(store.folder)

    return list_slices


@pytest.fixture
def eager():
    """Run steps without tracing them, which is faster for about ten steps."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


_COMPARE_REPLICAS = """
import dataclasses, json
import numpy as np
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.hosts import Hosts, this_host
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.train.learner.tensorflow_learner import TensorFlowLearner

# not AdamW: it would turn the rounding errors of gradients that are 0 into full steps
settings = TrainSettings(
    loss="dice-ce",
    base_filters=4, depth=2, batch_size=4, seed=3, deep_supervision=2, optimizer="sgd",
    ema_decay=0.0
)
rng = np.random.default_rng(0)
image = rng.integers(0, 256, (6, 4, 16, 16, 1)).astype(np.float32)
truth = np.concatenate([image > 100, image > 200], axis=-1).astype(np.int8)
truth[:, 1, ..., 1], truth[:, 2, :5] = -1, -1  # not labelled: more of the first replica's voxels
hosts = Hosts(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
losses, weights = {}, {}
for name, members in (("one", this_host()), ("two", hosts)):
    learner = TensorFlowLearner(NetworkSpec(stride=4), settings, Hardware(), members)
    def make(shards):
        tiles = 4 // shards.total
        data = tf.data.Dataset.from_tensor_slices((image, truth))
        return iter(data.unbatch().batch(tiles))
    batches = zip(range(6), learner.batches(make))
    losses[name] = [float(learner.step(*batch, 1e-2)) for _, batch in batches]
    weights[name] = [np.asarray(v) for v in learner.components.model.trainable_variables]
difference = max(float(np.abs(a - b).max()) for a, b in zip(weights["one"], weights["two"]))
print(json.dumps(losses | {"weights": difference, "replicas": hosts.local_replicas}))
"""


@pytest.fixture(scope="session")
def replica_comparison():
    """Losses of one and of two replicas on the same batches, and the difference of the weights.

    They come from a separate process, in which the CPU counts as two devices.
    """
    done = subprocess.run(
        [sys.executable, "-c", _COMPARE_REPLICAS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
