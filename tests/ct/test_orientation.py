from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liverseg_tf.ct.orientation import Orientation, contiguous, to_canonical
from liverseg_tf.ct.volume import Volume

SHAPE = (4, 5, 6)
ARRAY = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def axis_affine(order, signs, spacing=(0.7, 0.8, 5.0)):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * signs * np.array(spacing)
    affine[:3, 3] = (-100, 55.5, 20)
    return affine


def check_canonical(volume):
    """Round trip, and every voxel at its place in the patient."""
    canonical = to_canonical(volume)
    orientation = Orientation.of(volume.affine)
    np.testing.assert_array_equal(orientation.from_canonical(canonical.array), volume.array)
    np.testing.assert_array_equal(orientation.to_canonical(volume.array), canonical.array)
    for grid in (volume, canonical):  # values name the voxels: positions by value
        z, row, col = np.unravel_index(np.argsort(grid.array, axis=None), grid.array.shape)
        places = nib.affines.apply_affine(grid.affine, np.stack([col, row, z], axis=-1))
        if grid is volume:
            expected = places
    np.testing.assert_allclose(places, expected, atol=1e-9)
    return canonical


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_all_48_axis_orders(order, signs):
    affine = axis_affine(order, signs)
    canonical = check_canonical(Volume(ARRAY, affine))
    assert nib.aff2axcodes(canonical.affine) == ("L", "P", "S")
    # nibabel's canonical order is RAS: two flips away
    image = nib.as_closest_canonical(nib.Nifti1Image(ARRAY.T, affine))
    np.testing.assert_array_equal(np.asarray(image.dataobj).T[:, ::-1, ::-1], canonical.array)
    np.testing.assert_allclose(
        np.diag(canonical.affine)[:3], [-1, -1, 1] * np.abs(affine[:3, :3]).max(1)
    )


@given(
    st.integers(0, 10**6),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([1, -1])] * 3),
    st.tuples(*[st.floats(0.3, 8)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_any_oblique_grid(seed, order, signs, spacing):
    affine = axis_affine(order, signs, spacing)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ affine[:3, :3]
    check_canonical(Volume(ARRAY, affine))


@given(st.integers(0, 10**6), st.floats(-20, 20))
@settings(max_examples=20, deadline=None)
def test_a_tilted_table_keeps_radiological_order(seed, degrees):
    axis = Rotation.random(random_state=seed).as_matrix()[0]
    affine = np.diag([0.7, 0.7, 5.0, 1.0])
    affine[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix() @ affine[:3, :3]
    canonical = check_canonical(Volume(ARRAY, affine))
    assert nib.aff2axcodes(canonical.affine) == ("L", "P", "S")
    image = nib.as_closest_canonical(nib.Nifti1Image(ARRAY.T, affine))
    np.testing.assert_array_equal(np.asarray(image.dataobj).T[:, ::-1, ::-1], canonical.array)


def test_canonical_arrays_are_views_without_header():
    volume = Volume(ARRAY.copy(), axis_affine((2, 0, 1), (1, -1, 1)))
    canonical = to_canonical(volume)
    assert np.shares_memory(canonical.array, volume.array)
    assert canonical.header is None


def test_lps_stays_as_it_is():
    assert Orientation.of(np.diag([-1.0, -1, 1, 1])) == Orientation((0, 1, 2), (False,) * 3)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_contiguous_copies_any_order(axes, dtype):
    stored = np.random.default_rng(0).integers(0, 200, (65, 3, 130)).astype(dtype)
    view = np.transpose(stored, axes)[::-1, :, ::-1]
    copy = contiguous(view)
    assert copy.flags.c_contiguous
    assert copy.dtype == dtype
    np.testing.assert_array_equal(copy, view)
    assert contiguous(copy) is copy
    assert contiguous(view[:0]).shape == view[:0].shape
