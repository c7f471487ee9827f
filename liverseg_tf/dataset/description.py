"""Labels and modalities of a data set, from its dataset.json."""

from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.msd import is_nnunet_description
from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import read_record


@dataclass(frozen=True)
class DatasetDescription:
    """Labels and modalities of a data set, as far as they are known.

    Args:
        labels: Names of the labels by number, without the background.
        modalities: Modality of each channel, such as ('CT',) or ('T2', 'ADC').
    """

    labels: dict[int, str]
    modalities: tuple[str, ...]

    @property
    def is_ct(self) -> bool:
        """Whether the values are HU. A data set without modalities is assumed to be CT."""
        return all("CT" in modality.upper() for modality in self.modalities)

    @property
    def regions(self) -> Regions | None:
        """One region for each label. None if there are no labels."""
        named = {name: (label,) for label, name in sorted(self.labels.items())}
        return Regions(named) if named else None


def read_description(folder: Path) -> DatasetDescription:
    """Read the description in `folder/dataset.json`; it is empty if there is no such file.

    Raises:
        LiverSegError: If the file is not a JSON object, or its labels are not numbers with names.
    """
    path = Path(folder) / "dataset.json"
    if not path.is_file():
        return DatasetDescription({}, ())
    content = read_record(path, dict)
    if is_nnunet_description(content):
        return DatasetDescription({}, ())  # its labels are numbers by name; its layout is not read
    labels, modalities = content.get("labels") or {}, content.get("modality") or {}
    try:
        numbers = [int(label) for label in labels]
        if len(set(numbers)) < len(numbers) or not all(0 <= number <= 255 for number in numbers):
            raise ValueError
        named = {int(label): str(name) for label, name in labels.items() if int(label) > 0}
        return DatasetDescription(named, tuple(map(str, modalities.values())))
    except (AttributeError, TypeError, ValueError) as error:
        raise LiverSegError(
            "Expected labels and modality as objects with numbers from 0 to 255 as keys in "
            f"{path}. Received other values."
        ) from error
