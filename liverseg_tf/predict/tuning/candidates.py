"""The thresholds and steps that are tried on validation cases, in the order of the trials."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.postprocessing import THRESHOLD, PostProcessing
from liverseg_tf.predict.tuning.validation_masks import THRESHOLDS

MIN_VOLUMES_ML = (0.05, 0.2, 0.5)


@dataclass(frozen=True)
class Candidate:
    """A further step, or another threshold, of a region.

    Args:
        region: Name of the region.
        text: What it does, in words.
        change: Function that returns a post-processing with it.
        is_threshold: Whether it is a threshold.
        is_largest: Whether it keeps the largest component.
    """

    region: str
    text: str
    change: Callable[[PostProcessing], PostProcessing]
    is_threshold: bool = False
    is_largest: bool = False


def threshold_candidates(regions: Regions) -> list[Candidate]:
    """Return the candidates that set another threshold, for each region nearest to 0.5 first."""

    def set_threshold(name: str, p: float) -> Callable[[PostProcessing], PostProcessing]:
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(item for item in steps.threshold if item[0] != name)
            return replace(steps, threshold=(*others, (name, p)))

        return change

    return [
        Candidate(name, f"threshold {p:g}", set_threshold(name, p), is_threshold=True)
        for name in regions.names
        for p in sorted(THRESHOLDS, key=lambda p: abs(p - THRESHOLD))
        if p != THRESHOLD
    ]


def step_candidates(regions: Regions) -> list[Candidate]:
    """Return the candidates that add a step, outer regions first."""

    def keep_largest(name: str) -> Callable[[PostProcessing], PostProcessing]:
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(other for other in steps.largest if other != name)
            return replace(steps, largest=(*others, name))

        return change

    def keep_inside(name: str, outer: str) -> Callable[[PostProcessing], PostProcessing]:
        return lambda steps: replace(steps, inside=(*steps.inside, (name, outer, 0.0)))

    def set_min_volume(name: str, ml: float) -> Callable[[PostProcessing], PostProcessing]:
        def change(steps: PostProcessing) -> PostProcessing:
            others = tuple(item for item in steps.min_volume_ml if item[0] != name)
            return replace(steps, min_volume_ml=(*others, (name, ml)))

        return change

    candidates = []
    for name in regions.names:
        candidates.append(
            Candidate(name, "the largest component", keep_largest(name), is_largest=True)
        )
        candidates += [
            Candidate(name, f"the part inside {outer}", keep_inside(name, outer))
            for outer in regions.containing(name)
        ]
        candidates += [
            Candidate(name, f"components of at least {ml:g} ml", set_min_volume(name, ml))
            for ml in MIN_VOLUMES_ML
        ]
    return candidates
