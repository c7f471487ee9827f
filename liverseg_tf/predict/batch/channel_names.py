"""Names of images that end in the number of a channel, as in nnU-Net."""

from collections.abc import Mapping
from pathlib import Path

from liverseg_tf.ct.images import image_stem, read_image_size
from liverseg_tf.dataset.nnunet_entries import split_channel
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable

_MOST_CHANNELS = 8  # more numbers than this count cases


def drop_channels(files: Mapping[str, Path]) -> dict[str, Path]:
    """Name cases without `_0000`, the number of the first channel in nnU-Net.

    Names that count cases, `case_0000`, `case_0001` and so on, stay as they are: the channels of
    one case are on one grid, which scans of different patients are not.

    Args:
        files: All image files of a folder, by their names without suffix.

    Returns:
        The files by case name, in the same order.

    Raises:
        LiverSegError: If a case has several channels.

    Example:
        >>> drop_channels({"liver_0_0000": Path("liver_0_0000.nii.gz")})
        {'liver_0': PosixPath('liver_0_0000.nii.gz')}
    """
    channels: dict[str, dict[str, Path]] = {}
    for stem, path in files.items():
        if (split := split_channel(stem)) is not None:
            channels.setdefault(split[0], {})[split[1]] = path
    shortened = {}
    for name, numbered in channels.items():
        if "0000" not in numbered or name in files:
            continue
        if len(numbered) == 1:
            shortened[f"{name}_0000"] = name
        elif _are_channels(numbered):
            second = numbered["0001"]
            raise LiverSegError(
                f"Expected images of one channel in {second.parent}. Received "
                f"{printable(second.name)} beside {printable(numbered['0000'].name)}, on the same "
                "grid: copy the files of one channel to a folder of their own, or, if these are "
                "different patients, name them in a table (.csv) with the columns image and name."
            )
    return {shortened.get(stem, stem): path for stem, path in files.items()}


def name_without_channel(path: Path, name: str) -> str:
    """Name a single image as `drop_channels` names the images of its folder.

    Args:
        path: Image file.
        name: Its name without suffix.

    Raises:
        LiverSegError: If it is one of several channels of a case.
    """
    split = split_channel(name)
    if split is None or not path.is_file():
        return name
    siblings = {name: path}
    for other in sorted(path.parent.iterdir()):
        stem = image_stem(other)
        if stem and (stem == split[0] or (split_channel(stem) or ("", ""))[0] == split[0]):
            siblings.setdefault(stem, other)
    return next(case for case, file in drop_channels(siblings).items() if file == path)


def _are_channels(numbered: Mapping[str, Path]) -> bool:
    """Return whether a few files are numbered from 0 without a gap and have equal grids."""
    expected = [f"{number:04}" for number in range(len(numbered))]
    if sorted(numbered) != expected or len(numbered) > _MOST_CHANNELS:
        return False
    first, *others = numbered.values()
    try:
        return all(_grid(first) == _grid(other) for other in others)
    except LiverSegError:  # reading the damaged file reports that
        return False


def _grid(path: Path) -> tuple[object, ...]:
    shape, _, spacing_mm = read_image_size(path, 0)
    return shape, spacing_mm
