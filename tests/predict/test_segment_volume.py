import itertools
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.segment_volume import Inference, find_regions

AXES = [
    "".join(letters)
    for order in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*order)
]


def _bright_box(axes="LPS", shape=(7, 30, 41), spacing=(5.0, 1.3, 0.9)):
    """Create a CT and its labels: a bright box (1) with a brighter core (2), in any axis order."""
    labels = np.zeros(shape, np.uint8)
    labels[2:6, 8:22, 5:20] = 1
    labels[3:5, 12:18, 9:15] = 2
    values = np.array([-500, 60, 240])[labels].astype(np.int16)
    target = nib.orientations.axcodes2ornt(axes)
    start = nib.orientations.axcodes2ornt("LPS")
    turn = nib.orientations.ornt_transform(start, target)
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = 10, 20, -30

    def turned(array):
        out = nib.Nifti1Image(array.T, affine).as_reoriented(turn)
        return Volume(np.ascontiguousarray(np.asarray(out.dataobj).T), out.affine)

    return turned(values), turned(labels)


@pytest.mark.parametrize("axes", AXES)
def test_labels_are_exact_in_every_axis_order(axes, bright_is_liver, predict_labels):
    image, labels = _bright_box(axes)
    found = predict_labels(image, bright_is_liver(), Inference(3))
    np.testing.assert_array_equal(found.array, labels.array)
    np.testing.assert_array_equal(found.affine, image.affine)
    assert found.array.dtype == np.uint8
    assert found.array.flags.c_contiguous
    assert nib.aff2axcodes(found.affine) == tuple(axes)


def test_resampling_keeps_shape_and_position(bright_is_liver, predict_labels):
    image, labels = _bright_box()
    image, labels = (Volume(v.array.repeat(3, 1).repeat(3, 2), v.affine) for v in (image, labels))
    found = predict_labels(image, bright_is_liver(spacing_mm=1.1))
    for label in (1, 2):
        truth, mask = labels.array >= label, found.array >= label
        assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.93
        for axis in range(3):
            centres = [np.argwhere(m)[:, axis].mean() for m in (truth, mask)]
            # the predictions are 0 or 1, with hard edges
            assert centres[0] == pytest.approx(centres[1], abs=0.6)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_all_batches_have_one_shape_and_every_slice_is_predicted(
    count, bright_is_liver, predict_labels
):
    image, labels = _bright_box()
    image, labels = (Volume(np.repeat(v.array, 2, 0)[:count], v.affine) for v in (image, labels))
    predictor = bright_is_liver(context=5)
    slices = []
    found = predict_labels(image, predictor, Inference(4, crop=False), slices.append)
    np.testing.assert_array_equal(found.array, labels.array)
    assert predictor.shapes == {(4, 32, 48, 5)}
    assert sum(slices) == count


def test_context_slices_cross_batch_boundaries(bright_is_liver, predict_labels):
    predictor = bright_is_liver(context=3)
    batches = []

    def record(tiles):
        batches.append(tiles.copy())
        return np.zeros((*tiles.shape[:3], 2), np.float32)

    predictor.probabilities = record
    rng = np.random.default_rng(0)
    image = Volume(rng.integers(-300, 300, (9, 16, 16)).astype(np.int16), np.diag([-1, -1, 1, 1.0]))
    predict_labels(image, predictor, Inference(1, crop=False))
    one_by_one = np.concatenate(batches)
    batches.clear()
    predict_labels(image, predictor, Inference(4, crop=False))
    np.testing.assert_array_equal(np.concatenate(batches)[:9], one_by_one)
    middle = one_by_one[..., 1]
    np.testing.assert_array_equal(one_by_one[1:, ..., 0], middle[:-1])
    np.testing.assert_array_equal(one_by_one[:-1, ..., 2], middle[1:])


