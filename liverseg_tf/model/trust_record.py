"""What a model knows about when not to trust it: thresholds of scores, and temperatures.

It is measured on cases that the model has not seen, and travels with the model. It consists of
numbers and of names of regions only, so that it tells nothing about any patient.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from scipy.special import expit, logit

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import convert_record, digest_json

SINGLE, MIRRORED, ENSEMBLE = "single", "mirrored", "ensemble"
CONFIDENCE, AGREEMENT = "confidence", "agreement"
RELIABILITY_BINS = 10
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0

Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
_BINS = Meta(min_length=RELIABILITY_BINS, max_length=RELIABILITY_BINS)


@dataclass(frozen=True)
class Reliability:
    """How often voxels of each probability belong to a region, in ten bins of equal width.

    Args:
        counts: Number of voxels in each bin.
        probability: Mean probability of the voxels of each bin; None if it is empty.
        frequency: Fraction of these voxels that belong to the region; None if it is empty.
    """

    counts: Annotated[tuple[Count, ...], _BINS]
    probability: Annotated[tuple[Fraction | None, ...], _BINS]
    frequency: Annotated[tuple[Fraction | None, ...], _BINS]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the mean of |probability - frequency| over the voxels.

        It is NaN without voxels. (Naeini et al., AAAI 2015; Guo et al., ICML 2017)
        """
        pairs = zip(self.counts, self.probability, self.frequency, strict=True)
        gaps = [n * abs(p - f) for n, p, f in pairs if p is not None and f is not None]
        total = sum(self.counts)
        return sum(gaps) / total if total else math.nan


@dataclass(frozen=True)
class RegionTrust:
    """What was measured for a region, with one kind of passes.

    Args:
        score: Score that is compared with the threshold; see `predict.trust.judge`.
        source: Where the cases come from on which it was measured.
        threshold: Masks with a lower score are flagged; None if there were too few cases.
        min_dice: Dice below which a mask counts as bad.
        false_alarm_rate: Rate of false alarms for which the threshold was chosen.
        good: Number of cases with at least this Dice.
        bad: Number of cases below it.
        flagged_good: Number of good cases that are flagged: false alarms.
        flagged_bad: Number of bad cases that are flagged.
        always_present: Whether every case contained the region, so that an empty mask is wrong.
        mask_threshold: Probability above which voxels belonged to the masks.
        rank_correlation: Spearman's correlation of score and Dice; None if it is undefined.
        aurc: Area under the risk-coverage curve; None if no case has a Dice.
        temperature: Divisor of the logits that calibrates the probabilities; None if there were
            too few cases, or if it does not help on held-out cases.
        before: Reliability of the probabilities.
        after: Reliability of the calibrated ones, of which each was calibrated without its case.
    """

    score: Literal["confidence", "agreement"]
    source: Literal["cross-validation", "validation", "test", "validation and test"]
    threshold: Fraction | None = None
    min_dice: Fraction = 0.85
    false_alarm_rate: Fraction = 0.1
    good: Count = 0
    bad: Count = 0
    flagged_good: Count = 0
    flagged_bad: Count = 0
    always_present: bool = False
    mask_threshold: Fraction = 0.5
    rank_correlation: Annotated[float, Meta(ge=-1, le=1)] | None = None
    aurc: Fraction | None = None
    temperature: Annotated[float, Meta(ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)] | None = None
    before: Reliability | None = None
    after: Reliability | None = None

    def __post_init__(self) -> None:
        if self.flagged_good > self.good or self.flagged_bad > self.bad:
            raise LiverSegError(
                "Expected no more flagged cases than cases in the section trust. Received "
                f"{self.flagged_good} of {self.good} and {self.flagged_bad} of {self.bad}."
            )

    def flags(self, score: float | None) -> bool | None:
        """Return whether a mask must be checked.

        Args:
            score: Score of the mask; None if the mask is empty.

        Returns:
            None if that is not known: there is no threshold, or an empty mask may be right.
        """
        if self.threshold is None or (score is None and not self.always_present):
            return None
        return score is None or score < self.threshold

    @property
    def experience(self) -> str:
        """What the threshold did on the cases on which it was measured, in words."""
        bad = f"with a Dice below {self.min_dice:g}"
        if not self.bad:
            return f"measured on {self.good} masks, none of them {bad}"
        return (
            f"when this was measured, it found {self.flagged_bad} of {self.bad} masks {bad}, with "
            f"{self.flagged_good} false alarms among {self.good} others"
        )


@dataclass(frozen=True)
class TrustRecord:
    """The section `trust` of the record of a model.

    Args:
        passes: What was measured, by kind of passes and by region. The kinds are `single` (one
            pass of one run), `mirrored` (a run on tiles and mirrored tiles) and `ensemble`.
    """

    passes: dict[Literal["single", "mirrored", "ensemble"], dict[str, RegionTrust]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if any(one.score != CONFIDENCE for one in self.passes.get("single", {}).values()):
            raise LiverSegError(
                "Expected the confidence as the score of a single pass in the section trust. "
                "Received the agreement, which needs several passes."
            )

    def __bool__(self) -> bool:
        return bool(self.passes)

    def __repr__(self) -> str:
        return f"TrustRecord({', '.join(self.passes) or 'none'})"

    def temperatures(self, kind: str, regions: Regions) -> tuple[float | None, ...]:
        """Return the temperature of each region for a kind of passes; None if it is not known."""
        known = self.passes.get(kind, {})  # type: ignore[call-overload]
        return tuple(known[name].temperature if name in known else None for name in regions.names)

    def check(self, regions: Regions) -> None:
        """Check that every entry is that of a region.

        Raises:
            SettingsError: If a name is not that of a region.
        """
        for measured in self.passes.values():
            regions.check_names(measured)

    @property
    def digest(self) -> str:
        """Identifier that changes whenever the record does; empty for an empty record."""
        return digest_json(self.to_json()) if self else ""

    def to_json(self) -> dict:
        """Return plain JSON values, the inverse of `from_json`; {} for an empty record."""
        return asdict(self) if self else {}

    @classmethod
    def from_json(cls, value: object) -> "TrustRecord":
        """Create the record from the value that `to_json` returned.

        Raises:
            LiverSegError: If an entry has a wrong type or is out of range.
        """
        return convert_record(value, cls, "the section trust")


def calibrate(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities by a temperature. (Guo et al., ICML 2017)

    This is monotone, so that a mask is the same if its threshold is calibrated as well. 0 and 1
    stay as they are.

    Args:
        probabilities: Array of any shape, 0 to 1.
        temperature: Above 1, probabilities come nearer to 0.5.

    Returns:
        Calibrated probabilities of the same shape and dtype.

    Example:
        >>> calibrate(np.array([0.5, 0.9]), 2.0).tolist()
        [0.5, 0.75]
    """
    return expit(logit(probabilities) / temperature).astype(np.asarray(probabilities).dtype)


def common_trust(records: Sequence[TrustRecord]) -> TrustRecord:
    """Return the record of several models if it is the same for all, or else an empty one."""
    first = records[0]
    return first if all(record == first for record in records) else TrustRecord()
