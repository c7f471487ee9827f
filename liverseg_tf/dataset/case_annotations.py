"""What the masks of a data set label: regions, in the form of command-line options, and slices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.labelled_slices import LabelledSlices
from liverseg_tf.errors import SettingsError
from liverseg_tf.printable import printable


@dataclass(frozen=True)
class CaseAnnotations:
    """What the masks of cases label.

    Names are shell patterns such as `volume-2[89]`. If several match a case, the last one is used;
    the mask of a case that no pattern matches labels every region.

    Args:
        statements: Pairs of a pattern and the regions that these cases label.
        ignored: Label of voxels, in any case, of which nothing is known; None if there is none.
        slices: The slices that are labelled in the cases; None if all are.
        free_label: Label of no region, which the voxels of other slices get if none is ignored.

    Raises:
        SettingsError: If the ignored label is not from 1 to 255 or belongs to a labelled region.
    """

    statements: tuple[tuple[str, Regions], ...] = ()
    ignored: int | None = None
    slices: LabelledSlices | None = None
    free_label: int = 255

    def __post_init__(self) -> None:
        for labelled in [None, *(labelled for _, labelled in self.statements)]:
            Annotation(labelled, self.ignored)  # checks the label

    @classmethod
    def parse(
        cls,
        texts: Sequence[str],
        regions: Regions,
        ignored: int | None = None,
        slices: LabelledSlices | None = None,
    ) -> "CaseAnnotations":
        """Parse the statements of the command line.

        Args:
            texts: "NAME=liver,3": a pattern of case names, and regions or numbers of labels.
            regions: Regions with their names.
            ignored: Label of voxels of which nothing is known.
            slices: The slices that are labelled in the cases.

        Raises:
            SettingsError: If a text has another form or names no region, and as the class.

        Example:
            >>> regions = Regions({"liver": [1, 2], "tumour": [2]})
            >>> CaseAnnotations.parse(["a*=liver"], regions).statements
            (('a*', Regions(liver: 1, 2)),)
        """
        if ignored is not None:
            for name, labels in regions.items:
                if ignored in labels:
                    raise SettingsError(
                        "Expected a label to ignore that belongs to no region. "
                        f"Received {ignored}, a label of {name}."
                    )
        statements = tuple(_parse(text, regions) for text in texts)
        used = {label for one in (regions, *dict(statements).values()) for label in _labels(one)}
        free = max(set(range(1, 256)) - used, default=255)
        return cls(statements, ignored, slices, free)

    def of(self, case: str) -> Annotation:
        """Return what the mask of a case labels."""
        labelled = None
        for pattern, regions in self.statements:
            if fnmatchcase(case, pattern):
                labelled = regions
        slices = None if self.slices is None else self.slices.of(case)
        if slices is None or self.ignored is not None:
            return Annotation(labelled, self.ignored, slices)
        return Annotation(labelled, self.free_label, slices, ignored_is_chosen=True)

    def check_slices(self, names: Iterable[str]) -> None:
        """Check that each row of the list of labelled slices matches a case.

        Raises:
            SettingsError: If one matches none.
        """
        names = list(names)
        if self.slices is not None and (unmatched := self.slices.unmatched(names)):
            raise SettingsError(
                f"Expected names of cases in {self.slices.source}. Received "
                f"'{printable(unmatched[0][:80])}', which matches no case (the first one is named "
                f"{names[0] if names else 'nothing'}): correct or remove this row."
            )

    def check_cases(self, names: Iterable[str]) -> None:
        """Check that each pattern matches a case.

        Raises:
            SettingsError: If one matches none.
        """
        names = list(names)
        for pattern, _ in self.statements:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise SettingsError(
                    f"Expected patterns of case names in --labelled. Received '{pattern}', which "
                    f"matches no case (the first one is named {names[0] if names else 'nothing'})."
                )


def _labels(regions: Regions) -> list[int]:
    return [label for _, labels in regions.items for label in labels]


def _parse(text: str, regions: Regions) -> tuple[str, Regions]:
    pattern, equals, names = text.rpartition("=")
    if not (pattern and equals and names.strip()):
        raise SettingsError(
            f"Expected --labelled as NAME=REGION,REGION, such as 'case_*=liver'. Received '{text}'."
        )
    known = dict(regions.items)
    labelled: list[tuple[str, tuple[int, ...]]] = []
    for name in (part.strip() for part in names.split(",")):
        if name in known:
            labelled.append((name, known[name]))
        elif name.isdecimal() and 1 <= int(name) <= 255:
            labelled.append((name, (int(name),)))
        else:
            raise SettingsError(
                f"Expected regions of {', '.join(known)}, or labels from 1 to 255, in --labelled. "
                f"Received '{name}' in '{text}': name it with --region, or give its label."
            )
    return pattern, Regions(labelled)
