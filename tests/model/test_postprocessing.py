import json

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.region_masks import RegionMasks, labels_to_bits

ORGAN = Regions({"organ": (1,)})


def _apply(labels, steps, regions=LIVER_REGIONS, affine=None, probabilities=None):
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
    bits = labels_to_bits(labels, regions)
    masks = RegionMasks(bits.copy(), regions, Volume(labels, affine), probabilities)
    processed = steps.apply(masks).labels().array
    np.testing.assert_array_equal(masks.bits, bits)
    return processed


def _noise(share=0.15, shape=(8, 16, 16)):
    return (np.random.default_rng(0).random(shape) < share).astype(np.uint8)


def test_smaller_components_are_removed_with_their_nested_regions():
    labels = np.zeros((4, 20, 20), np.uint8)
    labels[1:3, 2:12, 2:12] = 1
    labels[1, 5:7, 5:7] = 2
    labels[1, 3, 3] = 2
    labels[1, 15:18, 15:18] = 1
    labels[1, 16, 16] = 2
    expected = labels.copy()
    expected[:, 14:] = 0
    processed = _apply(labels, PostProcessing(largest=("liver",)))
    np.testing.assert_array_equal(processed, expected)


def test_a_removed_tumour_becomes_liver():
    labels = np.ones((1, 6, 12), np.uint8)
    labels[0, 1:4, 1:4] = 2
    labels[0, 2, 8] = 2
    processed = _apply(labels, PostProcessing(largest=("tumour",)))
    assert processed[0, 2, 8] == 1
    assert (processed == 2).sum() == 9


def test_voxels_connect_at_corners_and_empty_masks_stay_empty():
    labels = np.zeros((3, 3, 3), np.uint8)
    every = PostProcessing(
        (("tumour", "liver", 1),), ("liver",), (), (), (("liver", 1),), ("liver",), ("liver",)
    )
    np.testing.assert_array_equal(_apply(labels, every), labels)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 2] = 1
    np.testing.assert_array_equal(_apply(labels, PostProcessing(largest=("liver",))), labels)


def test_the_largest_agrees_with_scikit_image_on_noise():
    labels = _noise()
    components = measure.label(labels, connectivity=3)
    sizes = np.bincount(components.ravel())[1:]
    processed = _apply(labels, PostProcessing(largest=("organ",)), ORGAN)
    assert processed.sum() == sizes.max()
    np.testing.assert_array_equal(processed.astype(bool), components == sizes.argmax() + 1)


def test_min_volume_ml_agrees_with_scikit_image_on_noise():
    labels = _noise()
    # voxels of 0.012 ml: components of 5 voxels are 0.06 ml
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    processed = _apply(labels, PostProcessing(min_volume_ml=(("organ", 0.06),)), ORGAN, affine)
    components = measure.label(labels, connectivity=3)
    sizes = np.bincount(components.ravel())
    np.testing.assert_array_equal(processed > 0, (labels > 0) & (sizes[components] >= 5))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_holes_agree_with_scipy(dimensions):
    labels = _noise(0.75, (6, 24, 24))
    labels[:, :3] = labels[:, :, -4:] = 0
    name = f"fill_{dimensions}d"
    processed = _apply(labels, PostProcessing(**{name: ("organ",)}), ORGAN)
    if dimensions == 3:
        # as here, a hole that reaches the first or last slice is open in scipy
        expected = ndimage.binary_fill_holes(labels)
    else:
        expected = np.stack([ndimage.binary_fill_holes(plane) for plane in labels])
    assert expected.sum() > labels.sum()
    np.testing.assert_array_equal(processed > 0, expected)


def test_a_tumour_that_fills_a_hole_stays_a_tumour():
    labels = np.ones((3, 7, 7), np.uint8)
    labels[1, 3, 3], labels[1, 3, 4] = 0, 2
    processed = _apply(np.pad(labels, 1), PostProcessing(fill_3d=("liver",)))
    assert (processed == 2).sum() == 1
    assert (processed > 0).sum() == labels.size


def test_tumours_stay_inside_the_organ_and_its_margin():
    labels = np.zeros((3, 5, 20), np.uint8)
    labels[:, :, :8] = 1
    labels[1, 2, 2] = labels[1, 2, 8] = labels[1, 2, 10] = labels[1, 2, 15] = 2
    bits = labels_to_bits(labels, LIVER_REGIONS)
    # tumours beyond the liver that the liver channel of the network does not contain
    bits[:, :, 8:] &= 0b10
    masks = RegionMasks(bits, LIVER_REGIONS, Volume(labels, np.diag([-2, -2, 2, 1.0])))

    def tumour_columns(mm):
        array = PostProcessing(inside=(("tumour", "liver", mm),)).apply(masks).labels().array
        return np.flatnonzero(array[1, 2] == 2).tolist()

    assert tumour_columns(0) == [2]
    assert tumour_columns(2) == [2, 8]
    assert tumour_columns(6) == [2, 8, 10]
    assert tumour_columns(100) == [2, 8, 10, 15]


