import itertools

import numpy as np
import pytest

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.report.planes import PLANES, select_slices

# world axis (RAS+) and sign of the direction towards each side of the patient
SIDES = {"R": (0, 1), "L": (0, -1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}


def voxel_positions(axes, signs):
    """RAS coordinates (z, row, col, 3) of the voxels of a grid in any axis order; its affine."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for voxel_axis, (world_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world_axis, voxel_axis] = sign * (voxel_axis + 1)
    shape = (4, 5, 6)
    ijk = np.stack(np.meshgrid(*map(np.arange, shape[::-1]), indexing="ij"), axis=-1)
    return (ijk @ affine[:3, :3].T).transpose(2, 1, 0, 3), affine


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_letters_are_correct_in_every_orientation(axes, signs):
    positions, affine = voxel_positions(axes, signs)
    canonical = [to_canonical(Volume(positions[..., world], affine)).array for world in range(3)]
    for plane in PLANES:
        left, right, top, bottom = plane.letters
        for letter, edge, opposite_edge in (
            (left, np.s_[:, 0], np.s_[:, -1]),
            (right, np.s_[:, -1], np.s_[:, 0]),
            (top, np.s_[0], np.s_[-1]),
            (bottom, np.s_[-1], np.s_[0]),
        ):
            world, sign = SIDES[letter]
            picture = plane.cut(canonical[world], 1)
            assert (sign * (picture[edge] - picture[opposite_edge]) > 0).all(), (plane.name, letter)


def test_spacing_of_pictures():
    spacings = {plane.name: plane.spacing_mm((5.0, 0.8, 0.7)) for plane in PLANES}
    assert spacings == {"axial": (0.8, 0.7), "coronal": (5.0, 0.7), "sagittal": (5.0, 0.8)}


def test_slices_with_the_largest_difference():
    truth = np.zeros((6, 7, 8), np.uint8)
    truth[0, :, :] = 1
    prediction = truth.copy()
    prediction[4, 5, 2:5] = 1
    assert select_slices(truth, prediction, LIVER_REGIONS) == (4, 5, 2)
    prediction[4, 5, 3] = 2
    assert select_slices(truth, prediction, LIVER_REGIONS) == (4, 5, 3)
    assert select_slices(truth, prediction, Regions({"tumour": (2,)})) == (4, 5, 3)


def test_slices_with_the_largest_area_if_masks_are_equal():
    truth = np.zeros((6, 7, 8), np.uint8)
    truth[2, 3, 1:6] = truth[2, 1:5, 4] = truth[1:4, 3, 4] = 1
    assert select_slices(truth, truth, LIVER_REGIONS) == (2, 3, 4)


def test_middle_slices_if_masks_are_empty():
    empty = np.zeros((6, 7, 9), np.uint8)
    assert select_slices(empty, empty, LIVER_REGIONS) == (3, 3, 4)
