"""The cases of a data set, found in any of the supported layouts."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from liverseg_tf.choices import LAYOUTS
from liverseg_tf.ct.dicom.series import DicomSeries, contains_series
from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.ct.images import image_stem, is_unread_image
from liverseg_tf.ct.segments.read_segments import segment_stem
from liverseg_tf.ct.segments.segment_names import SegmentNames
from liverseg_tf.dataset.dicom_cases import group_series_by_name
from liverseg_tf.dataset.lits import LITS_NAME, find_lits_files
from liverseg_tf.dataset.mask_files import find_mask_files, find_masks_by_series
from liverseg_tf.dataset.msd import read_msd_entries
from liverseg_tf.dataset.nnunet_description import is_nnunet_dataset
from liverseg_tf.dataset.nnunet_entries import first_channel, read_nnunet_entries
from liverseg_tf.dataset.patients import find_patients
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.printable import printable


@dataclass(frozen=True)
class Case:
    """The image of one patient with its mask.

    Args:
        name: Name of the case, unique within the data set. Output files get this name.
        image: Image file, folder of one DICOM series, or the series. The file may be missing;
            reading the case reports that.
        mask: File of the label map or of named segments. None if there is none for this case.
        correction: Correction of a wrong header; see `dataset.case_corrections`.
        ambiguity: Why it is unclear which files belong to the case. Reading it reports that.
        patient: Patient according to DICOM files and their folders; None if they name none.
        segments: Regions of the mask, if it is a file with named segments.
    """

    name: str
    image: Path | DicomSeries
    mask: Path | None = None
    correction: GridCorrection | None = None
    ambiguity: str | None = None
    patient: str | None = None
    segments: SegmentNames | None = None

    def __repr__(self) -> str:
        image = self.image.name if isinstance(self.image, Path) else self.image
        mask = "none" if self.mask is None else self.mask.name
        notes = "; corrected header" if self.correction is not None else ""
        notes += "; ambiguous files" if self.ambiguity is not None else ""
        return f"Case(name: {self.name}; image: {image}; mask: {mask}{notes})"

    @property
    def has_image(self) -> bool:
        """Whether the image exists, readable or not."""
        return isinstance(self.image, DicomSeries) or os.path.exists(self.image)


def find_cases(
    folder: Path, layout: str | None = None, allow_ambiguous: bool = False
) -> list[Case]:
    """Find the cases of a data set.

    Args:
        folder: Root folder of the data set.
        layout: Layout of the data set; None detects it. 'msd' is dataset.json as in the Medical
            Segmentation Decathlon, 'nnunet' is dataset.json as in nnU-Net v2, 'lits' is volume-N
            and segmentation-N anywhere below the folder, 'folder' is images/ and masks/ with equal
            names (images may be folders of DICOM files), and 'dicom' is folders of DICOM series
            with their masks in masks/, or with DICOM-SEG or RTSTRUCT files that refer to them
            anywhere below the folder.
        allow_ambiguous: Return cases with ambiguous files, marked by their `ambiguity`, instead
            of raising an error.

    Returns:
        Cases sorted by name, numbers by their value.

    Raises:
        LiverSegError: If there is no such folder or no case in it, or two files have the same
            name.
        SettingsError: If the layout is unknown.
    """
    folder = Path(folder).absolute()  # workers may have another working directory
    if not folder.is_dir():
        raise LiverSegError(f"Expected a data set folder at {folder}. Received no such folder.")
    if layout not in (None, *LAYOUTS):
        raise SettingsError(f"Expected a layout of {', '.join(LAYOUTS)}. Received '{layout}'.")
    layout = layout or detect_layout(folder)
    if layout is None:
        raise LiverSegError(
            f"Expected a data set in {folder}: a dataset.json (msd, nnunet), volume-N.nii with "
            "segmentation-N.nii (lits), images/ with masks/ (folder), or DICOM files (dicom). "
            "Received a folder without any of these."
        )
    cases = _FIND_BY_LAYOUT[layout](folder)
    if not cases:
        raise LiverSegError(
            f"Expected cases in {folder} (layout {layout}). Received no files of this layout."
        )
    patients = find_patients({case.name: case.image for case in cases}, folder)
    cases = [
        replace(
            case,
            patient=patients.get(case.name),
            ambiguity=case.ambiguity or _find_encoding_fault(case.name),
        )
        for case in cases
    ]
    cases = sorted(cases, key=lambda case: natural_sort_key(case.name))
    for case in cases:
        if case.ambiguity is not None and not allow_ambiguous:
            raise LiverSegError(case.ambiguity)
    return cases


def detect_layout(folder: Path) -> str | None:
    """Detect the layout of a data set folder. None if it has no known layout."""
    if (folder / "dataset.json").is_file():
        return "nnunet" if is_nnunet_dataset(folder) else "msd"
    if (folder / "images").is_dir():
        return "folder"
    if any(find_lits_files(folder)):
        return "lits"
    return "dicom" if contains_series(folder) else None


def case_name(path: Path) -> str:
    """Return the name of the case of a file: its stem, or volume-N for segmentation-N."""
    stem = segment_stem(Path(path)) or image_stem(Path(path)) or Path(path).name
    match = LITS_NAME.match(stem)
    return f"volume-{match[2]}" if match else stem


def natural_sort_key(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key that puts liver_2 before liver_10; different names have different keys."""
    parts = re.split(r"(\d+)", name)
    key = [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]
    return [*key, (-1, name)]