def test_smooth_z_follows_the_majority_of_three_slices():
    labels = np.zeros((7, 4, 4), np.uint8)
    labels[1:6, 1, 1] = 1
    labels[3, 1, 1] = 0  # missing in one slice
    labels[3, 3, 3] = 1  # in one slice only
    labels[0, 3, 0] = 1  # in the first slice, which has only one neighbour
    processed = _apply(labels, PostProcessing(smooth_z=("organ",)), ORGAN)
    assert processed[3, 1, 1] == 1
    assert processed[3, 3, 3] == 0
    assert processed[0, 3, 0] == 1
    assert processed.sum() == 6


def test_smooth_z_uses_the_z_axis_of_the_patient_in_every_file_order():
    labels = np.zeros((4, 4, 7), np.uint8)
    labels[1, 1, 1:6] = 1
    labels[1, 1, 3] = 0
    affine = np.array([[0, 0, 2.0, 0], [0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    assert Orientation.of(affine).axes[0] == 2
    processed = _apply(labels, PostProcessing(smooth_z=("organ",)), ORGAN, affine)
    assert processed[1, 1, 1:6].all()


def test_components_below_the_mean_probability_are_removed():
    labels = np.zeros((2, 6, 12), np.uint8)
    labels[0, 1:3, 1:3] = labels[1, 4, 8:10] = 1
    probabilities = np.zeros((1, *labels.shape), np.uint8)
    probabilities[0, 0, 1:3, 1:3] = 230
    probabilities[0, 1, 4, 8:10] = 150, 250  # mean 200 of 255: 0.784
    for p, count in ((0.78, 6), (0.79, 4), (0.91, 0)):
        steps = PostProcessing(min_mean_probability=(("organ", p),))
        assert _apply(labels, steps, ORGAN, probabilities=probabilities).sum() == count
    with pytest.raises(SettingsError, match="Expected masks with probabilities"):
        _apply(labels, steps, ORGAN)


def test_more_components_than_uint16_can_number():
    labels = np.zeros((40, 90, 90), np.uint8)
    labels[::2, ::2, ::2] = 1
    labels[0, 0, :5] = 1
    assert measure.label(labels, connectivity=3).max() > 40000 > 2**15
    processed = _apply(labels.repeat(2, 0)[::2], PostProcessing(largest=("organ",)), ORGAN)
    assert processed.sum() == 5
    dense = np.zeros((80, 120, 120), np.uint8)
    dense[::2, ::2, ::2] = 1
    dense[0, 0, :5] = 1
    assert _apply(dense, PostProcessing(largest=("organ",)), ORGAN).sum() == 5


def test_json_round_trip_and_updated_steps():
    steps = PostProcessing(
        inside=(("tumour", "liver", 5.0),), min_volume_ml=(("tumour", 0.1),), largest=("liver",)
    )
    assert PostProcessing.from_json(json.loads(json.dumps(steps.to_json()))) == steps
    changed = steps.updated(PostProcessing(min_volume_ml=(("tumour", 0.5),)))
    assert changed.min_volume_ml == (("tumour", 0.5),)
    assert changed.largest == ("liver",)


@pytest.mark.parametrize(
    "value",
    [
        {"biggest": []},
        [],
        {"largest": 3},
        {"largest": "liver"},
        {"largest": [["liver"]]},
        {"min_mean_probability": [["a"]]},
        {"threshold": [["a", True]]},
        {"threshold": [["a", float("nan")]]},
        {"min_volume_ml": [["a", float("inf")]]},
        None,
    ],
)
def test_invalid_json_is_refused(value):
    with pytest.raises(LiverSegError, match=r"^Expected .* Received"):
        PostProcessing.from_json(value)


def test_unknown_regions_and_invalid_numbers_are_refused():
    for steps in (
        PostProcessing(largest=("lung",)),
        PostProcessing(min_volume_ml=(("lung", 1),)),
        PostProcessing(inside=(("tumour", "lung", 1),)),
    ):
        with pytest.raises(SettingsError, match=r"Expected a region of liver, tumour.*'lung'"):
            _apply(np.zeros((1, 2, 2), np.uint8), steps)
    for invalid in (
        {"min_mean_probability": (("liver", 1.5),)},
        {"min_volume_ml": (("liver", -1.0),)},
        {"inside": (("tumour", "liver", float("nan")),)},
    ):
        with pytest.raises(SettingsError, match="Expected a"):
            PostProcessing(**invalid)


def test_labels_to_bits_and_back():
    labels = np.random.default_rng(0).integers(0, 3, (3, 4, 5)).astype(np.uint8)
    np.testing.assert_array_equal(_apply(labels, PostProcessing()), labels)
    many = Regions({f"organ {n}": (n,) for n in range(1, 13)})
    labels = np.random.default_rng(0).integers(0, 13, (3, 4, 5)).astype(np.uint8)
    np.testing.assert_array_equal(_apply(labels, PostProcessing(), many), labels)


def test_the_representation_is_one_line():
    assert str(PostProcessing()) == "none"
    assert repr(PostProcessing()) == "PostProcessing(none)"
    steps = PostProcessing(largest=("liver", "tumour"), min_volume_ml=(("tumour", 0.1),))
    assert str(steps) == "min_volume_ml tumour 0.1; largest liver, tumour"
    assert repr(steps) == f"PostProcessing({steps})"
