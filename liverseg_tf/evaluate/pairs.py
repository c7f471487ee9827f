"""Pairing of ground truth and predictions by case name, never by sorted order."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.ct.segments.read_segments import is_dicom_mask
from liverseg_tf.dataset.cases import (
    case_name,
    detect_layout,
    find_cases,
    natural_sort_key,
)
from liverseg_tf.dataset.mask_files import prefer_label_maps
from liverseg_tf.dataset.nnunet_entries import find_images_of_labels
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import name_some
from liverseg_tf.printable import printable


@dataclass(frozen=True)
class Pair:
    """Files of one case.

    Args:
        case: Name of the case, in which control characters are visible.
        truth: Ground truth mask; None if there is only a prediction.
        prediction: Mask to score; None if there is only a ground truth mask.
        image: CT or MR; None if the ground truth is not a data set with images.
        form: The form to use if sform and qform of a NIfTI file disagree; see `read_volume`.
        annotation: What the ground truth mask labels.
        segments: Names of the segments of regions, if they differ; see `SegmentNames`.
    """

    case: str
    truth: Path | None = None
    prediction: Path | None = None
    image: Path | DicomSeries | None = None
    form: str | None = None
    annotation: Annotation = field(default_factory=Annotation)
    segments: tuple[tuple[str, str], ...] = ()

    def labelled_regions(self, regions: Regions) -> Regions | None:
        """Return the regions that the ground truth labels; None if it labels none of them."""
        known = [item for item in regions.items if self.annotation.knows(item[1])]
        return Regions(known) if known else None

    @property
    def is_complete(self) -> bool:
        """Whether there are both a ground truth mask and a prediction."""
        return self.truth is not None and self.prediction is not None


def find_pairs(truth: Path, prediction: Path) -> list[Pair]:
    """Pair ground truth masks and predictions by case name.

    Two single files form a pair, whatever their names. If only one side is a single file, only
    its case is paired. A mask `case_0000`, named like the image in nnU-Net, is paired with `case`
    unless there is another one of its name.

    Args:
        truth: Mask, folder of masks, or data set (see `dataset.cases.find_cases`). labelsTr and
            labelsTs of nnU-Net bring their images along.
        prediction: Mask or folder of masks.

    Returns:
        Pairs in natural order of their names. In the pair of a mask without a counterpart, the
        other path is None.

    Raises:
        LiverSegError: If a path does not exist, a folder holds no mask, two files have the same
            case name, or no pair is complete.
    """
    truth, prediction = Path(truth).absolute(), Path(prediction).absolute()
    if truth.is_file() and prediction.is_file():
        return [Pair(printable(case_name(truth)), truth, prediction)]
    truths = _find_truths(truth)
    predictions = _drop_channels(_find_masks(prediction), truths)
    # results are text files, which cannot contain every name that a file can have
    pairs = [
        replace(
            truths.get(case, Pair(case)), case=printable(case), prediction=predictions.get(case)
        )
        for case in sorted(truths | predictions, key=natural_sort_key)
    ]
    names = [pair.case for pair in pairs]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise LiverSegError(f"Expected different names of cases. Received {name} twice.")
    if not any(pair.is_complete for pair in pairs):
        raise LiverSegError(
            f"Expected predictions named like the cases of {truth} ({_format_names(truths)}). "
            f"Received {_format_names(predictions)} in {prediction}."
        )
    if truth.is_file() or prediction.is_file():
        return [pair for pair in pairs if pair.is_complete]
    return pairs


def _find_truths(path: Path) -> dict[str, Pair]:
    """Incomplete pairs by case name, with ground truth masks and images."""
    if path.is_dir() and detect_layout(path):
        cases = [case for case in find_cases(path) if case.mask is not None]
        if cases:
            return {
                case.name: Pair(case.name, case.mask, image=case.image if case.has_image else None)
                for case in cases
            }
    images = find_images_of_labels(path)
    return {
        case: Pair(case, mask, image=images.get(case)) for case, mask in _find_masks(path).items()
    }


def _drop_channels(predictions: dict[str, Path], truths: Iterable[str]) -> dict[str, Path]:
    """Name predictions like the truth if they differ only by `_0000`, nnU-Net's first channel."""
    renamed = {}
    for name in set(predictions) - set(truths):
        other = name.removesuffix("_0000") if name.endswith("_0000") else f"{name}_0000"
        if other in truths and other not in predictions:
            renamed[name] = other
    return {renamed.get(name, name): path for name, path in predictions.items()}


def _find_masks(path: Path) -> dict[str, Path]:
    """Mask files by case name."""
    if path.is_file():
        return {case_name(path): path}
    if not path.is_dir():
        if path.exists():
            regular_file_size(path)  # a pipe or a device, which it refuses
        raise LiverSegError(
            f"Expected a mask or a folder of masks at {path}. Received no such file or folder."
        )
    masks: dict[str, Path] = {}
    for file in _mask_files(path):
        other = masks.setdefault(case_name(file), file)
        if other != file:
            raise LiverSegError(
                f"Expected one file per case. Received {other} and {file}, both named "
                f"{case_name(file)}."
            )
    if not masks:
        raise LiverSegError(
            f"Expected masks in {path}, files ending in {', '.join((*IMAGE_SUFFIXES, '.dcm'))}. "
            "Received none of them."
        )
    return masks


def _mask_files(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.iterdir()) if not path.is_dir())
    return prefer_label_maps(path for path in files if image_stem(path) or is_dicom_mask(path))


def _format_names(names: Iterable[str]) -> str:
    return name_some(sorted(names, key=natural_sort_key))
