"""A server with a model that is a threshold, so that no test needs a framework."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.server.app import create_app
from liverseg_tf.serve.server.models import Model
from liverseg_tf.serve.server.service import Service
from liverseg_tf.tiles.spec import TileSpec


class BrightRegions:
    """A model that finds what is bright: the liver above grey value 120, a tumour above 200."""

    network = NetworkSpec(TileSpec(spacing_mm=None, tile_shape=None), LIVER_REGIONS, 1, 4)
    postprocessing = PostProcessing(largest=("liver",))
    fingerprint = "bright"

    def __init__(self):
        self.before_batch = lambda: None

    def probabilities(self, tiles):
        self.before_batch()
        grey = tiles[..., :1].astype(np.float32)
        return np.concatenate([grey > 120, grey > 200], axis=-1).astype(np.float32) * 0.9


@pytest.fixture
def bright():
    return BrightRegions()


@pytest.fixture
def make_ct():
    """A function: seed to a CT whose bright parts differ with the seed."""

    def make(seed=0, shape=(6, 24, 28)):
        rng = np.random.default_rng(seed)
        array = np.full(shape, -1000, np.int16)
        array[:, 3:-3, 3:-3] = rng.integers(-60, -20, array[:, 3:-3, 3:-3].shape)
        array[1:5, 6:18, 6 : 14 + seed % 4] = rng.integers(60, 90, (4, 12, 8 + seed % 4))
        array[2:4, 8:12, 8:11] = rng.permutation(np.arange(186, 210)).reshape(2, 4, 3)
        affine = np.diag([-0.8, -0.9, 5.0, 1.0])
        affine[:3, 3] = 11.5, 12.25, -40 + seed
        return Volume(array, affine)

    return make


@pytest.fixture
def make_client(tmp_path, bright):
    """A function: studies and options of `Service.create` to a client and its service."""
    opened = []

    def make(found, mirrored=False, headers=None, **options):
        models = [Model("bright", bright, mirrored)]

        def load(name, run, version):
            return Model(name, bright, mirrored, run, version)

        service = Service.create(models, load, found, tmp_path / "out", **options)
        client = TestClient(
            create_app(service), raise_server_exceptions=False, headers=headers or {}
        )
        opened.append(client)
        client.__enter__()
        return client, service

    yield make
    for client in opened:
        client.__exit__(None, None, None)
