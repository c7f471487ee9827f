"""Reading the masks of a pair: label maps, and files with named segments."""

from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.images import read_image, read_label_image
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.segments.read_mask import read_mask
from liverseg_tf.ct.segments.read_segments import is_segment_file
from liverseg_tf.ct.segments.segment_file import ImageGrid
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.labelled_slices import describe_unnumbered_slices
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.pairs import Pair


def read_truth(pair: Pair, regions: Regions) -> Volume:
    """Read the ground truth of a pair as a label map, with remarks on its segments as `warnings`.

    Args:
        pair: Pair with a ground truth.
        regions: Regions by whose names segments are read.

    Returns:
        Labels; those of slices that nobody drew are `pair.annotation.ignored`.

    Raises:
        LiverSegError: If it cannot be read exactly, needs an image and there is none, or has other
            slices than the list of labelled slices.
    """
    assert pair.truth is not None, "the caller has checked it"
    if pair.annotation.slices is not None and is_segment_file(pair.truth):
        raise LiverSegError(describe_unnumbered_slices(pair.truth))
    known = pair.labelled_regions(regions) or regions
    return pair.annotation.mark_unlabelled_slices(_read(pair, pair.truth, None, known))


def read_prediction(pair: Pair, truth: Volume, regions: Regions) -> Volume:
    """Read the prediction of a pair as a label map, with remarks on its segments as `warnings`.

    Args:
        pair: Pair with a prediction.
        truth: Ground truth, on whose grid segments are drawn if the pair has no image.
        regions: See `read_truth`.

    Raises:
        LiverSegError: If it cannot be read exactly.
    """
    assert pair.prediction is not None, "the caller has checked it"
    return _read(pair, pair.prediction, truth, regions)


def _read(pair: Pair, path: Path, truth: Volume | None, regions: Regions) -> Volume:
    if not is_segment_file(path):  # `liverseg check` shows warnings about its header
        return replace(read_label_image(path, pair.form), warnings=())
    patterns = tuple(one for one in pair.segments if one[0] in regions.names)
    return read_mask(path, _grid_of(pair, truth), SegmentNames(regions, patterns), pair.form)


def _grid_of(pair: Pair, truth: Volume | None) -> ImageGrid | None:
    """The image of a pair, or else its ground truth or its prediction if that is a label map."""
    if isinstance(pair.image, DicomSeries):
        return ImageGrid(read_image(pair.image), pair.image)
    if pair.image is not None:
        series = find_volume_series(pair.image)[0] if pair.image.is_dir() else None
        return ImageGrid(read_image(pair.image, None, pair.form), series)
    if truth is not None:
        return ImageGrid(truth)
    if pair.prediction is not None and not is_segment_file(pair.prediction):
        return ImageGrid(read_label_image(pair.prediction, pair.form))
    return None
