import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from liverseg_tf.ct.resample import PlaneResampler, resampling_matrix

LENGTHS = st.integers(1, 40)
RATIOS = st.floats(0.2, 5)


def resampler(shape, spacing, target):
    return PlaneResampler.to_spacing(shape, (spacing,) * 2, (target,) * 2)


def positions_mm(shape, spacing):
    """Where voxels lie along each axis, from the grid's centre."""
    return [(np.arange(n) - (n - 1) / 2) * spacing for n in shape]


def blob(shape, spacing, centre_mm, width_mm=12.0):
    rows, cols = positions_mm(shape, spacing)
    squares = (rows[:, None] - centre_mm[0]) ** 2 + (cols - centre_mm[1]) ** 2
    return np.exp(-squares / (2 * width_mm**2)).astype(np.float32)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_the_same_grid_is_the_identity(n):
    np.testing.assert_array_equal(resampling_matrix(n, n, 1.0).toarray(), np.eye(n))
    same = resampler((n, n), 0.7, 0.7)
    slices = np.arange(2 * n * n, dtype=np.int16).reshape(2, n, n)
    assert same.is_identity
    assert same.apply(slices) is slices
    labels = slices.astype(np.uint8)
    assert same.apply_labels(labels) is labels


@given(LENGTHS, LENGTHS, RATIOS)
@settings(max_examples=100, deadline=None)
def test_rows_sum_to_one_and_nothing_overshoots(source, target, ratio):
    matrix = resampling_matrix(source, target, ratio).toarray()
    assert matrix.shape == (target, source)
    assert matrix.dtype == np.float32
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


@given(LENGTHS, LENGTHS, RATIOS)
@settings(max_examples=60, deadline=None)
def test_a_mirrored_line_gives_the_mirrored_result(source, target, ratio):
    matrix = resampling_matrix(source, target, ratio).toarray()
    np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-5)


def test_weights_by_hand():
    np.testing.assert_allclose(
        resampling_matrix(3, 6, 0.5).toarray() * 4,
        [[4, 0, 0], [3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 1, 3], [0, 0, 4]],
    )
    np.testing.assert_allclose(  # a triangle of half-width 2 around 2.5: 1/4 3/4 3/4 1/4
        resampling_matrix(6, 3, 2.0).toarray()[1] * 8, [0, 1, 3, 3, 1, 0]
    )


@given(st.tuples(LENGTHS, LENGTHS), st.floats(0.4, 2), st.floats(0.4, 3), st.integers(-3000, 3000))
@settings(max_examples=40, deadline=None)
def test_constants_stay(shape, spacing, target, value):
    to = resampler(shape, spacing, target)
    out = to.apply(np.full((2, *shape), value, np.int16))
    assert out.shape == (2, *to.target_shape)
    assert to.is_identity or out.dtype == np.float32
    np.testing.assert_allclose(out, value, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("spacing", "target"), [(0.703125, 1.5), (1.5, 0.703125), (0.9, 2.7)])
def test_a_ramp_keeps_its_place_in_mm(spacing, target):
    shape = (90, 70)
    to = resampler(shape, spacing, target)
    rows, cols = positions_mm(shape, spacing)
    out = to.apply((rows[:, None] + 3 * cols)[None])[0]
    rows, cols = positions_mm(to.target_shape, target)
    inner = (slice(4, -4), slice(4, -4))
    expected = (rows[:, None] + 3 * cols)[inner]
    np.testing.assert_allclose(out[inner], expected, atol=(1 + 3) * 0.05 * spacing)
    assert abs((out[inner] - expected).mean()) < 1e-3


@given(
    st.tuples(st.integers(60, 90), st.integers(60, 90)),
    st.floats(0.6, 1.5),
    st.floats(0.6, 3),
    st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
)
@settings(max_examples=30, deadline=None)
def test_a_blob_keeps_its_centroid_in_mm(shape, spacing, target, centre):
    to = resampler(shape, spacing, target)
    out = to.apply(blob(shape, spacing, centre, width_mm=4.0)[None])[0].astype(float)
    places = positions_mm(to.target_shape, target)
    found = [(out.sum(axis=1 - axis) * places[axis]).sum() / out.sum() for axis in (0, 1)]
    np.testing.assert_allclose(found, centre, atol=0.05)


