"""Scores of a ground truth of which nothing is known in some voxels."""

import math
from collections.abc import Mapping

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.protocols.scoring import Scoring


def has_unknown_gaps(truth: np.ndarray, ignored: int | None) -> bool:
    """Return whether slices of which nothing is known lie between others, along any axis.

    The surfaces of such a mask would be mostly the two sides of each labelled slice, which are the
    same in the prediction, so that distances would be far too small.

    Args:
        truth: (z, row, col) uint8 labels.
        ignored: Label of voxels of which nothing is known; None if there are none.
    """
    if ignored is None:
        return False
    is_known = truth != ignored
    for others in ((1, 2), (0, 2), (0, 1)):
        known = np.flatnonzero(is_known.any(axis=others))
        if len(known) and known[-1] - known[0] >= len(known):
            return True
    return False


def describe_unknown_slices(annotation: Annotation, has_gaps: bool) -> tuple[str, ...]:
    """Remark that scores do not belong to the whole volume; empty if they do.

    Args:
        annotation: What the ground truth labels.
        has_gaps: Whether unknown slices lie between others.
    """
    scored = "scores and volumes are those of the labelled slices"
    if has_gaps:
        return (
            f"Slices between the labelled ones are unknown: {scored}, without surface distances, "
            "which need the slices between.",
        )
    return () if annotation.slices is None else (f"Not all slices are labelled: {scored}.",)


def without_distances(scores: Mapping[str, float]) -> dict[str, float]:
    """Return scores of which those that depend on neighbouring slices are undefined (NaN)."""
    return {
        name: math.nan if name in distances.DEFINITIONS else value for name, value in scores.items()
    }


def clear_ignored(truth: Volume, prediction: Volume, ignored: int | None) -> tuple[Volume, Volume]:
    """Make the voxels of which nothing is known background in both masks.

    Args:
        truth: Ground truth in canonical order.
        prediction: Prediction on the same grid.
        ignored: Label in the ground truth of these voxels; None if there are none.
    """
    if ignored is None:
        return truth, prediction
    is_known = truth.array != ignored
    return truth.with_array(truth.array * is_known), prediction.with_array(
        prediction.array * is_known
    )


def check_annotation(pair: Pair, truth: Volume, scoring: Scoring) -> None:
    """Check that the ground truth agrees with what is stated about it, and that it can be scored.

    Raises:
        LiverSegError: If a label occurs that is stated as not labelled, or if the protocol needs
            every region.
    """
    if pair.annotation.is_complete:
        return
    if scoring.protocol == "lits":
        raise LiverSegError(
            "Expected a ground truth that labels every region for the protocol lits, whose lesions "
            "lie in the liver. Received one that does not: use another protocol."
        )
    found = pair.annotation.contradictions(np.unique(truth.array).tolist(), scoring.regions)
    if found:
        raise LiverSegError(
            f"Expected only labels in {pair.truth} that --labelled lists for this case. "
            f"Received {', '.join(found)}."
        )
