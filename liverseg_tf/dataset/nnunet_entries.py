"""The cases of a data set of nnU-Net v2."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.images import image_stem, is_unread_image
from liverseg_tf.dataset.nnunet_description import (
    NnunetDescription,
    is_nnunet_dataset,
    read_nnunet_description,
)
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable

_NUMBERED = re.compile(r"(.+)_(\d{4})", re.ASCII | re.DOTALL)
_PARTS = {f"{kind}{part}": part for kind in ("images", "labels") for part in ("Tr", "Ts")}


@dataclass(frozen=True)
class NnunetEntry:
    """The files of one case.

    Args:
        name: Name of the case, without the number of the channel.
        image: Path of the image; it may be missing.
        mask: Path of the label map; None if there is none.
        problem: Why the files cannot be used, one line; None if they can.
    """

    name: str
    image: Path
    mask: Path | None
    problem: str | None = None


def split_channel(stem: str) -> tuple[str, str] | None:
    """Split the stem of an image's file into the name of the case and the number of the channel.

    Example:
        >>> split_channel("liver_0_0000"), split_channel("liver_0")
        (('liver_0', '0000'), None)
    """
    match = _NUMBERED.fullmatch(stem)
    return None if match is None else (match[1], match[2])


def first_channel(path: Path) -> Path:
    """Return the image `NAME_0000` if `NAME` does not exist: nnU-Net v1 lists it without number.

    If there is a second channel, the path is returned as it is, and reading it fails.
    """
    stem = image_stem(path)
    if stem is None or os.path.exists(path):
        return path
    first, second = (
        path.with_name(f"{stem}_{number}{path.name[len(stem) :]}") for number in ("0000", "0001")
    )
    return first if os.path.exists(first) and not os.path.exists(second) else path


def find_nnunet_part(folder: Path) -> tuple[Path, str] | None:
    """Find the data set to which a folder imagesTr, imagesTs, labelsTr or labelsTs belongs.

    Returns:
        Folder of the data set, and 'Tr' or 'Ts'. None if it is no such folder.
    """
    folder = Path(folder).absolute()
    part = _PARTS.get(folder.name)
    return (folder.parent, part) if part and is_nnunet_dataset(folder.parent) else None


def find_images_of_labels(folder: Path) -> dict[str, Path]:
    """Find the images to the masks in labelsTr or labelsTs of nnU-Net.

    Returns:
        Images by case name; an empty dictionary if it is no such folder.
    """
    found = find_nnunet_part(folder)
    images = None if found is None else found[0] / f"images{found[1]}"
    if images is None or not images.is_dir():
        return {}
    split = {path: split_channel(image_stem(path) or "") for path in _image_files(images)}
    return {one[0]: path for path, one in split.items() if one is not None and one[1] == "0000"}


def read_nnunet_entries(folder: Path, part: str = "Tr") -> list[NnunetEntry]:
    """Find the cases of a data set of nnU-Net v2.

    Args:
        folder: Folder of the data set, with dataset.json.
        part: 'Tr' for the training cases, 'Ts' for the test cases.

    Raises:
        LiverSegError: If the description is wrong, a folder of images is missing, or there are
            several channels.
    """
    folder = Path(folder).absolute()
    description = read_nnunet_description(folder)
    _check_channels(description, folder)
    if part == "Tr" and description.files is not None:
        return [
            _read_listed(folder, name, files, description.file_ending)
            if _is_plain(name)
            else _refuse_name(folder, name, number)
            for number, (name, files) in enumerate(description.files.items(), 1)
        ]
    images, problems = _find_images(folder / f"images{part}", description)
    masks = _find_masks(folder / f"labels{part}", description.file_ending, problems)
    missing = folder / f"images{part}"
    return [
        NnunetEntry(
            name,
            images.get(name, missing / f"{name}_0000{description.file_ending}"),
            masks.get(name),
            problems.get(name),
        )
        for name in images | masks | problems
    ]


def _check_channels(description: NnunetDescription, folder: Path) -> None:
    if len(description.channels) > 1:
        listed = ", ".join(map(printable, description.channels))
        raise LiverSegError(
            f"Expected one channel in {folder / 'dataset.json'}. Received "
            f"{len(description.channels)} ({listed}): copy the files of one channel to a data set "
            "of its own, named NAME_0000, with one entry in channel_names."
        )


def _find_images(
    folder: Path, description: NnunetDescription
) -> tuple[dict[str, Path], dict[str, str]]:
    """Images and problems by case name."""
    ending = description.file_ending
    if not folder.is_dir():
        raise LiverSegError(
            f"Expected a folder {folder.name}/ in {folder.parent}. Received no such folder."
        )
    images: dict[str, Path] = {}
    problems: dict[str, str] = {}
    for path in _image_files(folder):
        stem = path.name[: -len(ending)] if path.name.endswith(ending) else None
        name, number = (stem and split_channel(stem)) or (path.name, None)
        if number is None:
            problems[name] = (
                f"Expected names such as NAME_0000{ending} in {folder}. "
                f"Received {printable(path.name)}."
            )
        elif number != "0000":
            raise _several_channels(path, folder)
        else:
            images[name] = path
    return images, problems


def _several_channels(path: Path, folder: Path) -> LiverSegError:
    """Make the error for the file of a second channel."""
    return LiverSegError(
        f"Expected one image per case in {folder}, of one channel (NAME_0000). Received also "
        f"{printable(path.name)}, which names another channel: copy the files of one channel to a "
        "folder of their own, all named NAME_0000."
    )


def _find_masks(folder: Path, ending: str, problems: dict[str, str]) -> dict[str, Path]:
    """Masks by case name; files with another ending are added to the problems."""
    masks: dict[str, Path] = {}
    for path in _image_files(folder) if folder.is_dir() else ():
        if path.name.endswith(ending):
            masks[path.name[: -len(ending)]] = path
        else:
            problems[image_stem(path) or path.name] = (
                f"Expected masks ending in {ending}, the file_ending of dataset.json, in {folder}. "
                f"Received {printable(path.name)}."
            )
    return masks


def _image_files(folder: Path) -> list[Path]:
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    return [path for path in paths if image_stem(path) or is_unread_image(path)]


def _is_plain(name: str) -> bool:
    """Return whether a name can be that of a file, and leads to no other folder."""
    return Path(name).name == name and not name.startswith(".") and not set(name) & set("\\\0")


def _refuse_name(folder: Path, name: str, number: int) -> NnunetEntry:
    problem = (
        f"Expected names of cases in dataset of {folder / 'dataset.json'} that are valid as file "
        f"names. Received {printable(name[:100])}."
    )
    return NnunetEntry(f"entry_{number}", folder / "entry", None, problem)


def _read_listed(folder: Path, name: str, files: object, ending: str) -> NnunetEntry:
    """Read an entry of `dataset` in dataset.json."""
    source = f"the entry {printable(name)} of dataset in {folder / 'dataset.json'}"
    images, label = (
        (files.get("images"), files.get("label")) if isinstance(files, dict) else (None, None)
    )
    texts = [*images, label] if isinstance(images, list) else []
    given = [text for text in texts if isinstance(text, str)]
    if given != texts or len(given) != 2:
        problem = f"Expected a list of one path as images, and a path as label, in {source}."
        are_paths = given == texts and len(given) > 1
        received = f"{len(given) - 1} images" if are_paths else "other values"
        return NnunetEntry(name, folder / "entry", None, f"{problem} Received {received}.")
    paths = [os.path.normpath(text.replace("\\", "/")) for text in given]
    for text, path in zip(given, paths, strict=True):
        if os.path.isabs(path) or path.split("/")[0] == ".." or re.match("[A-Za-z]:", path):
            problem = (
                f"Expected paths inside {folder} in {source}. Received {printable(text)}: link the "
                "files into this folder."
            )
            return NnunetEntry(name, folder / "entry", None, problem)
        if not path.endswith(ending):
            problem = f"Expected files ending in {ending} in {source}. Received {printable(text)}."
            return NnunetEntry(name, folder / "entry", None, problem)
    return NnunetEntry(name, folder / paths[0], folder / paths[1])
