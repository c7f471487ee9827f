import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liverseg_tf.ct.volume import Volume, check_affine, check_same_grid
from liverseg_tf.errors import LiverSegError


def volume(affine=None, shape=(2, 4, 3)):
    return Volume(np.zeros(shape, np.int16), np.eye(4) if affine is None else affine)


def test_spacing_follows_the_array_axes():
    ct = volume(np.diag([0.7, -0.8, 5.0, 1.0]))
    assert ct.spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    assert ct.voxel_volume_ml == pytest.approx(5.0 * 0.8 * 0.7 / 1000)
    assert all(type(mm) is float for mm in ct.spacing_mm)


def test_a_volume_is_shown_in_one_line():
    ct = volume(np.diag([-0.7, -0.8, 5.0, 1.0]))
    ct.array[0, 0, 0], ct.array[1, 1, 1] = -1024, 3071
    assert repr(ct) == (
        "Volume(shape: 2 x 4 x 3; spacing_mm: 5 x 0.8 x 0.7; orientation: LPS; "
        "int16: -1024 to 3071)"
    )


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (np.array([[[np.nan, 1.5, np.inf, -2]]], np.float32), "float32: -2 to 1.5"),
        (np.full((1, 2, 1), np.nan), "float64: no finite values"),
        (np.array([[[False, True]]]), "bool: 0 to 1"),
        (np.zeros((1, 1, 1), np.complex64), "complex64: not numeric"),
        (np.broadcast_to(np.uint8(7), (400, 512, 512)), "uint8: about 7 to 7"),
        (np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 1, 0), "int16: 0 to 23"),
    ],
)
def test_any_values_can_be_shown(array, values):
    text = repr(Volume(array, np.eye(4)))
    assert text.endswith(f"{values})")
    assert "\n" not in text


@given(
    st.tuples(*[st.floats(0.1, 10)] * 3),
    st.integers(0, 10**6),
    st.sampled_from([1, -1]),
)
@settings(max_examples=30, deadline=None)
def test_spacing_of_rotated_and_mirrored_grids(spacing, seed, mirror):
    affine = np.eye(4)
    rotation = Rotation.random(random_state=seed).as_matrix() * [mirror, 1, 1]
    affine[:3, :3] = rotation * spacing
    assert volume(affine).spacing_mm == pytest.approx(spacing[::-1])


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5), (0, 3, 4), ()])
def test_only_3d_arrays_with_voxels(shape):
    with pytest.raises(LiverSegError, match=r"^Expected a 3D volume\. Received the shape"):
        volume(shape=shape)


def test_other_voxels_of_the_same_shape():
    ct = volume(np.diag([2.0, 2, 2, 1]))
    mask = ct.with_array(np.ones((2, 4, 3), np.uint8))
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.affine, ct.affine)
    with pytest.raises(LiverSegError, match=r"shape \(3, 4, 2\)\. Received \(4, 4, 2\)"):
        ct.with_array(np.ones((2, 4, 4)))


def sheared(angle):
    affine = np.eye(4)
    affine[1, 2] = np.tan(angle)
    return affine


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([1, np.nan, 1, 1]), "finite affine"),
        (np.diag([1, np.inf, 1, 1]), "finite affine"),
        (np.eye(3), "finite affine"),
        (np.diag([1.0, 0, 1, 1]), "spacing above 0"),
        (sheared(0.2), "orthonormal"),
        (sheared(0.005), "orthonormal"),
    ],
)
def test_affines_that_are_no_grid_are_refused_in_one_line(affine, words):
    with pytest.raises(LiverSegError, match=rf"^Expected .*{words}.* Received .*$") as caught:
        check_affine(affine)
    assert "\n" not in str(caught.value)


def test_rounding_errors_of_stored_cosines_are_let_through():
    check_affine(sheared(0.0005))


def test_a_mask_of_another_grid_is_refused():
    image = volume(np.diag([0.7, 0.7, 5.0, 1.0]))
    check_same_grid(image, image)
    with pytest.raises(LiverSegError, match=r"shapes \(3, 4, 2\) and \(3, 4, 3\)"):
        check_same_grid(image, volume(image.affine, (3, 4, 3)))


@pytest.mark.parametrize(("shift_mm", "refused"), [(0.06, False), (0.08, True)])
def test_a_tenth_of_a_voxel_is_the_limit(shift_mm, refused):
    image = volume(np.diag([0.7, 0.7, 5.0, 1.0]))
    moved = image.affine.copy()
    moved[2, 3] = shift_mm
    if not refused:
        check_same_grid(image, volume(moved))
        return
    with pytest.raises(LiverSegError, match=r"0\.08 mm apart") as caught:
        check_same_grid(image, volume(moved))
    assert "\n" not in str(caught.value)


def test_a_flipped_mask_of_the_same_shape_is_refused():
    image = volume(np.diag([1.0, 1, 1, 1]))
    with pytest.raises(LiverSegError, match="one grid"):
        check_same_grid(image, volume(np.diag([-1.0, 1, 1, 1])))
