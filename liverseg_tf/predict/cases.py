"""Which images there are to be segmented."""

import csv
from collections.abc import Iterable
from pathlib import Path

from liverseg_tf.ct.nifti import nifti_stem
from liverseg_tf.dataset.cases import case_name, find_cases, images_in, recognise_layout
from liverseg_tf.errors import LiverSegError


def find_images(inputs: Iterable[Path]) -> dict[str, Path]:
    """Images by case name.

    Args:
        inputs: NIfTI files, folders of NIfTI files, data sets, and tables (.csv) with a column
            `image` (paths, relative ones from the table's folder) and, if names are wanted, `name`.

    Raises:
        LiverSegError: when an input is none of these, or two images have one name.
    """
    images: dict[str, Path] = {}
    for path in map(Path, inputs):
        for name, image in _images_of(path).items():
            if images.setdefault(name, image) != image:
                raise LiverSegError(
                    f"Expected one image a case. Received {images[name]} and {image}."
                )
    return images


def _images_of(path: Path) -> dict[str, Path]:
    if path.is_dir():
        if recognise_layout(path):
            return {case.name: case.image for case in find_cases(path)}
        images = images_in(path)
        if not images:
            raise LiverSegError(f"Expected NIfTI files or a data set in {path}. Received none.")
        return images
    if path.suffix.lower() == ".csv":
        return _images_of_table(path)
    if nifti_stem(path) is None:
        raise LiverSegError(f"Expected a .nii, .nii.gz or .csv file or a folder. Received {path}.")
    return {case_name(path): path}


def _images_of_table(path: Path) -> dict[str, Path]:
    images: dict[str, Path] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
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
