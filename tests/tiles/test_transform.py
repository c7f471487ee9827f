import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liverseg_tf.ct.intensity import PercentileRange, Window, to_uint8
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.transform import TileTransform

NATIVE = TileSpec(spacing_mm=None, tile_shape=None)


def ct(shape=(3, 40, 50), body=None, spacing=0.8):
    array = np.full(shape, -1000, np.int16)
    body = (slice(None),) * 3 if body is None else body
    array[body] = np.random.default_rng(0).integers(-150, 200, array[body].shape)
    return Volume(array, np.diag([-spacing, -spacing, 5, 1]))


def random_labels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)


def spec(tile_shape, spacing_mm=None, **fields):
    return TileSpec(tile_shape=tile_shape, spacing_mm=spacing_mm, **fields)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_tiles_larger_than_the_slice_restore_it(shape, margin, seed):
    tile_shape = tuple(max(16, n + m) for n, m in zip(shape, margin, strict=True))
    volume = ct((2, *shape))
    transform = TileTransform.for_volume(volume, spec(tile_shape))
    labels = random_labels((2, *shape), seed)
    tiles = transform.mask_to_tiles(labels)
    assert tiles.shape == (2, *tile_shape)
    np.testing.assert_array_equal(transform.mask_to_native(tiles), labels)
    values = np.random.default_rng(seed).random((2, *tile_shape)).astype(np.float32)
    at = [slice(-o, -o + n) for o, n in zip(transform.origin, shape, strict=True)]
    np.testing.assert_array_equal(transform.values_to_native(values), values[:, at[0], at[1]])