@pytest.mark.parametrize(("spacing", "target"), [(0.7, 1.5), (0.98, 1.5), (3.0, 1.5), (1.2, 0.5)])
def test_there_and_back_keeps_smooth_images(spacing, target):
    shape = (97, 84)
    image = 100 * blob(shape, spacing, (3.3, -5.1), width_mm=8 * max(spacing, target))
    to = resampler(shape, spacing, target)
    back = to.inverse.apply(to.apply(image[None]))[0]
    assert back.shape == shape
    np.testing.assert_allclose(back, image, atol=2)


def test_the_inverse_of_the_inverse():
    to = resampler((97, 84), 0.7, 1.5)
    again = to.inverse.inverse
    assert (again.source_shape, again.target_shape) == (to.source_shape, to.target_shape)
    assert again.ratio == pytest.approx(to.ratio)


@given(st.integers(0, 10**6), st.floats(0.3, 1), st.floats(0.3, 1))
@settings(max_examples=20, deadline=None)
def test_growing_equals_scipy(seed, row_ratio, col_ratio):
    image = np.random.default_rng(seed).normal(size=(13, 17)).astype(np.float32)
    target = (round(13 / row_ratio), round(17 / col_ratio))
    ours = PlaneResampler((13, 17), target, (row_ratio, col_ratio)).apply(image[None])[0]
    at = [
        (np.arange(t) - (t - 1) / 2) * r + (s - 1) / 2
        for s, t, r in zip(image.shape, target, (row_ratio, col_ratio), strict=True)
    ]
    theirs = ndimage.map_coordinates(
        image, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest"
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_equals_pillow(factor):
    image = np.random.default_rng(factor).normal(size=(12 * 7, 12 * 5)).astype(np.float32)
    ours = resampler(image.shape, 1.0, float(factor)).apply(image[None])[0]
    size = (image.shape[1] // factor, image.shape[0] // factor)
    theirs = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int32, np.float64])
def test_any_dtype_and_memory_order(dtype):
    slices = np.random.default_rng(0).integers(0, 2, (3, 20, 24)).astype(dtype)
    to = resampler((20, 24), 0.8, 1.5)
    expected = to.apply(slices.astype(np.float32))
    np.testing.assert_array_equal(to.apply(slices), expected)
    np.testing.assert_array_equal(to.apply(slices[::-1, ::-1]), to.apply(slices[::-1, ::-1].copy()))


@given(st.integers(0, 10**6), st.floats(0.5, 3), st.floats(0.5, 3))
@settings(max_examples=30, deadline=None)
def test_labels_stay_in_their_set(seed, spacing, target):
    labels = np.random.default_rng(seed).choice(np.array([0, 3, 200], np.uint8), (2, 15, 11))
    out = resampler((15, 11), spacing, target).apply_labels(labels)
    assert out.dtype == np.uint8
    assert set(np.unique(out)) <= {0, 3, 200}


@given(st.integers(0, 10**6), st.floats(0.5, 3))
@settings(max_examples=15, deadline=None)
def test_each_label_on_its_own_and_the_strongest_wins(seed, target):
    labels = np.random.default_rng(seed).integers(0, 4, (1, 12, 12)).astype(np.uint8)
    to = resampler((12, 12), 1.0, target)
    weights = np.stack([to.apply((labels == label).astype(np.float32)) for label in range(4)])
    np.testing.assert_array_equal(to.apply_labels(labels), weights.argmax(axis=0))


def test_background_covers_the_whole_slice_where_there_is_no_label():
    out = resampler((10, 10), 1.0, 0.5).apply_labels(np.zeros((3, 10, 10), np.uint8))
    assert out.shape == (3, 20, 20)
    assert not out.any()


@pytest.mark.parametrize("spacing", [0.6, 0.703125, 0.98])
def test_labels_through_coarse_tiles_and_back(spacing):
    shape = (200, 220)
    liver = blob(shape, spacing, (5, 3), width_mm=25) > 0.5
    labels = liver.astype(np.uint8)
    labels[blob(shape, spacing, (10, 0), width_mm=8) > 0.5] = 2
    to = resampler(shape, spacing, 1.5)
    back = to.inverse.apply_labels(to.apply_labels(labels[None]))[0]
    assert dice(back >= 1, labels >= 1) >= 0.97
    assert dice(back == 2, labels == 2) >= 0.95
