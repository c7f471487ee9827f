"""Finding the images to segment in files, folders, data sets and tables."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem
from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.dataset.cases import (
    Case,
    case_name,
    detect_layout,
    find_cases,
    find_image_sources,
    find_nnunet_cases,
)
from liverseg_tf.dataset.dicom_cases import group_series_by_name
from liverseg_tf.dataset.nnunet_entries import find_nnunet_part
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.predict.batch.channel_names import drop_channels, name_without_channel

Source = Path | DicomSeries


@dataclass
class FoundImages:
    """The images that were found, and the inputs that cannot be used.

    Args:
        images: Images by case name.
        failures: Error message, one line, by the name of the case or the path of the input.
    """

    images: dict[str, Source] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def find_images(inputs: Iterable[Path]) -> FoundImages:
    """Find images and name them.

    If a folder contains a single DICOM series, the series gets the name of the folder. Files and
    folders of the same name get the names of their parent folders in front: `p1/CT` and `p2/CT`
    become `p1_CT` and `p2_CT`. Names lose the number of the only channel, as in nnU-Net:
    `case_0000.nii.gz` becomes `case`.

    Args:
        inputs: NIfTI, MetaImage and NRRD files, folders of them, DICOM folders or folder trees,
            data sets, and tables (.csv) with a column `image` and optionally a column `name`.
            Relative paths in a table start at its folder.

    Raises:
        LiverSegError: If no image is found; the message is that of the first input.
    """
    found = FoundImages()
    by_name: dict[str, list[tuple[Source, Path | None]]] = {}
    for path in (Path(item).absolute() for item in inputs):
        try:
            own = _find_in(path, found.failures)
        except LiverSegError as error:
            found.failures[str(path)] = str(error)
            continue
        except OSError as error:  # a folder that must not be read, a name that is too long
            reason = reason_of(error)
            found.failures[str(path)] = f"Expected access to {path}. Received: {reason}."
            continue
        for name, image in own.items():
            # an input that is one image can be named after its parent folders
            named = (image, path if list(own) == [name] and path.suffix != ".csv" else None)
            others = by_name.setdefault(name, [])
            if all(image != other for other, _ in others):
                others.append(named)
    for name, images in by_name.items():
        _add(found, name, images, set(by_name))
    if not found.images and found.failures:
        raise LiverSegError(next(iter(found.failures.values())))
    return found


def _add(
    found: FoundImages, name: str, images: list[tuple[Source, Path | None]], taken: set[str]
) -> None:
    """Add images of the same name under different names, or a failure."""
    if len(images) == 1:
        found.images[name] = images[0][0]
        return
    paths = [path for _, path in images if path is not None]
    depth = max(len(path.parts) for path in paths) if len(paths) == len(images) else 0
    for length in range(1, depth):
        names = [_name_with_parents(name, path, length) for path in paths]
        if len(set(names)) == len(names) and not (taken | found.images.keys()) & set(names):
            found.images |= zip(names, (image for image, _ in images), strict=True)
            return
    found.failures[name] = (
        f"Expected one image per case name. Received {images[0][0]} and {images[1][0]}, both named "
        f"{name}: predict them into different folders, or name them in a table (.csv) with the "
        "columns image and name."
    )


def _name_with_parents(name: str, path: Path, length: int) -> str:
    return "_".join((*path.parent.parts[1:][-length:], name))


def _find_in(path: Path, failures: dict[str, str]) -> Mapping[str, Source]:
    """Find the images of one input; ambiguous cases are added to the failures."""
    if not path.is_dir():
        if path.suffix.lower() == ".csv":
            return _read_table(path)
        if image_stem(path) is None:
            raise LiverSegError(
                f"Expected a file ending in {', '.join(IMAGE_SUFFIXES)} or .csv, or a folder. "
                f"Received {path}."
            )
        return {name_without_channel(path, case_name(path)): path}
    if path.name.startswith("images") and (part := find_nnunet_part(path)) is not None:
        return _unambiguous(find_nnunet_cases(*part), failures)
    layout = detect_layout(path)
    if layout and (layout != "dicom" or (path / "masks").is_dir()):
        return _unambiguous(find_cases(path, allow_ambiguous=True), failures)
    files = {name: file for name, file in find_image_sources(path).items() if not file.is_dir()}
    if layout is None and not files:
        raise LiverSegError(
            f"Expected image files, DICOM files or a data set in {path}, but found no image."
        )
    if layout is None:
        return drop_channels(files)
    if files:
        raise LiverSegError(
            f"Expected either image files or DICOM files in {path}. "
            f"Received {next(iter(files.values())).name} beside DICOM files."
        )
    return _find_series(path, failures)


def _unambiguous(cases: list[Case], failures: dict[str, str]) -> dict[str, Source]:
    failures |= {case.name: case.ambiguity for case in cases if case.ambiguity is not None}
    return {case.name: case.image for case in cases if case.ambiguity is None}


def _find_series(path: Path, failures: dict[str, str]) -> dict[str, Source]:
    by_name = group_series_by_name(path)
    for name, (first, *others) in by_name.items():
        if others:
            failures[name] = (
                f"Expected one series per case. Received {first} and {others[0]}, both named "
                f"{name}: predict their folders one by one, into different folders."
            )
    series: dict[str, Source] = {name: own[0] for name, own in by_name.items() if len(own) == 1}
    return {path.resolve().name: next(iter(series.values()))} if len(by_name) == 1 else series


def _read_table(path: Path) -> dict[str, Source]:
    images: dict[str, Source] = {}
    regular_file_size(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # spreadsheet programs may append rows that contain only commas
            rows = [row for row in csv.DictReader(file) if any(row.values())]
    except (OSError, ValueError, csv.Error) as error:
        reason = reason_of(error)
        raise LiverSegError(f"Expected a table at {path}. Received: {reason}.") from error
    for number, row in enumerate(rows, 1):
        if not row.get("image"):
            raise LiverSegError(
                f"Expected a path in the column image of each row of {path}. Row {number} has none."
            )
        image = path.parent / row["image"].strip()
        name = (row.get("name") or "").strip() or case_name(image)
        if Path(name).name != name or name.startswith(".") or "\0" in name:
            raise LiverSegError(
                f"Expected case names in {path} that are valid as file names. Received '{name}'."
            )
        if name in images:
            raise LiverSegError(
                f"Expected each case name in {path} once. Received '{name}' more than once: give "
                "the images different names in the column name."
            )
        images[name] = image
    if not images:
        raise LiverSegError(f"Expected at least one row with an image in the table {path}.")
    return images