def test_an_oblique_volume_keeps_its_grid(bright_is_liver, predict_labels):
    image, labels = _bright_box("RSA")
    angle = np.radians(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Volume(image.array, turn @ image.affine)
    assert Orientation.of(oblique.affine) == Orientation.of(image.affine)
    found = predict_labels(oblique, bright_is_liver())
    np.testing.assert_array_equal(found.array, labels.array)


def test_padding_and_nan_are_air(bright_is_liver, predict_labels):
    image, labels = _bright_box()
    values = image.array.astype(np.float32)
    values[:, :4], values[:, -4:] = np.nan, -3024
    found = predict_labels(Volume(values, image.affine), bright_is_liver())
    np.testing.assert_array_equal(found.array, labels.array)


def test_memory_grows_only_with_the_labels(bright_is_liver, predict_labels):
    plane = np.full((1, 128, 128), -500, np.int16)
    plane[:, 30:90, 30:90] = 100
    peaks = {}
    for count in (16, 128):
        image = Volume(np.repeat(plane, count, axis=0), np.diag([-1.0, -1.0, 1.0, 1.0]))
        predictor = bright_is_liver(spacing_mm=0.9)
        predict_labels(image, predictor, Inference(8, crop=False))  # fills the caches of matrices
        tracemalloc.start()
        predict_labels(image, predictor, Inference(8, crop=False))
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    voxels = (128 - 16) * plane.size
    # labels in canonical order and in file order; probabilities would take 8 bytes per voxel
    assert peaks[128] - peaks[16] < 2.5 * voxels


def test_only_the_body_is_predicted(bright_is_liver, predict_labels):
    values = np.full((20, 200, 160), -1000, np.int16)
    values[5:15, 60:120, 40:90] = -100
    values[8:12, 80:100, 50:70] = 100
    image = Volume(values, np.diag([-1.0, -1.0, 1.0, 1.0]))
    predictor, slices = bright_is_liver(tile=32), []
    found = predict_labels(image, predictor, Inference(4), slices.append)
    np.testing.assert_array_equal(found.array, values == 100)
    assert sum(slices) == 10
    # 60 x 50 with a margin of 16 (one stride), rounded to strides: rows 32-144, columns 16-112
    assert predictor.shapes == {(4, 112, 96, 1)}
    for tile, shape in ((112, (112, 112)), (170, (176, 160)), (None, (208, 160))):
        predictor = bright_is_liver(tile=tile)
        np.testing.assert_array_equal(predict_labels(image, predictor).array, found.array)
        assert predictor.shapes == {(8, *shape, 1)}
    whole = predict_labels(image, bright_is_liver(), Inference(4, crop=False))
    np.testing.assert_array_equal(found.array, whole.array)


@pytest.mark.parametrize("at", [(0, 0), (104, 0), (0, 94), (104, 94)])
def test_a_body_at_the_image_border_is_predicted_completely(at, bright_is_liver, predict_labels):
    values = np.full((3, 130, 121), -1000, np.int16)
    values[:, at[0] : at[0] + 26, at[1] : at[1] + 27] = 100
    for spacing in (None, 1.3):
        image = Volume(values, np.diag([-1.0, -1.0, 1.0, 1.0]))
        found = predict_labels(image, bright_is_liver(spacing, tile=32))
        whole = predict_labels(image, bright_is_liver(spacing), Inference(crop=False))
        np.testing.assert_array_equal(found.array, whole.array)
        assert found.array.any()


def test_an_image_without_body_is_refused_only_with_cropping(bright_is_liver, predict_labels):
    image = Volume(np.full((3, 40, 40), -1000, np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(LiverSegError, match="Expected a body: voxels above -300"):
        predict_labels(image, bright_is_liver())
    assert not predict_labels(image, bright_is_liver(), Inference(crop=False)).array.any()


def test_probabilities_are_on_the_grid_of_the_file(bright_is_liver):
    image, labels = _bright_box("RSA")
    probabilities = np.zeros((2, *image.array.shape), np.uint8)
    masks = find_regions(image, bright_is_liver(), Inference(3), probabilities=probabilities)
    np.testing.assert_array_equal(masks.probabilities[0], 255 * (labels.array > 0))
    np.testing.assert_array_equal(masks.probabilities[1], 255 * (labels.array == 2))


def test_overlapping_regions_keep_separate_masks(bright_is_liver):
    predictor = bright_is_liver()
    predictor.probabilities = lambda tiles: np.stack(
        [tiles[..., 0] == 85, tiles[..., 0] > 85], axis=-1
    ).astype(np.float32)
    values = np.full((2, 16, 16), -50, np.int16)  # becomes 85 in the tile
    values[:, 4:8, 4:8] = 100
    masks = find_regions(Volume(values, np.diag([-1.0, -1.0, 1.0, 1.0])), predictor)
    assert sorted(np.unique(masks.bits)) == [1, 2]
    assert repr(masks) == (
        "RegionMasks(shape: 2 x 16 x 16; volume_ml: liver 0.48, tumour 0.032; probabilities: no)"
    )
    np.testing.assert_array_equal(masks.labels().array, np.where(values == 100, 2, 1))


def test_errors_of_the_background_thread_are_raised(bright_is_liver, monkeypatch, predict_labels):
    image, _ = _bright_box()

    def broken(*_):
        raise ValueError("cannot restore")

    monkeypatch.setattr("liverseg_tf.predict.segment_volume._restore_masks", broken)
    with pytest.raises(ValueError, match="cannot restore"):
        predict_labels(image, bright_is_liver(), Inference(2))


def test_large_slices_use_smaller_batches(bright_is_liver):
    predictor = bright_is_liver(spacing_mm=1.0)
    array = np.full((3, 20, 20), 100, np.int16)
    find_regions(Volume(array, np.diag([-90.0, -90.0, 5.0, 1.0])), predictor)
    assert {shape[0] for shape in predictor.shapes} == {2}
    predictor.shapes.clear()
    find_regions(Volume(array, np.diag([-9.0, -9.0, 5.0, 1.0])), predictor)
    assert {shape[0] for shape in predictor.shapes} == {8}


@pytest.mark.parametrize("crop", [True, False])
def test_slices_of_more_than_two_metres_are_refused(
    crop, make_volumes, bright_is_liver, predict_labels
):
    """A spacing that is not in mm would need too much memory."""
    ct, _ = make_volumes(affine=np.diag([-80.0, -120.0, 5.0, 1.0]))
    with pytest.raises(LiverSegError, match=r"at most 2000 mm\. Received 2400 x 1920 mm"):
        predict_labels(ct, bright_is_liver(spacing_mm=1.5), Inference(crop=crop))
    predict_labels(ct, bright_is_liver(), Inference(crop=crop))


class _TwoPasses:
    """Two passes with a probability of 0.45 and of 0.35 where the image is bright."""

    def __init__(self, bright):
        self.network, self._bright = bright.network, bright

    def passes(self, tiles):
        masks = self._bright.probabilities(tiles)
        return [masks * np.float32(0.45), masks * np.float32(0.35)]


@pytest.mark.parametrize(
    ("thresholds", "agreement"), [((), None), ((0.4, 0.3), 0), ((0.3, 0.3), 1)]
)
def test_the_agreement_is_that_of_the_masks_at_the_tuned_thresholds(
    thresholds, agreement, bright_is_liver
):
    predictor = _TwoPasses(bright_is_liver())
    masks = find_regions(_bright_box()[0], predictor, Inference(thresholds=thresholds))
    assert masks.agreement["liver"] == agreement


def test_a_model_whose_input_would_fill_the_memory_is_refused(bright_is_liver):
    image = Volume(np.zeros((2, 104, 104), np.int16), np.diag([-1.0, -1.0, 5.0, 1.0]))
    model = bright_is_liver(spacing_mm=0.05, context=63)  # as a foreign record may state
    with pytest.raises(LiverSegError, match="2080 x 2080 pixels and 63 channels"):
        find_regions(image, model, Inference(crop=False))
