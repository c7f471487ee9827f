"""Which predicted lesions belong to which true ones, and which of those count as detected.

The merging is that of the LiTS scorer (lits-challenge-scoring, `detect_lesions`): true lesions
that one prediction spans become one; then the predictions of one true lesion become one.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.bounding_box import bounding_box


@dataclass(frozen=True, eq=False)
class Lesions:
    """The 6-connected components of truth and prediction.

    Args:
        truth: (z, row, col) int, 0 or the lesion's number from 1, cropped to all lesions.
        prediction: the same.
        truth_boxes: where each lies in these arrays.
        prediction_boxes: the same.
        overlaps: (n predictions, n truths) int, voxels in common.
        truth_sizes: (n truths,) int, voxels.
        prediction_sizes: (n predictions,) int, voxels.
    """

    truth: np.ndarray
    prediction: np.ndarray
    truth_boxes: list[tuple[slice, ...]]
    prediction_boxes: list[tuple[slice, ...]]
    overlaps: np.ndarray
    truth_sizes: np.ndarray
    prediction_sizes: np.ndarray


@dataclass(frozen=True)
class Group:
    """True lesions, merged, and the predictions that were matched with them.

    Args:
        truths: their indices (from 0).
        predictions: theirs; empty where nothing was matched.
        last_merge: how many the scorer's last merge of them counted; for `detect_as_scorer`.
    """

    truths: tuple[int, ...]
    predictions: tuple[int, ...]
    last_merge: int = 1


@dataclass(frozen=True)
class Detection:
    """How many lesions were found.

    Args:
        tp, fp, fn: true positives, false positives, false negatives.
        detected: the groups that count as found.
    """

    tp: int
    fp: int
    fn: int
    detected: tuple[Group, ...] = ()


def match_lesions(truth: np.ndarray, prediction: np.ndarray) -> Lesions:
    """Number the lesions of two masks and count what each pair has in common.

    Args:
        truth: (z, row, col) bool.
        prediction: bool, the same shape.
    """
    box = bounding_box(truth, prediction)
    truth, prediction = truth[box], prediction[box]
    (truths, n), (predictions, m) = ndimage.label(truth), ndimage.label(prediction)
    both = truth & prediction
    pairs = (predictions[both].astype(np.int64) - 1) * n + truths[both] - 1
    return Lesions(
        truths,
        predictions,
        ndimage.find_objects(truths) if n else [],
        ndimage.find_objects(predictions) if m else [],
        np.bincount(pairs, minlength=m * n).reshape(m, n),
        np.bincount(truths[truth], minlength=n + 1)[1:],
        np.bincount(predictions[prediction], minlength=m + 1)[1:],
    )


def merge_lesions(overlaps: np.ndarray) -> list[Group]:
    """Merge the truths that one prediction spans, then match each prediction with one group.

    A true lesion under several predictions is merged by the one that covers most of it.

    Args:
        overlaps: (n predictions, n truths) voxels in common.

    Returns:
        A group for each true lesion that is left after merging, in order of their first lesion.
    """
    touching = np.flatnonzero(overlaps.any(axis=1))
    common = overlaps[touching].astype(np.int64)
    truths = [(index,) for index in range(overlaps.shape[1])]
    last_merge = [1] * len(truths)
    for row in range(len(touching)):
        spanned = [
            column for column in np.flatnonzero(common[row]) if common[:, column].argmax() == row
        ]
        if spanned:
            first, *others = spanned
            truths[first] = sum((truths[column] for column in spanned), ())
            last_merge[first] = len(spanned)
            common[:, first] = common[:, spanned].sum(axis=1)
            common = np.delete(common, others, axis=1)
            for column in reversed(others):
                del truths[column], last_merge[column]
    if not truths:
        return []
    match = common.argmax(axis=1)
    return [
        Group(members, tuple(touching[match == column].tolist()), last_merge[column])
        for column, members in enumerate(truths)
    ]


def overlap_of(lesions: Lesions, group: Group) -> float:
    """Intersection over union of a group's truths and predictions; 0 without predictions."""
    both = _common(lesions, group)
    union = _size(lesions.truth_sizes, group.truths)
    union += _size(lesions.prediction_sizes, group.predictions)
    return both / (union - both)


def detect(lesions: Lesions, more_than: float) -> Detection:
    """Count lesions after merging, on both sides.

    Args:
        lesions: of a case.
        more_than: intersection over union above which a lesion is detected.

    Returns:
        TP groups that are detected, FN groups that are not, FP predictions (those of one group
        are one) of no detected group. Without lesions in the truth every prediction is FP.
    """
    groups = merge_lesions(lesions.overlaps)
    detected = tuple(group for group in groups if overlap_of(lesions, group) > more_than)
    merged_away = sum(max(len(group.predictions) - 1, 0) for group in groups)
    predicted = len(lesions.prediction_sizes) - merged_away
    tp = len(detected)
    return Detection(tp, predicted - tp, len(groups) - tp, detected)


def detect_as_scorer(lesions: Lesions, more_than: float) -> Detection:
    """Count lesions as the public LiTS scorer does, with its known defects.

    The union is taken with the prediction whose true lesion has the *number* of the predicted
    one; TP counts groups, but FP and FN subtract it from the lesions before merging; a group
    that is missed is subtracted as often as its last merge had members (TP may be negative).
    Where the truth has no lesion, which stops that scorer, every prediction is FP.
    """
    groups = merge_lesions(lesions.overlaps)
    # numbers from 1, as in the scorer's masks; a group has the number of its first truth
    assigned = {group.truths[0] + 1: group.predictions for group in groups}
    matched = sorted((group for group in groups if group.predictions), key=_first_prediction)
    tp = len(matched)
    for group in matched:
        other = assigned.get(_first_prediction(group) + 1, ())
        union = _size(lesions.truth_sizes, group.truths)
        union += _size(lesions.prediction_sizes, other)
        union -= _common(lesions, Group(group.truths, other))
        if _common(lesions, group) / union <= more_than:
            assigned[group.truths[0] + 1] = ()
            tp -= group.last_merge
    detected = tuple(group for group in matched if assigned[group.truths[0] + 1])
    n, m = len(lesions.truth_sizes), len(lesions.prediction_sizes)
    return Detection(tp, m - tp, n - tp, detected if tp > 0 else ())


def masks_of(lesions: Lesions, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of a group, bool, cropped to the box that holds both."""
    boxes = [lesions.truth_boxes[index] for index in group.truths]
    boxes += [lesions.prediction_boxes[index] for index in group.predictions]
    box = tuple(
        slice(min(part[axis].start for part in boxes), max(part[axis].stop for part in boxes))
        for axis in range(lesions.truth.ndim)
    )
    return (
        _members(lesions.truth[box], group.truths, len(lesions.truth_sizes)),
        _members(lesions.prediction[box], group.predictions, len(lesions.prediction_sizes)),
    )


def _members(labels: np.ndarray, indices: tuple[int, ...], count: int) -> np.ndarray:
    chosen = np.zeros(count + 1, bool)
    chosen[np.add(indices, 1)] = True
    return chosen[labels]


def _common(lesions: Lesions, group: Group) -> int:
    return int(lesions.overlaps[np.ix_(group.predictions, group.truths)].sum())


def _size(sizes: np.ndarray, indices: tuple[int, ...]) -> int:
    return int(sum(sizes[index] for index in indices))


def _first_prediction(group: Group) -> int:
    return group.predictions[0]
