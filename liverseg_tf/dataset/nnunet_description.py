"""The dataset.json of nnU-Net v2.

Source: MIC-DKFZ/nnUNet, documentation/dataset_format.md, region_based_training.md and
ignore_label.md.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverseg_tf.ct.images import IMAGE_SUFFIXES
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable
from liverseg_tf.records import read_record

_KEYS = ("channel_names", "labels", "file_ending")
_SHOWN = 100  # characters of an entry in an error message


@dataclass(frozen=True)
class NnunetDescription:
    """What the dataset.json of nnU-Net v2 says.

    Args:
        channels: Names of the channels in the order of their numbers, such as ('CT',).
        regions: One region for each label, or the regions of region-based training in their order.
        ignored: Label of voxels of which nothing is known; None if there is none.
        file_ending: Ending of all files, such as '.nii.gz'.
        case_count: Number of training cases; None if the file does not say.
        files: Images and masks by case name, as the entry `dataset` lists them; None if they are
            those of imagesTr/ and labelsTr/.
    """

    channels: tuple[str, ...]
    regions: Regions
    ignored: int | None
    file_ending: str
    case_count: int | None = None
    files: dict[str, Any] | None = None


def is_nnunet_description(content: dict) -> bool:
    """Return whether the content of a dataset.json is that of nnU-Net v2.

    The Decathlon and nnU-Net v1 have `modality` and `training` instead.
    """
    has_new_keys = "channel_names" in content or "file_ending" in content
    return has_new_keys and not {"modality", "training"} <= content.keys()


def is_nnunet_dataset(folder: Path) -> bool:
    """Return whether a folder holds a dataset.json of nnU-Net v2."""
    path = Path(folder) / "dataset.json"
    try:
        return path.is_file() and is_nnunet_description(read_record(path, dict))
    except LiverSegError:  # reading it as another layout reports that
        return False


def read_nnunet_description(folder: Path) -> NnunetDescription:
    """Read `folder/dataset.json`; see `parse_nnunet_description`."""
    path = Path(folder) / "dataset.json"
    content = read_record(path, dict)
    if not is_nnunet_description(content):
        raise LiverSegError(
            f"Expected channel_names, labels and file_ending of nnU-Net v2 in {path}. Received "
            "another description: use --layout msd for one of the Decathlon or of nnU-Net v1."
        )
    return parse_nnunet_description(content, path)


def parse_nnunet_description(content: dict, path: Path) -> NnunetDescription:
    """Check the content of a dataset.json of nnU-Net v2.

    Args:
        content: The decoded JSON object.
        path: Path of the file, for error messages.

    Raises:
        LiverSegError: If an entry is missing or wrong, or labels are not used as in nnU-Net: 0
            for the background, consecutive numbers, each for one name, and the highest for voxels
            to ignore.
    """
    for key in _KEYS:
        if key not in content:
            raise LiverSegError(f"Expected the entry {key} in {path}. Received a file without it.")
    channels = _parse_channels(content["channel_names"], path)
    labels, ignored = _parse_labels(content["labels"], path)
    regions = _order_regions(labels, content.get("regions_class_order"), path)
    ending = content["file_ending"]
    if ending not in IMAGE_SUFFIXES:
        endings = ", ".join(IMAGE_SUFFIXES)
        raise _wrong(f"a file_ending of {endings}", path, ending)
    count = content.get("numTraining")
    if count is not None and not (type(count) is int and count >= 0):
        raise _wrong("the number of cases as numTraining", path, count)
    files = content.get("dataset")
    if files is not None and not isinstance(files, dict):
        raise _wrong("an object with images and label of each case as dataset", path, files)
    return NnunetDescription(channels, regions, ignored, ending, count, files)


def _parse_channels(names: object, path: Path) -> tuple[str, ...]:
    if not (
        isinstance(names, dict)
        and names
        and names.keys() == {str(number) for number in range(len(names))}
        and all(isinstance(name, str) for name in names.values())
    ):
        raise _wrong("channel_names as an object such as {'0': 'CT'}", path, names)
    return tuple(names[str(number)] for number in range(len(names)))


def _parse_labels(labels: object, path: Path) -> tuple[dict[str, tuple[int, ...]], int | None]:
    """Return the labels of each name but background and ignore, in order, and the ignored one."""
    if not (isinstance(labels, dict) and labels):
        raise _wrong("labels as an object of names and numbers", path, labels)
    if "background" not in labels:
        raise LiverSegError(f"Expected 'background': 0 in labels of {path}. Received no such name.")
    background, ignored = labels["background"], labels.get("ignore")
    if type(background) is not int or background != 0:
        raise _wrong("0 as the label of the background", path, background)
    if ignored is not None and type(ignored) is not int:
        raise _wrong("one number as the label to ignore", path, ignored)
    named = {name: of for name, of in labels.items() if name not in ("background", "ignore")}
    if not named:
        raise LiverSegError(
            f"Expected a label besides the background in {path}. Received no other one."
        )
    numbers = {name: _as_numbers(of) for name, of in named.items()}
    for name, of in numbers.items():
        if not of or min(of) < 1 or max(of) > 255:
            raise _wrong(f"labels from 1 to 255 for {printable(name)}", path, named[name])
    _check_numbers(numbers, ignored, path)
    return numbers, ignored


def _check_numbers(named: dict[str, tuple[int, ...]], ignored: int | None, path: Path) -> None:
    used = sorted({0}.union(*named.values()))
    if ignored is not None and not used[-1] < ignored <= 255:
        raise _wrong("the highest label, of no other name, as the one to ignore", path, ignored)
    used += [] if ignored is None else [ignored]
    if used != list(range(len(used))):
        listed = ", ".join(map(str, used[:10])) + (", ..." if len(used) > 10 else "")
        raise LiverSegError(
            f"Expected consecutive labels (0, 1, 2, ...) in {path}, as nnU-Net does. "
            f"Received {listed}."
        )
    by_labels: dict[frozenset[int], str] = {}
    for name, of in named.items():
        other = by_labels.setdefault(frozenset(of), name)
        if other != name:
            received = f"{', '.join(map(str, of))} for {printable(other)} and {printable(name)}"
            raise LiverSegError(
                f"Expected different labels for each name in {path}. Received {received}."
            )


def _order_regions(named: dict[str, tuple[int, ...]], order: object, path: Path) -> Regions:
    """Make regions that write the same label for each region as nnU-Net does."""
    if all(len(of) == 1 for of in named.values()):
        return _regions(dict(sorted(named.items(), key=lambda item: item[1])), path)
    numbers = _as_numbers(order) if isinstance(order, list) else ()
    if len(numbers) != len(named):
        raise _wrong(f"regions_class_order with {len(named)} labels, one a region", path, order)
    names = list(named)
    for index, name in enumerate(names):
        outer = [later for later in names[index + 1 :] if set(named[name]) < set(named[later])]
        if outer:
            raise LiverSegError(
                f"Expected larger regions before those inside them in labels of {path}. "
                f"Received {printable(name)} before {printable(outer[0])}."
            )
    # the first label of a region that no later region has is written; see `written_labels`
    regions = _regions(
        {
            name: tuple(sorted(sorted(of), key=first.__ne__))
            for (name, of), first in zip(named.items(), numbers, strict=True)
        },
        path,
    )
    if regions.written_labels != numbers:
        expected = ", ".join(map(str, regions.written_labels))
        raise _wrong(
            f"regions_class_order with a label that is inside each region and outside of the later "
            f"ones, such as {expected},",
            path,
            order,
        )
    return regions


def _regions(named: dict[str, tuple[int, ...]], path: Path) -> Regions:
    try:
        return Regions(named)
    except LiverSegError as error:  # a name that is empty or not printable
        raise LiverSegError(f"{str(error).rstrip('.')} (in {path}).") from error


def _as_numbers(value: object) -> tuple[int, ...]:
    """Return one number or a list of them as a tuple; an empty one if it is anything else."""
    values = value if isinstance(value, list) else [value]
    if not all(type(one) is int for one in values):
        return ()
    return tuple(dict.fromkeys(values))


def _wrong(expected: str, path: Path, received: object) -> LiverSegError:
    text = printable(json.dumps(received, ensure_ascii=False))
    text = text if len(text) < _SHOWN else f"{text[:_SHOWN]}..."
    return LiverSegError(f"Expected {expected} in {path}. Received {text}.")
