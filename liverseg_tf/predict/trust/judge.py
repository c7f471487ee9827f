"""Comparison of an image and its masks with what is known about when not to trust the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from liverseg_tf.dataset.provenance import MaskCheck
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.model.trust_record import AGREEMENT, CONFIDENCE, SINGLE, RegionTrust, TrustRecord
from liverseg_tf.predict.models.predictor import Predictor, training_range_of, trust_of
from liverseg_tf.predict.trust.plausibility import find_implausible
from liverseg_tf.printable import printable


@dataclass(frozen=True)
class Judgement:
    """What is said about the image and the masks of a case.

    Args:
        checks: Result of the comparison for each region of which a threshold is known.
        warnings: What must be checked, one line each.
        unlike: Those of the warnings that say how the case differs from the training cases.
    """

    checks: tuple[MaskCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()


def judge_masks(
    masks: RegionMasks,
    predictor: Predictor,
    thresholds: Sequence[float],
    only: Sequence[str] = (),
) -> Judgement:
    """Compare a case with the training cases of the model, and its scores with the thresholds.

    The thresholds are those that `liverseg trust` stored; for the training cases, see
    `find_implausible`.

    The score is the agreement of the passes if a threshold was measured for passes of this kind.
    Otherwise it is the confidence of a single pass, in the mean over the passes.

    Args:
        masks: Masks after the post-processing, with their agreement and confidence.
        predictor: Model that predicted them.
        thresholds: Probability above which a voxel belongs to each region.
        only: Names of the regions that are judged; all of them if it is empty.
    """
    record, kind = trust_of(predictor)
    checks, warnings = [], []
    scores = {AGREEMENT: masks.agreement or {}, CONFIDENCE: masks.confidence or {}}
    for name, threshold in zip(masks.regions.names, thresholds, strict=True):
        known = find_threshold(record, kind, name)
        if known is None or known.threshold is None or (only and name not in only):
            continue
        if abs(known.mask_threshold - threshold) > 1e-6:
            warnings.append(
                f"{printable(name)}: its mask was not judged, since its threshold is "
                f"{threshold:g}: `liverseg trust` measured masks with {known.mask_threshold:g}"
            )
            continue
        value = scores[known.score].get(name)
        flagged = known.flags(value)
        if flagged is None:
            continue
        check = MaskCheck(name, known.score, value, known.threshold, flagged)
        checks.append(check)
        if check.flagged:
            warnings.append(f"{check.line}: check this mask ({known.experience})")
    absent = [check.region for check in checks if check.flagged and check.value is None]
    unlike = tuple(find_implausible(masks, training_range_of(predictor), only, absent))
    return Judgement(tuple(checks), (*unlike, *warnings), unlike)


def find_threshold(record: TrustRecord, kind: str, region: str) -> RegionTrust | None:
    """Return what was measured for a region with passes of a kind, or else with a single pass.

    Args:
        record: What is known of the model.
        kind: Kind of the passes of the prediction.
        region: Name of the region.
    """
    for passes in (kind, SINGLE):
        known = record.passes.get(passes, {}).get(region)  # type: ignore[call-overload]
        if known is not None and known.threshold is not None:
            return known
    return None
