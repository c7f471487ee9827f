"""Which regions the masks of a data set label, in the form of command-line options."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class CaseAnnotations:
    """What the masks of cases label.

    Names are shell patterns such as `volume-2[89]`. If several match a case, the last one is used;
    the mask of a case that no pattern matches labels every region.

    Args:
        statements: Pairs of a pattern and the regions that these cases label.
        ignored: Label of voxels, in any case, of which nothing is known; None if there is none.

    Raises:
        SettingsError: If the ignored label is not from 1 to 255 or belongs to a labelled region.
    """

    statements: tuple[tuple[str, Regions], ...] = ()
    ignored: int | None = None

    def __post_init__(self) -> None:
        for labelled in [None, *(labelled for _, labelled in self.statements)]:
            Annotation(labelled, self.ignored)  # checks the label

    @classmethod
    def parse(
        cls, texts: Sequence[str], regions: Regions, ignored: int | None = None
    ) -> "CaseAnnotations":
        """Parse the statements of the command line.

        Args:
            texts: "NAME=liver,3": a pattern of case names, and regions or numbers of labels.
            regions: Regions with their names.
            ignored: Label of voxels of which nothing is known.

        Raises:
            SettingsError: If a text has another form or names no region, and as the class.

        Example:
            >>> CaseAnnotations.parse(["a*=liver"], Regions({"liver": [1, 2], "tumour": [2]}))
            CaseAnnotations(statements=(('a*', Regions(liver: 1, 2)),), ignored=None)
        """
        if ignored is not None:
            for name, labels in regions.items:
                if ignored in labels:
                    raise SettingsError(
                        "Expected a label to ignore that belongs to no region. "
                        f"Received {ignored}, a label of {name}."
                    )
        return cls(tuple(_parse(text, regions) for text in texts), ignored)

    def of(self, case: str) -> Annotation:
        """Return what the mask of a case labels."""
        labelled = None
        for pattern, regions in self.statements:
            if fnmatchcase(case, pattern):
                labelled = regions
        return Annotation(labelled, self.ignored)

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
