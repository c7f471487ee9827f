"""Labels and modalities of a data set, from its dataset.json."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.region_kinds import is_lesion, is_liver, nest_lesions
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.issues import NOTE, WARNING, Issue
from liverseg_tf.dataset.nnunet_description import is_nnunet_description, parse_nnunet_description
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.records import read_record


@dataclass(frozen=True)
class DatasetDescription:
    """Labels and modalities of a data set, as far as they are known.

    Args:
        labels: Names of the labels by number, without the background.
        modalities: Modality of each channel, such as ('CT',) or ('T2', 'ADC').
        nested: Regions as nnU-Net's description gives them; None if each label is a region.
        ignored: Label of voxels of which nothing is known, as in nnU-Net; None if there is none.
        case_count: Number of training cases of a data set of nnU-Net, if its file says so.
    """

    labels: dict[int, str]
    modalities: tuple[str, ...]
    nested: Regions | None = None
    ignored: int | None = None
    case_count: int | None = None

    @property
    def is_ct(self) -> bool:
        """Whether the values are HU. A data set without modalities is assumed to be CT."""
        return all("CT" in modality.upper() for modality in self.modalities)

    @property
    def regions(self) -> Regions | None:
        """The regions, or one for each label. None if there are no labels."""
        if self.nested is not None:
            return self.nested
        named = {name: (label,) for label, name in sorted(self.labels.items())}
        return Regions(named) if named else None

    @property
    def learnt_regions(self) -> Regions | None:
        """The regions that are learnt if none are named. None for the default: liver and tumour.

        Those of nnU-Net are taken as they are. Otherwise, each label is a region, and the only
        organ includes its lesions; the default is for labels 1 liver and 2 tumour (or no second).
        """
        if self.nested is not None or not self.labels:
            return self.nested
        regions = self.regions
        assert regions is not None, "there are labels"
        first, second = self.labels.get(1), self.labels.get(2)
        is_liver_data = first is not None and is_liver(regions, first)
        if is_liver_data and (second is None or is_lesion(regions, second)):
            return None
        return nest_lesions(regions)

    def choose_ignored(self, given: int | None) -> int | None:
        """Return the label to ignore: that of --ignore, or else that of nnU-Net's description.

        Raises:
            SettingsError: If both are given and differ.
        """
        if given is not None and self.ignored not in (None, given):
            raise SettingsError(
                f"Expected --ignore {self.ignored}, as dataset.json says, or no such option. "
                f"Received {given}."
            )
        return self.ignored if given is None else given

    def find_issues(self, cases: Iterable[Case], ignored: int | None = None) -> list[Issue]:
        """Tell what nnU-Net's description says about the cases.

        Args:
            cases: Cases of the data set.
            ignored: The label of --ignore, if it is given.
        """
        issues = []
        if self.ignored is not None and ignored is None:
            text = (
                f"label {self.ignored} is ignored, as dataset.json says (--ignore {self.ignored})"
            )
            issues.append(Issue(NOTE, "ignore", None, text))
        found = sum(case.has_image for case in cases)
        if self.case_count not in (None, found):
            text = (
                f"numTraining of dataset.json is {self.case_count}, but {found} images were found"
            )
            issues.append(Issue(WARNING, "cases", None, text))
        return issues


def read_description(folder: Path) -> DatasetDescription:
    """Read the description in `folder/dataset.json`; it is empty if there is no such file.

    Raises:
        LiverSegError: If the file is not a JSON object, its labels are not numbers with names, or
            it is not as nnU-Net v2 wants it.
    """
    path = Path(folder) / "dataset.json"
    if not path.is_file():
        return DatasetDescription({}, ())
    content = read_record(path, dict)
    if is_nnunet_description(content):
        described = parse_nnunet_description(content, path)
        named = {label: name for name, of in described.regions.items for label in of}
        return DatasetDescription(
            dict(sorted(named.items())),
            described.channels,
            described.regions,
            described.ignored,
            described.case_count,
        )
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
