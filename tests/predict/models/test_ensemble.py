from dataclasses import fields, replace

import numpy as np
import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor, combine_networks


class ColumnNumbers:
    """Output that changes under mirroring: the tile times its column and row numbers."""

    def __init__(self, bright):
        self.network, self.postprocessing = bright.network, bright.postprocessing
        self.fingerprint, self.calls = "edge", 0

    def probabilities(self, tiles):
        self.calls += 1
        rows, cols = np.indices(tiles.shape[1:3])
        return (tiles * (cols + 10 * rows)[..., None]).repeat(2, -1).astype(np.float32)


def test_mirrored_predictions_are_mirrored_back_and_averaged(bright_is_liver):
    predictor = ColumnNumbers(bright_is_liver())
    tiles = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 1), np.uint8)
    averaged = MirroredPredictor(predictor)
    probabilities = averaged.probabilities(tiles)
    assert predictor.calls == 2
    rows = np.indices((4, 6))[0]
    np.testing.assert_allclose(probabilities[..., 1], tiles[..., 0] * (2.5 + 10 * rows), rtol=1e-6)
    np.testing.assert_allclose(np.mean(averaged.passes(tiles), axis=0), probabilities)


def test_mirroring_does_not_change_a_symmetric_model(bright_is_liver):
    tiles = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 1), np.uint8)
    plain = bright_is_liver().probabilities(tiles)
    probabilities = MirroredPredictor(bright_is_liver()).probabilities(tiles)
    np.testing.assert_array_equal(probabilities, plain)


def test_an_ensemble_is_the_mean_and_keeps_common_steps(bright_is_liver):
    one, two, edge = bright_is_liver(stride=16), bright_is_liver(stride=24), bright_is_liver()
    one.postprocessing = PostProcessing(largest=("liver",), fill_3d=("liver",))
    two.postprocessing = PostProcessing(largest=("liver",))
    together = Ensemble([one, two])
    assert together.network.stride == 48
    assert together.postprocessing == two.postprocessing
    tiles = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1), np.uint8)
    np.testing.assert_allclose(
        Ensemble([one, ColumnNumbers(edge)]).probabilities(tiles),
        (one.probabilities(tiles) + ColumnNumbers(edge).probabilities(tiles)) / 2,
    )


DIFFERENT = {
    "context": 3,
    "context_spacing_mm": 5.0,
    "regions": Regions({"spleen": (1,)}),
    "tiles": None,
}


def test_a_difference_is_known_for_every_field_but_the_stride():
    assert {field.name for field in fields(NetworkSpec)} == {*DIFFERENT, "stride"}


def test_the_context_spacing_of_single_slices_does_not_matter():
    one = NetworkSpec(context=1)
    assert combine_networks([one, replace(one, context_spacing_mm=5.0)]) == one


@pytest.mark.parametrize(("name", "other"), DIFFERENT.items())
def test_models_with_different_specifications_are_refused(name, other, bright_is_liver):
    context = 5 if name == "context_spacing_mm" else 1
    one, two = bright_is_liver(context=context), bright_is_liver(context=context)
    other = other or replace(two.network.tiles, spacing_mm=2.0)
    two.network = replace(two.network, **{name: other})
    with pytest.raises(SettingsError, match=f"Expected models with the same {name}"):
        Ensemble([one, two])
