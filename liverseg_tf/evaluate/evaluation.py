"""What an evaluation found: a row for each case and region, and their summary."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.scores import DEFINITIONS, Overlap

CONVENTIONS = MappingProxyType(
    {
        "lits": "a case whose truth and prediction are both empty counts as Dice and Jaccard 1",
        "nnunet": "a case whose truth and prediction are both empty is left out",
    }
)


@dataclass(frozen=True)
class Row:
    """The scores of one region in one case.

    Args:
        case: its name.
        region: its name.
        overlap: the voxel counts; pooled over cases they give global scores.
        scores: by the names of `scores.DEFINITIONS`; NaN where undefined.
    """

    case: str
    region: str
    overlap: Overlap
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Failure:
    """A case that could not be scored, and why, in one line."""

    case: str
    message: str


@dataclass(frozen=True)
class Statistics:
    """Statistics of one score over cases.

    Args:
        n: number of cases in which the score is defined.
        mean, median, std, min, max: NaN where n is 0; std divides by n (population).
    """

    n: int
    mean: float
    median: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Evaluation:
    """The outcome of comparing predictions with truths.

    Args:
        regions: what was compared.
        rows: case by case, the regions of each in order.
        pairs: the files of the scored cases.
        failures: cases that were to be scored and are not.
        notes: what the user should know, such as predictions without a truth; one line each.
    """

    regions: Regions
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...] = ()
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()

    def rows_of(self, *, case: str | None = None, region: str | None = None) -> list[Row]:
        """The rows of a case, of a region, or of both."""
        return [
            row for row in self.rows if case in (None, row.case) and region in (None, row.region)
        ]

    def summary(self, convention: str = "lits") -> dict[str, dict[str, Statistics]]:
        """Statistics by region and score.

        Args:
            convention: one of `CONVENTIONS`: what a case counts whose masks are both empty.

        Raises:
            SettingsError: when there is no such convention.
        """
        if convention not in CONVENTIONS:
            raise SettingsError(
                f"Expected a convention of {', '.join(CONVENTIONS)}. Received {convention!r}."
            )
        return {
            region: {
                score: summarise(
                    row.scores[score]
                    for row in self.rows_of(region=region)
                    if convention == "lits" or not row.overlap.both_empty
                )
                for score in DEFINITIONS
            }
            for region in self.regions.names
        }


def summarise(values: Iterable[float]) -> Statistics:
    """Statistics of the values that are no NaN.

    Example:
        >>> summarise([1.0, 0.5, float("nan")]).mean
        0.75
    """
    known = [float(value) for value in values if not math.isnan(value)]
    if not known:
        return Statistics(0, *[math.nan] * 5)
    return Statistics(
        n=len(known),
        mean=statistics.fmean(known),
        median=statistics.median(known),
        std=statistics.pstdev(known),
        min=min(known),
        max=max(known),
    )
