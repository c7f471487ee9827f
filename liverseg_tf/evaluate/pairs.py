"""Which prediction belongs to which truth: by case name, never by sorted order."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.dataset.cases import (
    case_name,
    find_cases,
    images_in,
    natural_order,
    recognise_layout,
)
from liverseg_tf.errors import LiverSegError


@dataclass(frozen=True)
class Pair:
    """The files of one case.

    Args:
        case: its name.
        truth: mask of the expert; None where only a prediction was found.
        prediction: mask to score; None where only a truth was found.
        image: the CT or MR, where TRUTH is a data set that has it.
    """

    case: str
    truth: Path | None = None
    prediction: Path | None = None
    image: Path | DicomSeries | None = None

    @property
    def is_whole(self) -> bool:
        return self.truth is not None and self.prediction is not None


def find_pairs(truth: Path, prediction: Path) -> list[Pair]:
    """Pair truth and prediction by case name; two single files are a pair whatever their names.

    Args:
        truth: a mask, a folder of masks, or a data set (see `dataset.cases.find_cases`).
        prediction: a mask or a folder of masks.

    Returns:
        Pairs in natural order of their names. What has no partner comes as a pair with None;
        a single file on one side asks for its case alone, so the other side's rest is left out.

    Raises:
        LiverSegError: when a path does not exist, a side holds no mask, a name stands for two
            files, or nothing can be paired.
    """
    truth, prediction = Path(truth).absolute(), Path(prediction).absolute()
    if truth.is_file() and prediction.is_file():
        return [Pair(case_name(truth), truth, prediction)]
    truths, predictions = _truths(truth), _masks(prediction)
    pairs = [
        replace(truths.get(case, Pair(case)), prediction=predictions.get(case))
        for case in sorted(truths | predictions, key=natural_order)
    ]
    if not any(pair.is_whole for pair in pairs):
        raise LiverSegError(
            f"Expected predictions named as the cases of {truth} ({_some(truths)}). "
            f"Received {_some(predictions)} in {prediction}."
        )
    if truth.is_file() or prediction.is_file():
        return [pair for pair in pairs if pair.is_whole]
    return pairs


def _truths(path: Path) -> dict[str, Pair]:
    if path.is_dir() and recognise_layout(path):
        cases = [case for case in find_cases(path) if case.mask is not None]
        if cases:
            return {
                case.name: Pair(case.name, case.mask, image=case.image if case.has_image else None)
                for case in cases
            }
    return {case: Pair(case, mask) for case, mask in _masks(path).items()}


def _masks(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {case_name(path): path}
    if not path.is_dir():
        raise LiverSegError(
            f"Expected a mask or a folder of masks at {path}. Received no such file or folder."
        )
    masks = images_in(path)
    if not masks:
        raise LiverSegError(f"Expected masks (.nii or .nii.gz) in {path}. Received none.")
    return masks


def _some(names: Iterable[str]) -> str:
    names = sorted(names, key=natural_order)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
