"""Settings of synthetic lesions: the labels of organ and lesions in a run, and lookalikes."""

from collections.abc import Sequence

from liverseg_tf.choices import LOOKALIKES
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.phantom.lesions.spec import check_cysts
from liverseg_tf.train.setting_rules import has_type


def check_lesions(
    share: float, regions: Regions, lookalikes: tuple[str, ...] = (), cysts: bool = False
) -> None:
    """Check the settings of synthetic lesions; see also `lesion_labels`.

    Args:
        share: Fraction of the patients in which lesions are drawn.
        regions: Regions of the run.
        lookalikes: Kinds of structures that look like lesions.
        cysts: Whether cysts among them count as lesions.

    Raises:
        SettingsError: If lookalikes are to be drawn without lesions, or cysts are to be lesions
            and are not drawn; and as `lesion_labels` if lesions are drawn.
    """
    if share:
        lesion_labels(regions)
    elif lookalikes:
        raise SettingsError(
            "Expected synthetic_lesions above 0 together with lookalikes, which are drawn in the "
            f"same patients. Received {', '.join(lookalikes)} without synthetic lesions."
        )
    check_cysts(cysts, lookalikes)


def check_lookalikes(names: Sequence[str]) -> tuple[str, ...]:
    """Return kinds of lookalikes without repetitions, in the order of `LOOKALIKES`.

    Raises:
        SettingsError: If it is no list of names, or a name is unknown.
    """
    if not has_type(names, tuple[str, ...]):
        raise SettingsError(f"Expected lookalikes as a list of names. Received {names}.")
    for name in names:
        if name not in LOOKALIKES:
            raise SettingsError(
                f"Expected lookalikes from {', '.join(LOOKALIKES)}. Received {name}."
            )
    return tuple(kind for kind in LOOKALIKES if kind in names)


def lesion_labels(regions: Regions) -> tuple[tuple[int, ...], int]:
    """Return the labels of an organ, and the label of the lesions that lie in it.

    Args:
        regions: Regions of a run, of which one is nested in another one.

    Raises:
        SettingsError: If no region or more than one is nested, or the organ has no label of its
            own.

    Example:
        >>> lesion_labels(Regions({"liver": [1, 2], "tumour": [2]}))
        ((1,), 2)
    """
    nested = [name for name in regions.names if regions.containing(name)]
    if len(nested) != 1:
        raise SettingsError(
            "Expected two regions of which one lies in the other, such as liver=1,2 tumour=2, "
            f"together with synthetic_lesions. Received {regions}."
        )
    labels = dict(regions.items)
    inner, outer = labels[nested[0]], labels[regions.containing(nested[0])[0]]
    organ = tuple(sorted(set(outer) - set(inner)))
    if not organ:
        raise SettingsError(
            "Expected an organ with a label of its own together with synthetic_lesions. "
            f"Received {regions}."
        )
    return organ, inner[0]
