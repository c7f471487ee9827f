"""From measured cases to what the model stores: thresholds, temperatures and their evidence."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.model.trust_record import RegionTrust
from liverseg_tf.plural import count
from liverseg_tf.predict.trust.flagging import (
    area_under_risk_coverage,
    choose_threshold,
    exact_interval,
    rank_correlation,
    reached_rate,
)
from liverseg_tf.predict.trust.measure_cases import MeasuredRegion
from liverseg_tf.predict.trust.temperature import calibrate_cases


@dataclass(frozen=True)
class TrustSettings:
    """What counts as a bad mask, and how many false alarms are accepted.

    Args:
        min_dice: Dice below which a mask counts as bad.
        min_dice_of: Another Dice for some regions.
        false_alarm_rate: Accepted rate of false alarms among good masks.
    """

    min_dice: float = 0.85
    min_dice_of: Mapping[str, float] = field(default_factory=dict)
    false_alarm_rate: float = 0.1


def summarise(
    cases: Sequence[MeasuredRegion], mask_threshold: float, source: str, settings: TrustSettings
) -> tuple[RegionTrust, list[str]]:
    """Choose the threshold and the temperature of a region, with one kind of passes.

    Masks that are empty although every case has the region are always flagged. If some cases lack
    the region, an empty mask may be right: it has no score and is never flagged.

    Args:
        cases: At least one case.
        mask_threshold: Probability above which voxels belonged to the masks.
        source: Where the cases come from; see `RegionTrust`.
        settings: What counts as a bad mask.

    Returns:
        What the model stores, and what must be known about it, one line each.
    """
    region, score = cases[0].region, cases[0].score
    min_dice = settings.min_dice_of.get(region, settings.min_dice)
    always_present = all(case.is_present for case in cases)
    scored = [case for case in cases if not math.isnan(case.dice)]
    judged = [case for case in scored if always_present or case.value is not None]
    values = {case.case: -1.0 if case.value is None else case.value for case in judged}
    good = [values[case.case] for case in judged if case.dice >= min_dice]
    bad = [values[case.case] for case in judged if case.dice < min_dice]
    threshold = choose_threshold(good, settings.false_alarm_rate)
    calibration = calibrate_cases([case.counts for case in cases], [case.fold for case in cases])
    dice = [case.dice for case in judged]
    trust = RegionTrust(
        score,  # type: ignore[arg-type]
        source,  # type: ignore[arg-type]
        threshold,
        min_dice,
        settings.false_alarm_rate,
        len(good),
        len(bad),
        _count_below(good, threshold),
        _count_below(bad, threshold),
        always_present,
        mask_threshold,
        rank_correlation(list(values.values()), dice),
        area_under_risk_coverage(list(values.values()), dice) if judged else None,
        calibration.temperature,
        calibration.before,
        calibration.after,
    )
    unjudged = sum(case.dice < min_dice for case in scored) - len(bad)
    notes = list(_notes(trust, unjudged))
    if calibration.note:
        notes.append(f"no temperature: {calibration.note}.")
    return trust, notes


def _count_below(values: Sequence[float], threshold: float | None) -> int:
    return 0 if threshold is None else sum(value < threshold for value in values)


def _notes(trust: RegionTrust, unjudged: int) -> Iterable[str]:
    bad = f"with a Dice below {trust.min_dice:g}"
    if trust.threshold is None:
        yield (
            f"no threshold: it needs {FEWEST_CASES} masks with a Dice of at least "
            f"{trust.min_dice:g}, and there {'is' if trust.good == 1 else 'are'} {trust.good}."
        )
        return
    rate = reached_rate(trust.good, trust.false_alarm_rate)
    if rate > trust.false_alarm_rate:
        yield (
            f"{count(trust.good, 'good mask')} cannot show a false-alarm rate of "
            f"{trust.false_alarm_rate:.0%}: the threshold is the lowest of their scores, for which "
            f"it is at most {rate:.0%}."
        )
    if not trust.bad:
        yield f"no mask {bad}: whether the score finds such masks is not known."
    elif trust.bad < FEWEST_CASES:
        low, high = exact_interval(trust.flagged_bad, trust.bad)
        yield (
            f"only {count(trust.bad, 'mask')} {bad}: the sensitivity may be anything from "
            f"{low:.0%} to {high:.0%}."
        )
    if unjudged:
        yield (
            f"{count(unjudged, 'mask')} {bad} {'is' if unjudged == 1 else 'are'} empty and cannot "
            "be flagged, since other cases lack the region."
        )
