"""Which cases a data set holds: the layouts people have, found by themselves."""

import filecmp
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json
from liverseg_tf.ct.correction import GridCorrection
from liverseg_tf.ct.dicom import DicomSeries, holds_series
from liverseg_tf.ct.images import image_stem
from liverseg_tf.ct.nifti import nifti_stem
from liverseg_tf.ct.tree import walk
from liverseg_tf.dataset.dicom_cases import named_series
from liverseg_tf.errors import LiverSegError, SettingsError

LITS_NAME = re.compile(r"(volume|segmentation)-(\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """One image with its mask.

    Args:
        name: unique within the data set; predictions are written under it.
        image: file of the image, folder of one DICOM series, or the series; it may be missing,
            which its reader reports.
        mask: file of the label map; None where the layout names none.
        correction: of headers that are known to be wrong (see `dataset.corrections`).
    """

    name: str
    image: Path | DicomSeries
    mask: Path | None = None
    correction: GridCorrection | None = None

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
        LiverSegError: when there is no such folder, no case in it, or two files of one name.
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
    if _lits_files(folder):
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
    return _by_name(path for path in sorted(Path(folder).iterdir()) if nifti_stem(path))


def sources_in(folder: Path) -> dict[str, Path]:
    """The image files of any format in a folder, and its DICOM folders, by case name.

    Raises:
        LiverSegError: when two of them have one name.
    """
    paths = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")]
    return _by_name(p for p in paths if image_stem(p) or (p.is_dir() and holds_series(p)))


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
        if image.name != mask.name:
            raise LiverSegError(
                f"Expected image and label of one name in {folder / 'dataset.json'}. "
                f"Received {image.name} and {mask.name}."
            )
        name = case_name(image)
        if name in cases:
            raise LiverSegError(f"Expected one case of each name. Received {name} twice.")
        cases[name] = Case(name, image, mask)
    return list(cases.values())


def _inside(folder: Path, relative: object) -> Path:
    path = os.path.normpath(str(relative))
    if os.path.isabs(path) or path.startswith(".."):
        raise LiverSegError(f"Expected paths inside {folder} in its dataset.json. Received {path}.")
    return folder / path


def _lits_cases(folder: Path) -> list[Case]:
    files = _lits_files(folder)
    images = _by_name(_no_copies(p for p in files if p.name.lower().startswith("volume")))
    masks = _by_name(_no_copies(p for p in files if p.name.lower().startswith("segmentation")))
    return _paired(images, masks, folder, ".nii")


def _lits_files(folder: Path) -> list[Path]:
    """Kaggle unpacks some files into folders of their own name: volume-3.nii/volume-3.nii."""
    below = (root / name for root, folders, names in walk(folder) for name in (*folders, *names))
    found = sorted(path for path in below if LITS_NAME.match(nifti_stem(path) or ""))
    folders = {path.parent for path in found}
    return [path for path in found if path not in folders]


def _no_copies(paths: Iterable[Path]) -> Iterator[Path]:
    """The files without copies under one name: people put the same masks beside each part."""
    known: dict[str, list[Path]] = {}
    for path in paths:
        others = known.setdefault(path.name, [])
        if not any(_same_bytes(path, other) for other in others):
            others.append(path)
            yield path


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # unreadable, which its reader reports
        return False


def _folder_cases(folder: Path) -> list[Case]:
    if not (folder / "images").is_dir():
        raise LiverSegError(f"Expected a folder images/ in {folder}. Received none.")
    return _paired(sources_in(folder / "images"), _masks(folder), folder / "images", ".nii.gz")


def _dicom_cases(folder: Path) -> list[Case]:
    return _paired(named_series(folder), _masks(folder), folder, "")


def _masks(folder: Path) -> dict[str, Path]:
    return sources_in(folder / "masks") if (folder / "masks").is_dir() else {}


def _paired(
    images: dict[str, Path | DicomSeries], masks: dict[str, Path], folder: Path, suffix: str
) -> list[Case]:
    """Pair by name; a mask without its image becomes a case whose image can't be read."""
    return [
        Case(name, images.get(name, folder / (name + suffix)), masks.get(name))
        for name in images | masks
    ]


def _by_name(paths) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(case_name(path), path)
        if other != path:
            raise LiverSegError(f"Expected one file a case. Received {other} and {path}.")
    return named


LAYOUTS = {
    "msd": _msd_cases,
    "lits": _lits_cases,
    "folder": _folder_cases,
    "dicom": _dicom_cases,
}
