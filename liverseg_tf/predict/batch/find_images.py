"""Which images there are to be segmented."""

import csv
from collections.abc import Iterable
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem
from liverseg_tf.dataset.cases import case_name, find_cases, recognise_layout, sources_in
from liverseg_tf.dataset.dicom_cases import named_series
from liverseg_tf.errors import LiverSegError


def find_images(inputs: Iterable[Path]) -> dict[str, Path | DicomSeries]:
    """Images by case name.

    Args:
        inputs: NIfTI, MetaImage and NRRD files, folders of them, DICOM folders or trees of
            them, data sets, and tables (.csv) with a column `image` (paths, relative ones from the
            table's folder) and, if names are wanted, `name`. A folder with one DICOM series gives
            it its name.

    Raises:
        LiverSegError: when an input is none of these, or two images have one name.
    """
    images: dict[str, Path | DicomSeries] = {}
    for path in (Path(given).absolute() for given in inputs):
        for name, image in _images_of(path).items():
            if images.setdefault(name, image) != image:
                raise LiverSegError(
                    f"Expected one image a case. Received {images[name]} and {image}."
                )
    return images


def _images_of(path: Path) -> dict[str, Path | DicomSeries]:
    if not path.is_dir():
        if path.suffix.lower() == ".csv":
            return _images_of_table(path)
        if image_stem(path) is None:
            raise LiverSegError(
                f"Expected a file ending in {', '.join(IMAGE_SUFFIXES)} or .csv, or a folder. "
                f"Received {path}."
            )
        return {case_name(path): path}
    layout = recognise_layout(path)
    if layout and (layout != "dicom" or (path / "masks").is_dir()):
        return {case.name: case.image for case in find_cases(path)}
    files = {name: file for name, file in sources_in(path).items() if not file.is_dir()}
    if layout is None and not files:
        raise LiverSegError(
            f"Expected image files, DICOM files or a data set in {path}. Received none."
        )
    if layout is None:
        return files
    if files:
        raise LiverSegError(
            f"Expected either image files or DICOM files in {path}. "
            f"Received {next(iter(files.values())).name} beside DICOM files."
        )
    series = named_series(path)
    return {path.resolve().name: one for one in series.values()} if len(series) == 1 else series


def _images_of_table(path: Path) -> dict[str, Path]:
    images: dict[str, Path] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # spreadsheets leave rows of commas alone behind their tables
            rows = [row for row in csv.DictReader(file) if any(row.values())]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LiverSegError(f"Expected a table at {path}. Received: {reason}.") from error
    for row in rows:
        if not row.get("image"):
            raise LiverSegError(
                f"Expected a path in the column image of each row of {path}. Received {row}."
            )
        image = path.parent / row["image"].strip()
        name = (row.get("name") or "").strip() or case_name(image)
        if name in images or Path(name).name != name or name.startswith("."):
            raise LiverSegError(
                f"Expected names in {path} that can be files, each once. Received {name!r}."
            )
        images[name] = image
    if not images:
        raise LiverSegError(f"Expected rows in {path}. Received none.")
    return images
