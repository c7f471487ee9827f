import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.tuning.validation_masks import THRESHOLDS, predict_validation_masks
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

SPEC = TileSpec(spacing_mm=None, tile_shape=None)


class GreyValueModel:
    """Predicts the grey value as the probability of the liver, and its square for the tumour."""

    def __init__(self, context=1, context_spacing_mm=None):
        self.network = NetworkSpec(SPEC, LIVER_REGIONS, context, 4, context_spacing_mm)
        self.postprocessing, self.fingerprint = PostProcessing(), "grey"
        self.stacks = []

    def probabilities(self, tiles):
        self.stacks.append(tiles)
        liver = tiles[..., self.network.context // 2].astype(np.float32) / 255
        return np.stack([liver, liver**2], axis=-1)


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    image = Volume(rng.integers(-300, 400, (5, 12, 10)).astype(np.int16), np.diag([-1, -1, 2.0, 1]))
    labels = rng.integers(0, 3, (5, 12, 10)).astype(np.uint8)
    tiles = cut_tiles(image, Volume(labels, image.affine), SPEC)
    store = TileStore(tmp_path / "s", SPEC).create()
    store.write("a", tiles)
    return store


def test_masks_are_thresholded_probabilities(store):
    (validation,) = predict_validation_masks(GreyValueModel(), store, ["a"])
    case = store.read("a")
    values = np.asarray(case.image)[..., 0].astype(np.float32) / 255
    for threshold in THRESHOLDS:
        masks = validation.masks_above((threshold, 0.3))
        np.testing.assert_array_equal(masks.bits & 1 == 1, values > threshold)
        np.testing.assert_array_equal(masks.bits & 2 == 2, values**2 > 0.3)
    assert masks.grid.spacing_mm == (2.0, 1.0, 1.0)


def test_dice_is_computed_from_the_label_map(store):
    (validation,) = predict_validation_masks(GreyValueModel(), store, ["a"])
    case = store.read("a")
    truth = np.asarray(case.mask)
    labels = validation.masks_above((0.5, 0.5)).labels().array
    for region, least in enumerate((1, 2)):
        a, b = labels >= least, truth >= least
        expected = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert validation.dice(validation.masks_above((0.5, 0.5)))[region] == pytest.approx(
            expected
        )


def test_context_slices_have_the_spacing_of_the_network(store):
    model = GreyValueModel(3, context_spacing_mm=4.0)
    list(predict_validation_masks(model, store, ["a"]))
    image = np.asarray(store.read("a").image)[..., 0]
    for z in range(5):
        for channel, neighbour in enumerate((max(z - 2, 0), z, min(z + 2, 4))):
            np.testing.assert_array_equal(model.stacks[0][z, :12, :10, channel], image[neighbour])
