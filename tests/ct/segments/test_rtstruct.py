"""Contours of other programs: holes, overlaps, points, and contours beside the slices."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from liverseg_tf.ct.segments.rtstruct import read_rtstruct
from liverseg_tf.ct.segments.segment_file import ImageGrid
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

# LPS, 1 mm
GRID = ImageGrid(Volume(np.zeros((4, 10, 10), np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])))


def _square(low, high, z=1.0):
    return [(low, low, z), (high, low, z), (high, high, z), (low, high, z)]


def _rtstruct(*contours, kind="CLOSED_PLANAR"):
    dataset, roi, drawn = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 5, "liver"
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = 5, [1, 2, 3]
    drawn.ContourSequence = []
    for points in contours:
        contour = Dataset()
        contour.ContourGeometricType = kind
        contour.ContourData = [f"{mm:.3f}" for mm in np.ravel(points)]
        drawn.ContourSequence.append(contour)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [roi], [drawn]
    return dataset


def _draw(*contours, kind="CLOSED_PLANAR"):
    file = read_rtstruct(_rtstruct(*contours, kind=kind), GRID, Path("a.dcm"))
    (segment,) = file.segments
    assert (segment.number, segment.colour) == (5, (1, 2, 3))
    return file.draw(segment), file.notes


def test_a_contour_inside_of_another_one_is_a_hole():
    expected = np.zeros((4, 10, 10), bool)
    expected[1, 1:9, 1:9], expected[1, 4:6, 4:6] = True, False
    contours = (_square(0.5, 8.5), _square(3.5, 5.5))
    mask, notes = _draw(*contours)
    np.testing.assert_array_equal(mask, expected)
    assert notes == ["liver (#5): contours inside of others (1) are taken for holes."]
    mask, notes = _draw(*contours, kind="CLOSEDPLANAR_XOR")
    np.testing.assert_array_equal(mask, expected)
    assert notes == []


def test_contours_beside_each_other_are_united_and_points_on_pixels_are_pixels():
    mask, notes = _draw(_square(0.5, 2.5), _square(5.5, 7.5), [(9, 9, 2)])
    assert mask.sum() == 4 + 4 + 1
    assert mask[2, 9, 9]
    assert notes == []
    mask, notes = _draw(_square(0.5, 2.5), _square(5.2, 5.4))
    assert mask.sum() == 4
    assert notes == ["liver (#5): contours between the centres of pixels (1) are left out."]


@pytest.mark.parametrize(
    ("contours", "kind", "says"),
    [
        ([_square(0.5, 4.5), _square(2.5, 6.5)], "CLOSED_PLANAR", "overlap in 4 pixels"),
        ([_square(0.5, 4.5), _square(0.5, 4.5)], "CLOSED_PLANAR", "overlap in 16 pixels"),
        ([_square(0.5, 4.5)], "OPEN_PLANAR", "Expected closed contours"),
        ([_square(0.5, 4.5, z=1.5)], "CLOSED_PLANAR", "beside the nearest slice"),
        ([_square(0.5, 4.5, z=7.0)], "CLOSED_PLANAR", "inside its image"),
        ([_square(5.5, 14.5)], "CLOSED_PLANAR", "inside its image"),
        ([[(1, 1, 0), (5, 1, 1), (5, 5, 2), (1, 5, 1)]], "CLOSED_PLANAR", "voxels deep"),
        ([_square(0.5, float("nan"))], "CLOSED_PLANAR", "finite contours"),
    ],
)
def test_contours_without_a_definite_meaning_are_refused(contours, kind, says):
    with pytest.raises(LiverSegError, match=says) as caught:
        _draw(*contours, kind=kind)
    assert "\n" not in str(caught.value)
