import json

import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_labels, read_volume
from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.measurements import format_ml, measure

AFFINE = np.array([[-0.5, 0, 0, 10], [0, -2.0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1]])


def _case():
    """Canonical order: a block of 4x4x4 with two tumour voxels, and one voxel apart."""
    image = np.full((8, 10, 12), 40, np.int16)
    labels = np.zeros(image.shape, np.uint8)
    labels[2:6, 3:7, 4:8] = 1
    labels[2, 3, 4] = labels[5, 6, 7] = 2
    labels[6, 7, 8] = 1  # a corner's neighbour: the same component of 26
    labels[1, 8, 2] = 1
    image[labels == 2] = [90, 110]
    return Volume(image, AFFINE), Volume(labels, AFFINE)


def test_numbers_by_hand():
    found = measure(*_case(), LIVER_REGIONS)
    assert found["spacing_mm"] == [0.5, 2.0, 4.0]
    assert found["voxel_volume_ml"] == pytest.approx(0.004)
    liver, tumour = found["regions"]["liver"], found["regions"]["tumour"]
    assert liver["voxels"] == 66
    assert liver["volume_ml"] == pytest.approx(0.264)
    assert liver["components"] == 2
    assert liver["largest_components_ml"] == pytest.approx([0.26, 0.004])
    assert liver["intensity_mean"] == pytest.approx((64 * 40 + 90 + 110) / 66)
    assert liver["cut_by"] == []
    assert tumour["intensity_mean"] == 100
    assert tumour["intensity_sd"] == 10
    assert tumour["components"] == 2
    # voxels (4, 3, 2) and (7, 6, 5), of which the middle is (5.5, 4.5, 3.5)
    assert tumour["centroid_mm"] == pytest.approx([10 - 2.75, 20 - 9, 30 + 14])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_empty_regions_are_defined():
    image, labels = _case()
    regions = Regions({"liver": (1, 2), "vein": (7,), "none": (3, 200)})
    for empty in (labels, labels.with_array(np.zeros_like(labels.array))):
        found = measure(image, empty, regions)["regions"]["vein"]
        assert found == {
            "voxels": 0,
            "volume_ml": 0.0,
            "intensity_mean": None,
            "intensity_sd": None,
            "components": 0,
            "largest_components_ml": [],
            "centroid_mm": None,
            "cut_by": [],
        }


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("high", [False, True])
def test_the_end_of_the_volume_cuts(axis, high):
    names = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))
    image, labels = _case()
    moved = np.zeros_like(labels.array)
    index = [4, 4, 4]
    index[axis] = moved.shape[axis] - 1 if high else 0
    moved[tuple(index)] = 1
    for turn in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        for flips in ((False, False, False), (True, False, True), (True, True, True)):
            order = Orientation(turn, flips)  # of a file whose canonical order this is
            one, two = _in_file_order(image, order), _in_file_order(image.with_array(moved), order)
            found = measure(one, two, LIVER_REGIONS)["regions"]["liver"]
            assert found["cut_by"] == [names[axis][high]]
            expected = AFFINE @ (*index[::-1], 1)
            assert found["centroid_mm"] == pytest.approx(expected[:3].tolist())


def _in_file_order(volume, order):
    array = np.ascontiguousarray(order.from_canonical(volume.array))
    to_canonical = order.canonical_affine(np.eye(4), array.shape)
    return Volume(array, volume.affine @ np.linalg.inv(to_canonical))


@pytest.mark.parametrize("pad", [-2048, -3024, np.nan])
@pytest.mark.parametrize("beside", [(4, 2, 5), (4, 7, 5), (4, 4, 3), (4, 4, 8)])
def test_the_border_of_the_scanners_circle_cuts(pad, beside):
    image, labels = _case()
    array = image.array.astype(np.float32)
    labels.array[6:] = labels.array[:2] = 0
    array[0] = array[:, 0] = array[6] = pad  # apart from the organ, or above it
    array[2:6, 1, :] = -1100  # noise in air
    clear = measure(image.with_array(array), labels, LIVER_REGIONS)["regions"]["liver"]
    assert clear["cut_by"] == []
    array[beside] = pad
    cut = measure(image.with_array(array), labels, LIVER_REGIONS)["regions"]["liver"]
    assert cut["cut_by"] == ["padding"]


def test_what_is_no_number_is_left_out():
    image, labels = _case()
    array = image.array.astype(np.float32)
    array[2, 3, 4] = np.nan
    found = measure(image.with_array(array), labels, LIVER_REGIONS)["regions"]["tumour"]
    assert (found["intensity_mean"], found["intensity_sd"]) == (110, 0)
    array[labels.array == 2] = np.inf
    found = measure(image.with_array(array), labels, LIVER_REGIONS)["regions"]["tumour"]
    assert (found["intensity_mean"], found["intensity_sd"]) == (None, None)


def test_another_grid_is_refused():
    image, labels = _case()
    with pytest.raises(LiverSegError, match="Expected image and mask on one grid"):
        measure(image, Volume(labels.array, np.eye(4)), LIVER_REGIONS)


def test_real_livers(shared_data):
    msd = shared_data / "Task03_Liver"
    image = read_volume(msd / "imagesTr" / "liver_0.nii.gz")
    found = measure(image, read_labels(msd / "labelsTr" / "liver_0.nii.gz"), LIVER_REGIONS)
    liver = found["regions"]["liver"]
    assert liver["volume_ml"] == pytest.approx(1366, abs=1)
    assert 50 < liver["intensity_mean"] < 150
    assert liver["cut_by"] == []
    assert found["regions"]["tumour"]["volume_ml"] == pytest.approx(6.4, abs=0.1)
    cut = shared_data / "totalsegmentator_example"
    (image,) = (path for path in cut.glob("*.nii.gz") if "liver" not in path.name)
    labels = read_labels(cut / "liver_auto.nii.gz")
    found = measure(read_volume(image), labels, Regions({"liver": (1,)}))
    assert found["regions"]["liver"]["cut_by"] == ["superior"]


@pytest.mark.parametrize(
    ("volume_ml", "text"),
    [(0, "0"), (1276.4, "1276"), (6.43, "6.4"), (0.1, "0.1"), (0.0123, "0.012"), (99.96, "100.0")],
)
def test_volumes_are_rounded(volume_ml, text):
    assert format_ml(volume_ml) == text
