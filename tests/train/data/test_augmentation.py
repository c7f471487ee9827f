import os
import subprocess
import sys

import numpy as np
import pytest

from liverseg_tf.choices import TRANSFORMS
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.train.data import draws
from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.draws import BatchDraws
from liverseg_tf.train.data.mask_codes import MaskCodes
from liverseg_tf.train.data.region_maps import region_groups
from liverseg_tf.train.settings import TrainSettings

GROUPS = region_groups(MaskCodes(LIVER_REGIONS).table)


def _augment(image, mask, **settings):
    settings = TrainSettings(seed=1, **settings)
    draws = BatchDraws(settings, len(image), image.shape[1:3], image.shape[3] // settings.context)
    return tuple(map(np.asarray, augment_batch(image, mask, draws.draw(0), GROUPS)))


def _disc(count=16, size=96):
    y, x = np.mgrid[:size, :size]
    mask = ((y - 40) ** 2 / 500 + (x - 55) ** 2 / 250 < 1).astype(np.uint8)
    return np.tile(mask[None, ..., None], (count, 1, 1, 1))


def test_image_and_mask_move_together():
    mask = _disc(32)
    image, moved = (values[..., 0] for values in _augment(mask * 200, mask, mirror=True))
    for tile, labels, before in zip(image, moved, mask[..., 0], strict=True):
        assert (labels != before).any()
        # contrast and gamma keep the order of grey values, so the edge is halfway between them
        middle = (np.median(tile[labels == 1]) + np.median(tile[labels == 0])) / 2
        segmented = tile > middle
        dice = 2 * (segmented & (labels == 1)).sum() / (segmented.sum() + labels.sum())
        assert dice > 0.93


def test_tiles_are_moved_differently_and_strength_0_changes_nothing():
    mask = _disc()
    _, moved = _augment(mask * 200, mask)
    assert len({labels.tobytes() for labels in moved}) == len(mask)
    image, moved = _augment(mask * 200, mask, augment=0.0)
    np.testing.assert_array_equal(moved, mask)
    np.testing.assert_allclose(image, mask * 200.0, atol=0.01)


def test_intensities_stay_in_range_and_masks_stay_labels():
    mask = _disc() * 2
    noise = np.random.default_rng(0).integers(0, 256, (*mask.shape[:3], 3), np.uint8)
    image, moved = _augment(noise, mask, augment=3.0)
    assert image.shape == noise.shape
    assert image.dtype == np.float32
    assert moved.dtype == np.uint8
    assert 0 <= image.min() < image.max() <= 255
    assert set(np.unique(moved)) <= {0, 2}


def test_noise_reaches_its_fraction_of_the_tiles():
    flat = np.full((600, 8, 8, 1), 128, np.uint8)
    image, _ = _augment(flat, np.zeros_like(flat))
    noisy = image[:, 3:5, 3:5, 0].std(axis=(1, 2)) > 0.3
    assert noisy.mean() == pytest.approx(draws.NOISE_PROBABILITY, abs=0.08)


@pytest.mark.parametrize("context", [1, 3])
def test_all_transforms_keep_the_range_and_only_the_spatial_ones_move_the_mask(context):
    names = TRANSFORMS if context > 1 else tuple(n for n in TRANSFORMS if n != "thick-slices")
    rng = np.random.default_rng(0)
    mask = _disc(8, 48)
    image = rng.integers(0, 256, (*mask.shape[:3], 2 * context), np.uint8)
    regions = Regions({"liver": [1, 2]})
    options = {"transforms": names, "context": context, "augment": 2.0, "regions": regions}
    found, moved = _augment(image, mask, **options)
    assert 0 <= found.min() < found.max() <= 255
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(moved, _augment(image, mask, augment=2.0, context=context)[1])
    options["transforms"] = tuple(n for n in names if n not in ("affine", "elastic"))
    np.testing.assert_array_equal(_augment(image, mask, **options)[1], mask)


_ON_JAX = """
import sys
import numpy as np
from liverseg_tf.choices import TRANSFORMS
from liverseg_tf.ct.regions import Regions
from liverseg_tf.train.data.compilation import compile_function
from liverseg_tf.train.data.augmentation import augment_batch
from liverseg_tf.train.data.draws import BatchDraws
from liverseg_tf.train.settings import TrainSettings
tiles = np.load(sys.argv[1])
regions = Regions({"liver": [1]})
settings = TrainSettings(seed=5, mirror=True, context=3, transforms=TRANSFORMS, regions=regions)
draws = BatchDraws(settings, len(tiles), tiles.shape[1:3])
groups = np.arange(256, dtype=np.int32)
image, mask = compile_function(lambda *batch: augment_batch(*batch, groups))(
    tiles, tiles[..., :1] // 64, draws.draw(3)
)
assert "tensorflow" not in sys.modules
np.savez(sys.argv[2], image=image, mask=mask)
"""


@pytest.mark.slow
def test_jax_makes_the_same_images_without_importing_tensorflow(tmp_path):
    pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (32, 40, 56, 3), np.uint8)
    np.save(tmp_path / "tiles.npy", tiles)
    subprocess.run(
        [sys.executable, "-c", _ON_JAX, tmp_path / "tiles.npy", tmp_path / "jax.npz"],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    made = np.load(tmp_path / "jax.npz")
    regions = Regions({"liver": [1]})
    settings = TrainSettings(seed=5, mirror=True, context=3, transforms=TRANSFORMS, regions=regions)
    drawn = BatchDraws(settings, len(tiles), tiles.shape[1:3]).draw(3)
    for chosen in (*drawn[-7:-1], drawn.region_convolution.chosen):
        assert chosen.applies.any()
    image, mask = augment_batch(tiles, tiles[..., :1] // 64, drawn, np.arange(256, dtype=np.int32))
    np.testing.assert_allclose(made["image"] / 255, np.asarray(image) / 255, atol=1e-4)
    np.testing.assert_array_equal(made["mask"], mask)