@given(st.tuples(st.integers(16, 60), st.integers(16, 60)), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_cropped_tiles_restore_what_they_contain(tile_shape, seed):
    body = (slice(None), slice(20, 60), slice(5, 45))
    volume = ct((2, 70, 66), body)
    transform = TileTransform.for_volume(volume, spec(tile_shape))
    labels = random_labels((2, 70, 66), seed)
    tiles = transform.mask_to_tiles(labels)
    back = transform.mask_to_native(tiles)
    rows, cols = (
        slice(max(o, 0), o + n) for o, n in zip(transform.origin, transform.shape, strict=True)
    )
    inside = np.zeros((70, 66), bool)
    inside[rows, cols] = True
    np.testing.assert_array_equal(back[:, inside], labels[:, inside])
    assert not back[:, ~inside].any()
    for origin, tile, length in zip(transform.origin, transform.shape, (70, 66), strict=True):
        assert 0 <= origin <= length - tile or (tile >= length and origin <= 0)


def test_tiles_are_centred_on_the_body():
    body = (slice(None), slice(60, 80), slice(10, 30))
    volume = ct((4, 100, 100), body)
    transform = TileTransform.for_volume(volume, spec((32, 32)))
    assert abs(transform.origin[0] + 16 - 70) <= 1
    assert abs(transform.origin[1] + 16 - 20) <= 1
    coarse = TileTransform.for_volume(volume, spec((16, 16), 1.6))
    assert abs(coarse.origin[0] + 8 - 35) <= 1
    assert abs(coarse.origin[1] + 8 - 10) <= 1


def test_a_table_at_the_edge_does_not_move_the_tile():
    body = (slice(None), slice(30, 70), slice(30, 70))
    volume = ct((4, 100, 100), body)
    volume.array[:, 98, 50:53] = 500
    transform = TileTransform.for_volume(volume, spec((48, 48)))
    assert abs(transform.origin[0] + 24 - 50) <= 1


def test_an_image_of_air_only_is_cut_at_its_centre():
    volume = Volume(np.full((2, 60, 80), -1000, np.int16), np.eye(4))
    assert TileTransform.for_volume(volume, spec((20, 20))).origin == (20, 30)


def test_small_slices_are_padded_with_zero():
    transform = TileTransform.for_volume(ct((2, 20, 30)), spec((32, 48)))
    assert transform.origin == (-6, -9)
    tiles = transform.image_to_tiles(np.full((2, 20, 30), 3000, np.int16))
    assert tiles.shape == (2, 32, 48, 1)
    assert (tiles[:, 6:26, 9:39] == 255).all()
    assert tiles.sum(dtype=int) == 255 * 2 * 20 * 30


def test_native_whole_slices_only_get_the_window():
    volume = ct()
    transform = TileTransform.for_volume(volume, NATIVE)
    window = NATIVE.windows[0]
    np.testing.assert_array_equal(
        transform.image_to_tiles(volume.array)[..., 0], to_uint8(volume.array, window)
    )
    assert transform.shape == (40, 50)


def test_each_window_is_a_channel():
    both = (Window(25, 450), Window(100, 2000))
    volume = ct()
    tiles = TileTransform.for_volume(volume, spec(None, windows=both)).image_to_tiles(volume.array)
    for channel, window in enumerate(both):
        np.testing.assert_array_equal(tiles[..., channel], to_uint8(volume.array, window))


def test_slabs_do_not_change_the_result():
    volume = ct((70, 20, 20))
    transform = TileTransform.for_volume(volume, spec((16, 16), 1.1))
    whole = transform.image_to_tiles(volume.array)
    for z in (0, 31, 32, 33, 63, 64, 69):
        np.testing.assert_array_equal(
            transform.image_to_tiles(volume.array[z : z + 1])[0], whole[z]
        )


def test_padding_does_not_darken_the_skin():
    volume = ct((1, 40, 40))
    padded, air = volume.array.copy(), volume.array.copy()
    padded[:, :18], air[:, :18] = -3024, -1024
    transform = TileTransform.for_volume(volume, spec(None, 1.5, windows=(Window(0, 2000),)))
    np.testing.assert_array_equal(transform.image_to_tiles(padded), transform.image_to_tiles(air))


def test_percentiles_are_computed_per_volume():
    mr = Volume(np.arange(2 * 30 * 30, dtype=np.float32).reshape(2, 30, 30), np.eye(4))
    transform = TileTransform.for_volume(mr, spec((16, 16), percentiles=PercentileRange(1, 99)))
    (window,) = transform.windows
    assert (window.lower_hu, window.upper_hu) == pytest.approx(
        np.percentile(mr.array[mr.array > 0], (1, 99))
    )
    brighter = Volume(mr.array * 10, np.eye(4))
    again = TileTransform.for_volume(brighter, spec((16, 16), percentiles=PercentileRange(1, 99)))
    difference = again.image_to_tiles(brighter.array).astype(int) - transform.image_to_tiles(
        mr.array
    )
    assert np.abs(difference).max() <= 1
    flat = Volume(np.full((2, 30, 30), 7.0), np.eye(4))
    with pytest.raises(LiverSegError, match="contrast"):
        TileTransform.for_volume(flat, spec(None, percentiles=PercentileRange()))


@given(st.floats(0.5, 1.2), st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_smooth_labels_survive_coarse_tiles(spacing, seed):
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:140, :150]
    liver = (rows - rng.uniform(60, 80)) ** 2 + (cols - rng.uniform(60, 90)) ** 2 < 45**2
    labels = liver[None].astype(np.uint8)
    transform = TileTransform.for_volume(ct((1, 140, 150), spacing=spacing), spec((256, 256), 1.5))
    back = transform.mask_to_native(transform.mask_to_tiles(labels))
    assert 2 * (back & labels).sum() / (back.sum() + labels.sum(dtype=int)) >= 0.97


@pytest.mark.parametrize("tile_shape", [None, (16, 24), (256, 256)])
@pytest.mark.parametrize("spacing_mm", [None, 1.5])
def test_transforms_survive_json(tile_shape, spacing_mm):
    transform = TileTransform.for_volume(ct(spacing=0.7031250001), spec(tile_shape, spacing_mm))
    again = TileTransform.from_json(json.loads(json.dumps(transform.to_json())))
    assert again == transform
    assert again.resampler == transform.resampler


@pytest.mark.parametrize("value", [{}, None, {"windows": 1}])
def test_invalid_json(value):
    with pytest.raises(LiverSegError, match=r"in the tile transform of a case"):
        TileTransform.from_json(value)


def test_rotated_grids_are_not_resampled_at_native_spacing():
    angle = np.radians(7)
    affine = np.diag([-0.8, -0.8, 5, 1.0])
    affine[:2, :2] = [
        [-0.8 * np.cos(angle), 0.8 * np.sin(angle)],
        [-0.8 * np.sin(angle), -0.8 * np.cos(angle)],
    ]
    volume = Volume(ct().array, affine)
    assert nib.affines.voxel_sizes(affine)[:2] == pytest.approx([0.8, 0.8])
    transform = TileTransform.for_volume(volume, spec((64, 64)))
    assert transform.resampler.is_identity
