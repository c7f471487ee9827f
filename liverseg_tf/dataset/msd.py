"""The training entries of a dataset.json as in the Medical Segmentation Decathlon."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem
from liverseg_tf.dataset.nnunet_description import is_nnunet_description
from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import read_record

_KEYS = ("image", "label")
_SHOWN = 100  # characters of an entry in an error message
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class MsdEntry:
    """Image and mask of one entry.

    Args:
        image: Path of the image; `entry_N` if the entry has none.
        mask: Path of the label map.
        problem: Why the entry cannot be used, one line; None if it can. The files may be missing.
    """

    image: Path
    mask: Path
    problem: str | None = None


def read_msd_entries(folder: Path) -> list[MsdEntry]:
    """Read the list `training` of `folder/dataset.json`, in its order.

    Slashes of Windows are accepted. Entries of hidden files (`._x`) are left out: archives that
    were packed on a Mac contain such files.

    Raises:
        LiverSegError: If the file is not a JSON object with a list `training`, or is a description
            of nnU-Net v2.
    """
    path = folder / "dataset.json"
    content = read_record(path, dict)
    if is_nnunet_description(content):
        raise LiverSegError(
            f"Expected a list 'training' in {path}. Received a data set of nnU-Net v2: use "
            "--layout nnunet."
        )
    entries = content.get("training")
    if not isinstance(entries, list):
        received = "a file without it" if entries is None else "another type of value"
        raise LiverSegError(f"Expected a list 'training' in {path}. Received {received}.")
    parsed = [_parse(folder, entry, number) for number, entry in enumerate(entries, 1)]
    return [entry for entry in parsed if not entry.image.name.startswith("._")]


def _parse(folder: Path, entry: object, number: int) -> MsdEntry:
    source = f"entry {number} of {folder / 'dataset.json'}"
    image, label = (entry.get(key) if isinstance(entry, dict) else None for key in _KEYS)
    if not (isinstance(image, str) and isinstance(label, str)):
        received = json.dumps(entry)
        received = received if len(received) < _SHOWN else f"{received[:_SHOWN]}..."
        return MsdEntry(
            Path(f"entry_{number}"),
            Path(),
            f"Expected one path each as image and label in {source}. Received {received}.",
        )
    paths = [_normalise(folder, text) for text in (image, label)]
    problem: str | None = None
    for text, relative in zip((image, label), paths, strict=True):
        if os.path.isabs(relative) or _DRIVE.match(relative) or relative.split("/")[0] == "..":
            problem = f"Expected paths inside {folder} in {source}. Received {text}."
    image_path, mask_path = (folder / relative for relative in paths)
    if problem is None and image_path.name.startswith("._"):
        return MsdEntry(image_path, mask_path)
    if problem is None and None in (image_stem(image_path), image_stem(mask_path)):
        problem = (
            f"Expected files ending in {', '.join(IMAGE_SUFFIXES)} in {source}. "
            f"Received {image} and {label}."
        )
    elif problem is None and image_path.name != mask_path.name:
        problem = (
            f"Expected image and label of the same name in {source}. "
            f"Received {image_path.name} and {mask_path.name}."
        )
    return MsdEntry(image_path, mask_path, problem)


def _normalise(folder: Path, text: str) -> str:
    """Return a path with slashes, without `.` and doubled slashes."""
    try:
        if "\\" in text and os.path.lexists(folder / text):
            return text  # on Linux, a backslash may be part of a name
    except ValueError:  # a null character
        pass
    return os.path.normpath(text.replace("\\", "/"))
