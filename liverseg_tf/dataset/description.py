"""What a data set says about itself: the labels and modalities of a dataset.json."""

from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError


@dataclass(frozen=True)
class Description:
    """Labels and modalities, as far as they are told.

    Args:
        labels: names by number, without the background.
        modalities: of each channel, such as ('CT',) or ('T2', 'ADC').
    """

    labels: dict[int, str]
    modalities: tuple[str, ...]

    @property
    def is_ct(self) -> bool:
        """Whether values are HU; a data set that does not tell is taken for CT."""
        return all("CT" in modality.upper() for modality in self.modalities)

    @property
    def regions(self) -> Regions | None:
        """A region for each label; None where none is named."""
        named = {name: (label,) for label, name in sorted(self.labels.items())}
        return Regions(named) if named else None


def describe(folder: Path) -> Description:
    """The description in `folder/dataset.json`; an empty one where there is none.

    Raises:
        LiverSegError: when it is no JSON object, or its labels are no numbers with names.
    """
    path = Path(folder) / "dataset.json"
    if not path.is_file():
        return Description({}, ())
    content = read_json(path)
    labels, modalities = content.get("labels") or {}, content.get("modality") or {}
    try:
        named = {int(label): str(name) for label, name in labels.items() if int(label) > 0}
        return Description(named, tuple(map(str, modalities.values())))
    except (AttributeError, ValueError) as error:
        raise LiverSegError(
            f"Expected labels and modality as numbers with names in {path}. "
            f"Received {labels!r} and {modalities!r}."
        ) from error
