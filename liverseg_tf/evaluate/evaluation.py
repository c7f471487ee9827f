"""What an evaluation found: a row for each case and region, and their summary."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.metrics import distances, overlap
from liverseg_tf.evaluate.metrics.bootstrap import bootstrap_interval
from liverseg_tf.evaluate.metrics.overlap import Overlap
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.protocols.lits import LitsCase
from liverseg_tf.evaluate.protocols.scoring import Scoring

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
        scores: by the names of `overlap.DEFINITIONS` and, where surfaces were measured,
            `distances.DEFINITIONS`; NaN where undefined.
        grid_voxels: of the whole volume.
    """

    case: str
    region: str
    overlap: Overlap
    scores: Mapping[str, float]
    grid_voxels: int = 0


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
        pairs: the files of the scored cases whose prediction could be read.
        failures: cases that were to be scored and are not.
        notes: what the user should know, such as predictions without a truth; one line each.
        scoring: how they were compared.
        lits: the challenge's figures of each case, under that protocol.
    """

    regions: Regions
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...] = ()
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    lits: tuple[LitsCase, ...] = ()

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that its rows have, in the order of their definitions."""
        there = {name for row in self.rows for name in row.scores}
        measured = (name for name in distances.DEFINITIONS if name in there)
        return (*overlap.DEFINITIONS, *measured)

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
        return {
            region: {
                score: summarise(self.values(region, score, convention))
                for score in self.score_names
            }
            for region in self.regions.names
        }

    def intervals(
        self, convention: str = "lits", seed: int = 0
    ) -> dict[str, dict[str, tuple[float, float]]]:
        """95 % intervals of the means of `summary`, by region and score (see `bootstrap`)."""
        return {
            region: {
                score: bootstrap_interval(self.values(region, score, convention), seed)
                for score in self.score_names
            }
            for region in self.regions.names
        }

    def values(self, region: str, score: str, convention: str = "lits") -> list[float]:
        """One score of a region, case by case; NaN where undefined."""
        if convention not in CONVENTIONS:
            raise SettingsError(
                f"Expected a convention of {', '.join(CONVENTIONS)}. Received {convention!r}."
            )
        return [
            row.scores.get(score, math.nan)
            for row in self.rows_of(region=region)
            if convention == "lits" or not row.overlap.both_empty
        ]


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
