"""Predictions of an export equal local ones, for every kind of network, grid and request."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from liverseg_tf.ct.intensity import to_uint8
from liverseg_tf.ct.nifti import read_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.serve.export.png_images import OFFSET_HU

WHOLE = Inference(batch_size=4, crop=False)
GRIDS = {  # shape (z, rows, cols), spacing in mm
    "fine": ((4, 96, 80), (5.0, 0.7, 0.8)),
    "coarse": ((3, 24, 31), (4.0, 5.1, 6.3)),
    "as the network": ((3, 40, 48), (5.0, 3.0, 3.0)),
    "one row": ((5, 1, 37), (5.0, 2.2, 2.2)),
}


def _volume(shape, spacing, seed=0):
    rng = np.random.default_rng(seed)
    array = rng.normal(20, 150, shape).astype(np.int16)
    array[:, :1, : shape[2] // 4] = -2048  # padding
    array[0, -1, -1] = 3071
    axes = [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]  # rows and slices run backwards
    affine = np.eye(4)
    affine[:3, :3] = np.array(axes).T * spacing[::-1]
    return Volume(array, affine)


def _local(predictor, image):
    """Label map and probabilities (uint8) of a local prediction, in canonical order."""
    thresholds = predictor.postprocessing.thresholds(predictor.network.regions)
    masks = find_regions(image, predictor, replace(WHOLE, thresholds=thresholds))
    labels = to_canonical(masks.labels()).array
    probabilities = np.zeros((len(predictor.network.regions), *image.array.shape), np.uint8)
    masks = find_regions(image, predictor, WHOLE, probabilities=probabilities)
    maps = [masks.canonical_probabilities(r) for r in range(len(probabilities))]
    return labels, np.stack(maps, axis=-1)


@pytest.mark.parametrize("grid", GRIDS)
def test_served_slices_equal_local_ones_voxel_for_voxel(served, grid, slice_inputs):
    image = _volume(*GRIDS[grid])
    labels, expected = _local(served.local, image)
    inputs = slice_inputs(image, served.local.network)
    mask = served.call("hu_mask", inputs)["mask"]
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, labels)
    probabilities = served.call("hu_slices", inputs)["probabilities"]
    assert probabilities.dtype == np.float32
    # the local probabilities are rounded to multiples of 1/255
    assert np.abs(probabilities * 255 - expected).max() <= 0.5 + 255e-5


def test_the_masks_of_these_tests_are_not_empty(served):
    labels, probabilities = _local(served.local, _volume(*GRIDS["fine"]))
    assert set(served.local.network.regions.written_labels) <= set(np.unique(labels))
    assert probabilities.min() < 100 < 150 < probabilities.max()


def test_slices_of_different_spacings_in_one_batch_are_predicted_one_by_one(served, slice_inputs):
    network = served.local.network
    images = [_volume((2, 40, 48), (5.0, mm, mm + 0.1), seed) for seed, mm in enumerate((1, 2.5))]
    each = [slice_inputs(image, network) for image in images]
    merged = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    mask = served.call("hu_mask", merged)["mask"]
    alone = [served.call("hu_mask", one)["mask"] for one in each]
    np.testing.assert_array_equal(mask, np.concatenate(alone))


def test_a_phantom_is_served_as_it_is_predicted(served_liver, slice_inputs):
    image, _ = make_phantom(3, PhantomSpec((6, 128, 128), (8.0, 2.9, 2.9)))
    labels, _ = _local(served_liver.local, image)
    mask = served_liver.call("hu_mask", slice_inputs(image, served_liver.local.network))["mask"]
    np.testing.assert_array_equal(mask, labels)


@pytest.mark.slow
def test_a_real_ct_is_served_as_it_is_predicted(served, shared_data, slice_inputs):
    image = read_volume(shared_data / "Task03_Liver" / "imagesTr" / "liver_0.nii.gz")
    part = Volume(image.array[40:44], image.affine)
    labels, _ = _local(served.local, part)
    mask = served.call("hu_mask", slice_inputs(part, served.local.network))["mask"]
    np.testing.assert_array_equal(mask, labels)


def _png(values):
    with io.BytesIO() as file:
        Image.fromarray(values).save(file, "PNG")
        return file.getvalue()


def _pixels(content):
    return np.array(Image.open(io.BytesIO(content)))


def test_png_of_16_bits_holds_hu(served, slice_inputs):
    network = served.local.network
    images = [_volume((1, 40 + 8 * n, 48), (5.0, 1.5 + n, 2.0), n) for n in range(2)]
    each = [slice_inputs(image, network) for image in images]
    middle = [one["slices"][0, :, :, network.context // 2] for one in each]
    content = [_png((plane.astype(np.int32) + OFFSET_HU).astype(np.uint16)) for plane in middle]
    rest = {
        name: np.concatenate([one[name] for one in each]) for name in each[0] if name != "slices"
    }
    masks = served.call("png", {"image_bytes": content} | rest)["mask_bytes"]
    for one, mask in zip(each, masks, strict=True):
        expected = served.call("hu_mask", one)["mask"][0]
        np.testing.assert_array_equal(_pixels(mask), expected)


def test_png_of_8_bits_holds_values_after_the_window(served_liver, slice_inputs):
    image = _volume((1, 40, 48), (5.0, 3.0, 3.0))  # the network's own spacing: nothing is resampled
    network = served_liver.local.network
    inputs = slice_inputs(image, network)
    tile = to_uint8(np.maximum(inputs["slices"][0, ..., 0], -1024), network.tiles.windows[0])
    given = {"image_bytes": [_png(tile)], "spacing_mm": inputs["spacing_mm"]}
    (mask,) = served_liver.call("png", given)["mask_bytes"]
    np.testing.assert_array_equal(_pixels(mask), served_liver.call("hu_mask", inputs)["mask"][0])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"image_bytes": [b"no image"]}, "Expected a PNG"),
        ({"image_bytes": [b""]}, "Expected a PNG"),
        ({"image_bytes": [_png(np.zeros((8, 8, 3), np.uint8))]}, "Expected a greyscale PNG"),
        ({"image_bytes": [_png(np.zeros((9000, 1), np.uint8))]}, "at most 8192"),
        ({"image_bytes": [_png(np.zeros((8, 8), np.uint8))[:60]]}, "PNG"),
        ({"spacing_mm": [[0.0, 1.0]]}, "Expected a spacing above 0"),
        ({"spacing_mm": [[np.nan, 1.0]]}, "Expected a spacing above 0"),
        ({"spacing_mm": [[1e6, 1.0]]}, "at most|1 to 8192"),
        ({"spacing_mm": [[1.0, 1.0]] * 2}, "spacing_mm for each"),
        ({"slices": np.zeros((1, 0, 4, 1), np.int16)}, "1 to 8192"),
        ({"slices": np.zeros((0, 8, 8, 1), np.int16)}, "at least one slice"),
    ],
)
def test_invalid_inputs_are_refused_by_the_graph(served_liver, inputs, message):
    defaults = {"spacing_mm": [[1.0, 1.0]]}
    name = "png" if "image_bytes" in inputs else "hu_slices"
    if name == "hu_slices":
        defaults["slices"] = np.zeros((1, 8, 8, 1), np.int16)
    given = defaults | inputs
    given["spacing_mm"] = np.array(given["spacing_mm"], np.float64)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served_liver.call(name, given)


def test_8_bits_cannot_hold_two_windows(served):
    if served.local.network.tiles.channels == 1:
        pytest.skip("a network of one window")
    given = {"image_bytes": [_png(np.zeros((8, 8), np.uint8))], "spacing_mm": np.ones((1, 2))}
    with pytest.raises(tf.errors.InvalidArgumentError, match="of 16 bits"):
        served.call("png", given)
