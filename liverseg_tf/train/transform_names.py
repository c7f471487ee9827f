"""The transforms of the data augmentation that a run uses, by name."""

import difflib
from collections.abc import Sequence

from liverseg_tf.choices import DEFAULT_TRANSFORMS, TRANSFORMS
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.train.setting_rules import has_type


def parse_transforms(text: str) -> tuple[str, ...]:
    """Return the names in a text such as "default,region-curves,-noise".

    Args:
        text: Names, separated by commas. 'default' stands for the recommended transforms, and a
            name after a hyphen is removed from those before it.

    Raises:
        SettingsError: If a name is unknown, or no transform is left.
    """
    names: list[str] = []
    for part in text.split(","):
        name = part.strip()
        if name == "default":
            names += DEFAULT_TRANSFORMS
        elif name.startswith("-"):
            check_transforms([name[1:]])
            names = [other for other in names if other != name[1:]]
        else:
            names.append(name)
    return check_transforms(names)


def check_transforms(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without repetitions in the order of `TRANSFORMS`.

    Raises:
        SettingsError: If it is no list of names, a name is unknown, or there is none.
    """
    if not has_type(names, tuple[str, ...]):
        raise SettingsError(f"Expected transforms as a list of names. Received {names}.")
    for name in names:
        if name not in TRANSFORMS:
            close = difflib.get_close_matches(name, TRANSFORMS, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise SettingsError(
                f"Expected transforms from {', '.join(TRANSFORMS)}. Received {name}{meant}."
            )
    if not names:
        raise SettingsError(
            "Expected at least one of the transforms. Received no name: augment 0 disables all."
        )
    return tuple(name for name in TRANSFORMS if name in names)


def check_use(names: tuple[str, ...], augment: float, context: int, regions: Regions) -> None:
    """Check that the transforms have an effect together with other settings.

    Raises:
        SettingsError: If the augmentation is disabled, if slices without neighbours are mixed, or
            if blobs would look like a region that is nested in another one.
    """
    if not augment and names != DEFAULT_TRANSFORMS:
        raise SettingsError(
            "Expected augment above 0 together with transforms, which are those of the data "
            "augmentation. Received 0."
        )
    if "thick-slices" in names and context == 1:
        raise SettingsError(
            "Expected a context of at least 3 slices together with the transform thick-slices, "
            "which mixes neighbouring slices. Received a context of 1."
        )
    inner = next((name for name in regions.names if regions.containing(name)), None)
    if "region-blobs" in names and inner is not None:
        raise SettingsError(
            "Expected regions without a nested one together with the transform region-blobs, whose "
            f"blobs look like lesions but are labelled as the organ. Received {inner} in "
            f"{regions.containing(inner)[0]}."
        )


def check_mirror(mirror: bool, augment: float) -> None:
    """Check that mirroring has an effect.

    Raises:
        SettingsError: If the augmentation is disabled.
    """
    if mirror and not augment:
        raise SettingsError(
            "Expected augment above 0 together with mirror, which is a part of the data "
            "augmentation. Received 0."
        )
