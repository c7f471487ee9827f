"""Conversion of the network: what int8 is calibrated with."""

from types import SimpleNamespace

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.export import convert
from liverseg_tf.tiles.spec import TileSpec


@pytest.mark.parametrize(("slice_mm", "slice_step"), [(5.0, 1), (2.5, 2), (1.0, 5)])
def test_calibration_tiles_have_the_context_that_the_network_was_trained_with(
    monkeypatch, slice_mm, slice_step
):
    network = NetworkSpec(TileSpec(tile_shape=(16, 16)), LIVER_REGIONS, 3, 4, 5.0)
    image = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 1), np.uint8)
    case = SimpleNamespace(image=image, slice_mm=slice_mm)
    store = SimpleNamespace(
        check_spec=lambda spec: None, split={"train": ["a"]}, read=lambda name: case
    )
    monkeypatch.setattr(convert.TileStore, "open", lambda folder: store)
    tiles = list(convert.calibration_tiles("store", network))
    assert len(tiles) == 64
    for z, tile in enumerate(tiles):
        np.testing.assert_array_equal(tile[0], network.stack(image, z, slice_step))
