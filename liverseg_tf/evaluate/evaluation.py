"""Result of an evaluation: the scores of all cases and regions, and their statistics."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType

from liverseg_tf.bootstrap import FEWEST_CASES, bootstrap_interval
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.coverage import Coverage
from liverseg_tf.evaluate.metrics import distances, overlap
from liverseg_tf.evaluate.metrics.lesion_detection import RegionLesions
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.protocols.lits import LitsCase
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import WORST_SCORES, RegionResult
from liverseg_tf.evaluate.subject import Subject

CONVENTIONS = MappingProxyType(
    {
        "lits": "if truth and prediction are both empty, Dice and Jaccard of the case are 1",
        "nnunet": "if truth and prediction are both empty, the case is left out",
    }
)


@dataclass(frozen=True)
class Failure:
    """Case that could not be processed, and the reason in one line."""

    case: str
    message: str


@dataclass(frozen=True)
class Statistics:
    """Statistics of one score over cases.

    Args:
        n: Number of cases in which the score is defined.
        mean, median, std, min, max: NaN if n is 0; std is the population standard deviation
            (divided by n).
    """

    n: int
    mean: float
    median: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Evaluation:
    """Result of a comparison of predictions with the ground truth.

    Args:
        regions: Regions that were compared.
        results: Scores of each region in each case, case by case.
        pairs: Files of the scored cases whose prediction could be read.
        failures: Cases that could not be scored, or only as an empty prediction.
        notes: Remarks for the user, one line each.
        scoring: Settings of the comparison.
        lits: Scores of each case in the LiTS challenge; empty under other protocols.
        coverage: How many of the cases were scored.
        warnings: Reasons why the scores may be wrong or too high, one line each, for a place where
            nobody overlooks them.
        subject: What was evaluated, and when.
    """

    regions: Regions
    results: tuple[RegionResult, ...]
    pairs: tuple[Pair, ...] = ()
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    scoring: Scoring = field(default_factory=Scoring)
    lits: tuple[LitsCase, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    warnings: tuple[str, ...] = ()
    subject: Subject | None = None

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores in the results, in the order of their definitions."""
        names = {name for result in self.results for name in result.scores}
        return (*overlap.DEFINITIONS, *(name for name in distances.DEFINITIONS if name in names))

    def select(self, *, case: str | None = None, region: str | None = None) -> list[RegionResult]:
        """Select the results of a case, of a region, or of a region in a case."""
        return [
            result
            for result in self.results
            if case in (None, result.case) and region in (None, result.region)
        ]

    def summary(self, convention: str = "lits") -> dict[str, dict[str, Statistics]]:
        """Compute statistics by region and score.

        Args:
            convention: One of `CONVENTIONS`, for cases in which both masks are empty.

        Raises:
            SettingsError: If there is no such convention.
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
        """Compute 95 % intervals of the means in `summary`, by region and score.

        They are NaN for fewer than `FEWEST_CASES` cases. See `liverseg_tf.bootstrap`.
        """
        return {
            region: {
                score: bootstrap_interval(
                    self.values(region, score, convention), seed, FEWEST_CASES
                )
                for score in self.score_names
            }
            for region in self.regions.names
        }

    def means_with_zeros(self, region: str) -> dict[str, float]:
        """Compute means over all cases, of which those that could not be scored count as 0.

        Returns:
            Means by the names of the scores for which 0 is the worst: Dice, Jaccard, NSD.
        """
        left_out = self.coverage.left_out.get(region, 0)
        means = {}
        for score in self.score_names:
            if score in WORST_SCORES:
                values = self.values(region, score)
                if not values or not all(map(math.isnan, values)):
                    values = [*values, *[WORST_SCORES[score]] * left_out]
                means[score] = summarise(values).mean
        return means

    def lesions(self, region: str) -> list[RegionLesions]:
        """List the lesions of a region, case by case."""
        return [
            result.lesions for result in self.select(region=region) if result.lesions is not None
        ]

    @property
    def lesion_regions(self) -> tuple[str, ...]:
        """Names of the regions that consist of lesions rather than of one organ.

        These are the regions inside another one, and those of which the ground truth of a case has
        several components, or none. Regions that occur nowhere are left out.
        """
        found = []
        for region, labels in self.regions.items:
            cases = self.lesions(region)
            is_inside = any(set(labels) < set(others) for _, others in self.regions.items)
            if any(case.truths or case.predictions for case in cases) and (
                is_inside or any(len(case.truths) != 1 for case in cases)
            ):
                found.append(region)
        return tuple(found)

    def values(self, region: str, score: str, convention: str = "lits") -> list[float]:
        """List one score of a region, case by case; NaN if undefined."""
        if convention not in CONVENTIONS:
            raise SettingsError(
                f"Expected a convention of {', '.join(CONVENTIONS)}. Received {convention!r}."
            )
        return [
            result.scores.get(score, math.nan)
            for result in self.select(region=region)
            if convention == "lits" or not result.overlap.both_empty
        ]


def summarise(values: Iterable[float]) -> Statistics:
    """Compute statistics of the values that are not NaN.

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