def find_image_sources(folder: Path) -> dict[str, Path]:
    """Find the image files of any format and the DICOM folders in a folder, by case name.

    Raises:
        LiverSegError: If two of them have the same name.
    """
    return _require_unique(_group_sources(folder))


def _find_msd_cases(folder: Path) -> list[Case]:
    cases: dict[str, Case] = {}
    for entry in read_msd_entries(folder):
        name = case_name(entry.image) if image_stem(entry.image) else entry.image.name
        ambiguity = entry.problem
        if name in cases:
            ambiguity = f"Expected one case of each name in {folder}. Received {name} twice."
        image = first_channel(entry.image)
        cases[name] = Case(name, image, entry.mask, ambiguity=ambiguity)
    return list(cases.values())


def find_nnunet_cases(folder: Path, part: str = "Tr") -> list[Case]:
    """Find the training ('Tr') or test cases ('Ts') of a data set of nnU-Net v2."""
    entries = read_nnunet_entries(folder, part)
    return [Case(one.name, one.image, one.mask, ambiguity=one.problem) for one in entries]


def _find_lits_cases(folder: Path) -> list[Case]:
    images, masks = (_group_by_name(files) for files in find_lits_files(folder))
    return _pair_by_name(images, masks, folder, ".nii")


def _find_folder_cases(folder: Path) -> list[Case]:
    images = folder / "images"
    if not images.is_dir():
        raise LiverSegError(f"Expected a folder images/ in {folder}. Received no such folder.")
    masks = _group_by_name(find_mask_files(folder / "masks"))
    return _pair_by_name(_group_sources(images), masks, images, ".nii.gz")


def _find_dicom_cases(folder: Path) -> list[Case]:
    images = group_series_by_name(folder)
    masks = _group_by_name(find_mask_files(folder / "masks"))
    return _pair_by_name(images, masks or find_masks_by_series(folder, images), folder, "")


def _group_sources(folder: Path) -> dict[str, list[Path]]:
    paths = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")]
    return _group_by_name(
        path
        for path in paths
        if image_stem(path) or is_unread_image(path) or (path.is_dir() and contains_series(path))
    )


def _group_by_name(paths: Iterable[Path]) -> dict[str, list[Path]]:
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(case_name(path), []).append(path)
    return by_name


def _pair_by_name(
    images: dict[str, list[Path]] | dict[str, list[DicomSeries]],
    masks: dict[str, list[Path]],
    folder: Path,
    suffix: str,
) -> list[Case]:
    """Pair images and masks; for a mask without image, the case gets the path that is missing."""
    cases = []
    for name in images | masks:
        image = images.get(name, [folder / (name + suffix)])
        mask = masks.get(name, [None])
        ambiguity = _find_ambiguity(name, image) or _find_ambiguity(name, mask)
        cases.append(Case(name, image[0], mask[0], ambiguity=ambiguity))
    return cases


def _require_unique(by_name: dict[str, list[Path]]) -> dict[str, Path]:
    for name, files in by_name.items():
        if ambiguity := _find_ambiguity(name, files):
            raise LiverSegError(ambiguity)
    return {name: files[0] for name, files in by_name.items()}


def _find_ambiguity(name: str, files: list) -> str | None:
    if len(files) == 1:
        return None
    return f"Expected one file per case. Received {files[0]} and {files[1]}, both named {name}."


def _find_encoding_fault(name: str) -> str | None:
    """Say that a name is not UTF-8, so that no record can contain it."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"Expected file names in UTF-8. Received {printable(name)}: rename the files."
    return None


_FIND_BY_LAYOUT: dict[str, Callable[[Path], list[Case]]] = {
    "msd": _find_msd_cases,
    "nnunet": find_nnunet_cases,
    "lits": _find_lits_cases,
    "folder": _find_folder_cases,
    "dicom": _find_dicom_cases,
}
