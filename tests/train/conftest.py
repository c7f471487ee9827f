"""A small store of blobs, cut in a moment."""

import dataclasses

import numpy as np
import pytest

from liverseg_tf.ct.volume import Volume
from liverseg_tf.tiles.case import cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore


def blob_case(seed: int) -> tuple[Volume, Volume]:
    """A bright ellipse (1) with a dark core (2) in the middle slices of noise."""
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
def blob_store(tmp_path):
    """Four cases: two to train on, one each for validation and test."""
    store = TileStore(tmp_path / "store", TileSpec(spacing_mm=2.0, tile_shape=(48, 48)))
    records = {}
    for seed in range(4):
        tiles = cut_tiles(*blob_case(seed), store.spec)
        store.write(f"case_{seed}", tiles)
        records[f"case_{seed}"] = tiles.record
    split = {"train": ["case_0", "case_1"], "val": ["case_2"], "test": ["case_3"]}
    store = dataclasses.replace(store, cases=records, split=split)
    store.save()
    return TileStore.open(store.folder)
