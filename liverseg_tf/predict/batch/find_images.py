"""Finding the images to segment in files, folders, data sets and tables."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem
from liverseg_tf.dataset.cases import case_name, detect_layout, find_cases, find_image_sources
from liverseg_tf.dataset.dicom_cases import find_series_by_name
from liverseg_tf.errors import LiverSegError


def find_images(inputs: Iterable[Path]) -> dict[str, Path | DicomSeries]:
    """Find images and name them.

    Args:
        inputs: NIfTI, MetaImage and NRRD files, folders of them, DICOM folders or folder trees,
            data sets, and tables (.csv) with a column `image` and optionally a column `name`.
            Relative paths in a table start at its folder.

    Returns:
        Images by case name. If a folder contains a single DICOM series, the series gets the name
        of the folder.

    Raises:
        LiverSegError: If an input is none of these, or two images have the same name.
    """
    images: dict[str, Path | DicomSeries] = {}
    for path in (Path(item).absolute() for item in inputs):
        for name, image in _find_in(path).items():
            if images.setdefault(name, image) != image:
                raise LiverSegError(
                    f"Expected one image per case name. Received {images[name]} and {image}, "
                    f"both named {name}."
                )
    return images


def _find_in(path: Path) -> Mapping[str, Path | DicomSeries]:
    if not path.is_dir():
        if path.suffix.lower() == ".csv":
            return _read_table(path)
        if image_stem(path) is None:
            raise LiverSegError(
                f"Expected a file ending in {', '.join(IMAGE_SUFFIXES)} or .csv, or a folder. "
                f"Received {path}."
            )
        return {case_name(path): path}
    layout = detect_layout(path)
    if layout and (layout != "dicom" or (path / "masks").is_dir()):
        return {case.name: case.image for case in find_cases(path)}
    files = {name: file for name, file in find_image_sources(path).items() if not file.is_dir()}
    if layout is None and not files:
        raise LiverSegError(
            f"Expected image files, DICOM files or a data set in {path}, but found no image."
        )
    if layout is None:
        return files
    if files:
        raise LiverSegError(
            f"Expected either image files or DICOM files in {path}. "
            f"Received {next(iter(files.values())).name} beside DICOM files."
        )
    series = find_series_by_name(path)
    if len(series) == 1:
        return {path.resolve().name: next(iter(series.values()))}
    return series


def _read_table(path: Path) -> dict[str, Path]:
    images: dict[str, Path] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # spreadsheet programs may append rows that contain only commas
            rows = [row for row in csv.DictReader(file) if any(row.values())]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a table at {path}. Received: {reason}.") from error
    for number, row in enumerate(rows, 1):
        if not row.get("image"):
            raise LiverSegError(
                f"Expected a path in the column image of each row of {path}. Row {number} has none."
            )
        image = path.parent / row["image"].strip()
        name = (row.get("name") or "").strip() or case_name(image)
        if Path(name).name != name or name.startswith("."):
            raise LiverSegError(
                f"Expected case names in {path} that are valid as file names. Received '{name}'."
            )
        if name in images:
            raise LiverSegError(
                f"Expected each case name in {path} once. Received '{name}' more than once."
            )
        images[name] = image
    if not images:
        raise LiverSegError(f"Expected at least one row with an image in the table {path}.")
    return images
