"""Which cases a data set holds: the layouts people have, found by themselves."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json
from liverseg_tf.ct.dicom.series import DicomSeries, holds_series
from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.ct.images import image_stem
from liverseg_tf.ct.nifti import nifti_stem
from liverseg_tf.dataset.dicom_cases import series_by_name
from liverseg_tf.dataset.lits import LITS_NAME, lits_files
from liverseg_tf.errors import LiverSegError, SettingsError


@dataclass(frozen=True)
class Case:
    """One image with its mask.

    Args:
        name: unique within the data set; predictions are written under it.
        image: file of the image, folder of one DICOM series, or the series; it may be missing,
            which its reader reports.
        mask: file of the label map; None where the layout names none.
        correction: of headers that are known to be wrong (see `dataset.corrections`).
        ambiguity: why no one can tell which files are meant; its reader reports it.
    """

    name: str
    image: Path | DicomSeries
    mask: Path | None = None
    correction: GridCorrection | None = None
    ambiguity: str | None = None

    @property
    def has_image(self) -> bool:
        """Whether the image is there; whether it can be read is another matter."""
        return isinstance(self.image, DicomSeries) or self.image.exists()


def find_cases(folder: Path, layout: str | None = None) -> list[Case]:
    """The cases of a data set, sorted by name (numbers by value).

    Args:
        folder: its root.
        layout: 'msd' (dataset.json as in the Medical Segmentation Decathlon), 'lits'
            (volume-N and segmentation-N anywhere below the folder), 'folder' (images/ and
            masks/ with equal names; images may be folders of DICOM files) or 'dicom' (a tree
            of DICOM series, with their masks in masks/); None finds out.

    Raises:
        LiverSegError: as `list_cases`, and when two files have one name.
    """
    cases = list_cases(folder, layout)
    for case in cases:
        if case.ambiguity is not None:
            raise LiverSegError(case.ambiguity)
    return cases


def list_cases(folder: Path, layout: str | None = None) -> list[Case]:
    """As `find_cases`, with the cases of which there are two: they must not cost the others.

    Raises:
        LiverSegError: when there is no such folder, or no case in it.
    """
    folder = Path(folder).absolute()  # the cases may travel to workers that stand elsewhere
    if not folder.is_dir():
        raise LiverSegError(f"Expected a data set folder at {folder}. Received no such folder.")
    if layout not in (None, *LAYOUTS):
        raise SettingsError(f"Expected a layout of {', '.join(LAYOUTS)}. Received {layout!r}.")
    layout = layout or recognise_layout(folder)
    if layout is None:
        raise LiverSegError(
            f"Expected a data set in {folder}: a dataset.json (msd), volume-N.nii with "
            "segmentation-N.nii (lits), images/ with masks/ (folder), or DICOM files (dicom). "
            "Received none of these."
        )
    cases = LAYOUTS[layout](folder)
    if not cases:
        raise LiverSegError(f"Expected cases in {folder} (layout {layout}). Received none.")
    return sorted(cases, key=lambda case: natural_order(case.name))


def recognise_layout(folder: Path) -> str | None:
    """The layout of a data set folder; None where it is none."""
    if (folder / "dataset.json").is_file():
        return "msd"
    if (folder / "images").is_dir():
        return "folder"
    if any(lits_files(folder)):
        return "lits"
    return "dicom" if holds_series(folder) else None


def case_name(path: Path) -> str:
    """The case that a file belongs to: its stem; segmentation-N belongs to volume-N."""
    stem = image_stem(Path(path)) or Path(path).name
    match = LITS_NAME.match(stem)
    return f"volume-{match[2]}" if match else stem


def natural_order(name: str) -> list[tuple[int, int | str]]:
    """A sorting key that puts liver_2 before liver_10; no two names have the same."""
    parts = re.split(r"(\d+)", name)
    key = [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]
    return [*key, (-1, name)]


def images_in(folder: Path) -> dict[str, Path]:
    """The NIfTI files of a folder by case name; hidden files (`._x`) are passed over.

    Raises:
        LiverSegError: when two files have one name (x.nii and x.nii.gz).
    """
    return _only(_by_name(path for path in sorted(Path(folder).iterdir()) if nifti_stem(path)))


def sources_in(folder: Path) -> dict[str, Path]:
    """The image files of any format in a folder, and its DICOM folders, by case name.

    Raises:
        LiverSegError: when two of them have one name.
    """
    return _only(_sources_in(folder))


def _msd_cases(folder: Path) -> list[Case]:
    entries = read_json(folder / "dataset.json").get("training")
    if not isinstance(entries, list):
        raise LiverSegError(
            f"Expected a list 'training' in {folder / 'dataset.json'}. Received {entries!r}."
        )
    cases: dict[str, Case] = {}
    for entry in entries:
        if not (isinstance(entry, dict) and {"image", "label"} <= entry.keys()):
            raise LiverSegError(
                f"Expected entries with image and label in {folder / 'dataset.json'}. "
                f"Received {entry!r}."
            )
        image, mask = (_inside(folder, entry[key]) for key in ("image", "label"))
        if image_stem(image) is None:
            continue  # the archives hold ._ files of the machine that packed them
        name, ambiguity = case_name(image), None
        if name in cases:
            ambiguity = f"Expected one case of each name. Received {name} twice."
        elif image.name != mask.name:
            ambiguity = (
                f"Expected image and label of one name in {folder / 'dataset.json'}. "
                f"Received {image.name} and {mask.name}."
            )
        cases[name] = Case(name, image, mask, ambiguity=ambiguity)
    return list(cases.values())


def _inside(folder: Path, relative: object) -> Path:
    path = os.path.normpath(str(relative))
    if os.path.isabs(path) or path.startswith(".."):
        raise LiverSegError(f"Expected paths inside {folder} in its dataset.json. Received {path}.")
    return folder / path


def _lits_cases(folder: Path) -> list[Case]:
    images, masks = (_by_name(files) for files in lits_files(folder))
    return _paired(images, masks, folder, ".nii")


def _folder_cases(folder: Path) -> list[Case]:
    if not (folder / "images").is_dir():
        raise LiverSegError(f"Expected a folder images/ in {folder}. Received none.")
    return _paired(_sources_in(folder / "images"), _masks(folder), folder / "images", ".nii.gz")


def _dicom_cases(folder: Path) -> list[Case]:
    return _paired(series_by_name(folder), _masks(folder), folder, "")


def _masks(folder: Path) -> dict[str, list[Path]]:
    return _sources_in(folder / "masks") if (folder / "masks").is_dir() else {}


def _sources_in(folder: Path) -> dict[str, list[Path]]:
    paths = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")]
    return _by_name(p for p in paths if image_stem(p) or (p.is_dir() and holds_series(p)))


def _paired(
    images: dict[str, list[Path]] | dict[str, list[DicomSeries]],
    masks: dict[str, list[Path]],
    folder: Path,
    suffix: str,
) -> list[Case]:
    """Pair by name; a mask without its image becomes a case whose image can't be read."""
    cases = []
    for name in images | masks:
        image = images.get(name, [folder / (name + suffix)])
        mask = masks.get(name, [None])
        ambiguity = _doubt(name, image) or _doubt(name, mask)
        cases.append(Case(name, image[0], mask[0], ambiguity=ambiguity))
    return cases


def _by_name(paths: Iterable[Path]) -> dict[str, list[Path]]:
    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(case_name(path), []).append(path)
    return named


def _only(named: dict[str, list[Path]]) -> dict[str, Path]:
    for name, files in named.items():
        if ambiguity := _doubt(name, files):
            raise LiverSegError(ambiguity)
    return {name: files[0] for name, files in named.items()}


def _doubt(name: str, files: list) -> str | None:
    if len(files) == 1:
        return None
    return f"Expected one file a case. Received {files[0]} and {files[1]}, both named {name}."


LAYOUTS = {
    "msd": _msd_cases,
    "lits": _lits_cases,
    "folder": _folder_cases,
    "dicom": _dicom_cases,
}
