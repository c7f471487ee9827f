"""Writing the cases of a data set in the layout of nnU-Net v2."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume, check_finite
from liverseg_tf.dataset.case_annotations import CaseAnnotations
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.nnunet_description import parse_nnunet_description
from liverseg_tf.dataset.reading import (
    has_guessed_geometry,
    match_axes,
    read_case,
    read_volumes,
)
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.workers import Processes, Workers, run_jobs

_NAME = re.compile(r"Dataset\d{3}_.+", re.ASCII)


@dataclass(frozen=True)
class NnunetLabels:
    """Labels of a data set of nnU-Net, whose numbers are consecutive.

    Args:
        numbers: New label by old label, without the background.
        entries: Entries of dataset.json that name the new labels.
    """

    numbers: dict[int, int]
    entries: dict[str, Any]


@dataclass(frozen=True)
class NnunetTarget:
    """What is written, apart from the cases.

    Args:
        folder: Folder of the new data set, such as Dataset042_Liver.
        labels: Labels of the new data set.
        channel_name: Name of the channel; 'CT' chooses the normalisation of nnU-Net for HU.
        allow_unnamed: Whether labels without a name become background instead of an error.
        channel: Index of the volume to read from 4D images.
        annotations: Which slices of the masks are labelled; all others get the ignored label.
    """

    folder: Path
    labels: NnunetLabels
    channel_name: str = "CT"
    allow_unnamed: bool = False
    channel: int | None = None
    annotations: CaseAnnotations = field(default_factory=CaseAnnotations)

    @property
    def has_usual_name(self) -> bool:
        """Whether nnU-Net finds a data set of this name."""
        return _NAME.fullmatch(self.folder.name) is not None


@dataclass
class WrittenCases:
    """Results of writing a data set.

    Args:
        written: Names of the cases with a mask (imagesTr).
        without_mask: Names of the cases without one (imagesTs).
        failures: Error message, one line, by case name.
        warnings: What had to be assumed while reading, by case name.
        unnamed: Labels that became background, by case name.
    """

    written: list[str] = field(default_factory=list)
    without_mask: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unnamed: dict[str, tuple[int, ...]] = field(default_factory=dict)


def number_labels(regions: Regions, ignored: int | None = None) -> NnunetLabels:
    """Number the labels of regions consecutively, in the order of their old numbers.

    Args:
        regions: Regions with their labels. Regions that share labels become regions of nnU-Net,
            and all others become labels.
        ignored: Label of voxels of which nothing is known; it gets the highest number.

    Raises:
        LiverSegError: If nnU-Net cannot express the regions: two have the same labels, or a
            nested one comes before the outer one.

    Example:
        >>> number_labels(Regions({"liver": [1], "spleen": [3]})).entries
        {'labels': {'background': 0, 'liver': 1, 'spleen': 2}}
    """
    used = sorted({label for _, of in regions.items for label in of})
    numbers = {old: new for new, old in enumerate(used, 1)}
    if ignored is not None:
        numbers[ignored] = len(numbers) + 1
    labels: dict[str, Any] = {"background": 0}
    for name, of in regions.items:
        if name in ("background", "ignore"):
            raise SettingsError(
                f"Expected names of regions other than background and ignore. Received '{name}'."
            )
        labels[name] = [numbers[old] for old in of] if len(of) > 1 else numbers[of[0]]
    if ignored is not None:
        labels["ignore"] = numbers[ignored]
    entries: dict[str, Any] = {"labels": labels}
    if any(len(of) > 1 for _, of in regions.items):
        entries["regions_class_order"] = [numbers[label] for label in regions.written_labels]
    return NnunetLabels(numbers, entries)


def write_nnunet_dataset(
    cases: list[Case],
    target: NnunetTarget,
    workers: Workers | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> WrittenCases:
    """Write cases as a data set of nnU-Net v2.

    Images become imagesTr/NAME_0000.nii.gz and masks labelsTr/NAME.nii.gz, in the axis order of
    the image; images without a mask become imagesTs/NAME_0000.nii.gz. Nothing is interpolated.

    Args:
        cases: Cases of a data set.
        target: What is written.
        workers: Workers that read and write the cases; one process by default.
        on_case: Called with the name of each case when it is done.

    Raises:
        LiverSegError: If the folder contains a data set, or nnU-Net cannot express the labels.
    """
    folder = target.folder
    for name in ("dataset.json", "imagesTr", "labelsTr", "imagesTs"):
        if (folder / name).exists():
            raise LiverSegError(f"Expected a new folder. Received {folder}, which has {name}.")
    description = {
        "channel_names": {"0": target.channel_name},
        **target.labels.entries,
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }
    parse_nnunet_description(description, folder / "dataset.json")
    result = WrittenCases()
    jobs = [(case, target) for case in cases]
    for index, outcome in run_jobs(_write_case, jobs, workers or Processes()):
        name, has_mask = cases[index].name, cases[index].mask is not None
        if isinstance(outcome, tuple):
            (result.written if has_mask else result.without_mask).append(name)
            result.unnamed[name], result.warnings[name] = outcome
        else:
            result.failures[name] = f"{name}: {outcome}"
        on_case(name)
    if result.written:
        write_json(folder / "dataset.json", description | {"numTraining": len(result.written)})
    return result


def _write_case(
    job: tuple[Case, NnunetTarget],
) -> tuple[tuple[int, ...], tuple[str, ...]] | str:
    """Write a case in a worker; return its unnamed labels and its warnings, or why it failed."""
    case, target = job
    try:
        mask: Volume | None
        if case.mask is None:
            image, mask = read_volumes(case, target.channel)
            check_finite(image)
        else:
            image, mask = read_case(case, target.channel)
        if has_guessed_geometry(case, image):
            return "header without geometry: set --spacing-of and --orientation"
        if mask is None:
            write_volume(target.folder / "imagesTs" / f"{case.name}_0000.nii.gz", image)
            return (), image.warnings
        mask = target.annotations.of(case.name).mark_unlabelled_slices(mask)
        mask = match_axes(mask, image)
        numbers, unnamed = _renumber(mask.array, target.labels.numbers)
        if unnamed and not target.allow_unnamed:
            listed = ", ".join(map(str, unnamed[:8]))
            return f"Expected labels that dataset.json names. Received also {listed}."
        labels = replace(mask, array=numbers)
        write_labels(target.folder / "labelsTr" / f"{case.name}.nii.gz", labels)
        write_volume(target.folder / "imagesTr" / f"{case.name}_0000.nii.gz", image)
        return unnamed, image.warnings
    except LiverSegError as error:
        return str(error)


def _renumber(labels: np.ndarray, numbers: dict[int, int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return a label map with new numbers, and the labels that have none and are 0 there."""
    table = np.zeros(256, np.uint8)
    table[list(numbers)] = list(numbers.values())
    found = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)).tolist()
    return table[labels], tuple(label for label in found if label and label not in numbers)
