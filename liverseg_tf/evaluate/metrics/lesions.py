"""Detection of lesions: which predicted lesions belong to which true lesions.

Lesions are merged as in the LiTS scorer (lits-challenge-scoring, `detect_lesions`): true lesions
that share one prediction become one lesion, and then the predictions that belong to one true
lesion become one prediction.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array

from liverseg_tf.ct.bounding_box import Box, bounding_box, union
from liverseg_tf.ct.components import Components, label_components

_CONNECTIVITY = 6
_DENSE_PAIRS = 2**20  # as many pairs of lesions are counted in an array


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions (6-connected components) of truth and prediction.

    Args:
        truth: Lesions of the truth, cropped to the bounding box of all lesions.
        prediction: Lesions of the prediction, cropped to the same box.
        overlaps: (n predictions, n truths) sparse int64, number of common voxels of each pair.
    """

    truth: Components
    prediction: Components
    overlaps: csr_array

    @cached_property
    def groups(self) -> "list[LesionGroup]":
        """The lesions after merging; see `merge_lesions`."""
        return merge_lesions(self.overlaps)


@dataclass(frozen=True)
class LesionGroup:
    """True lesions that were merged into one, and the predictions that were matched with them.

    Args:
        truths: Indices of the true lesions, from 0.
        predictions: Indices of the predicted lesions, from 0; empty if nothing was matched.
        last_merge_size: Number of lesions in the last merge step of the scorer; needed only by
            `detect_lesions_compat`.
    """

    truths: tuple[int, ...]
    predictions: tuple[int, ...]
    last_merge_size: int = 1


@dataclass(frozen=True)
class Detection:
    """Numbers of detected and missed lesions.

    Args:
        tp: Number of true positives.
        fp: Number of false positives.
        fn: Number of false negatives.
        detected: Groups that count as detected.
    """

    tp: int
    fp: int
    fn: int
    detected: tuple[LesionGroup, ...] = ()


def label_lesions(truth: np.ndarray, prediction: np.ndarray) -> Lesions:
    """Label the lesions of two masks and count the common voxels of each pair.

    Args:
        truth: (z, row, col) bool.
        prediction: (z, row, col) bool.
    """
    box = bounding_box(truth, prediction)
    truths = label_components(truth, _CONNECTIVITY, box)
    predictions = label_components(prediction, _CONNECTIVITY, box)
    common = truth[box] & prediction[box]
    rows = predictions.labels[common].astype(np.int64) - 1
    columns = truths.labels[common].astype(np.int64) - 1
    return Lesions(
        truths, predictions, _count_pairs(rows, columns, predictions.count, truths.count)
    )


def merge_lesions(overlaps: csr_array) -> list[LesionGroup]:
    """Merge the truths that share a prediction, then match each prediction with one group.

    If several predictions overlap a true lesion, the one that covers most of it decides.

    Args:
        overlaps: (n predictions, n truths) sparse, number of common voxels.

    Returns:
        One group for each true lesion that remains after merging, ordered by first lesion.
    """
    # a prediction of noise has thousands of lesions, so only pairs with common voxels are stored
    by_truth: list[dict[int, int]] = [{} for _ in range(overlaps.shape[1])]
    by_prediction: dict[int, set[int]] = {}
    pairs = overlaps.tocoo()
    for row, column, voxels in zip(
        *map(np.ndarray.tolist, (*pairs.coords, pairs.data)), strict=True
    ):
        by_truth[column][row] = voxels
        by_prediction.setdefault(row, set()).add(column)
    truths: dict[int, tuple[int, ...]] = {index: (index,) for index in range(len(by_truth))}
    last_merge_size = [1] * len(by_truth)
    deciding = [_largest(common) for common in by_truth]
    for row in sorted(by_prediction):
        covered = [column for column in sorted(by_prediction[row]) if deciding[column] == row]
        if not covered:
            continue
        first, *others = covered
        last_merge_size[first] = len(covered)
        for column in others:
            truths[first] += truths.pop(column)
            for other_row, voxels in by_truth[column].items():
                by_truth[first][other_row] = by_truth[first].get(other_row, 0) + voxels
                by_prediction[other_row] -= {column}
                by_prediction[other_row] |= {first}
        deciding[first] = _largest(by_truth[first])
    predictions: dict[int, list[int]] = {}
    for row in sorted(by_prediction):
        match = _largest({column: by_truth[column][row] for column in by_prediction[row]})
        predictions.setdefault(match, []).append(row)
    return [
        LesionGroup(members, tuple(predictions.get(column, ())), last_merge_size[column])
        for column, members in truths.items()
    ]


def intersection_over_union(lesions: Lesions, group: LesionGroup) -> float:
    """Compute the IoU of the truths and the predictions of a group; 0 without predictions."""
    intersection = _count_common(lesions, group)
    voxels = _count_voxels(lesions.truth, group.truths)
    voxels += _count_voxels(lesions.prediction, group.predictions)
    return intersection / (voxels - intersection)


def detect_lesions(lesions: Lesions, iou_threshold: float) -> Detection:
    """Count detected lesions after merging truths and predictions.

    Args:
        lesions: Lesions of a case.
        iou_threshold: Intersection over union above which a lesion counts as detected.

    Returns:
        TP is the number of detected groups, FN that of the other groups, and FP the number of
        predictions in no detected group, where the predictions of one group count as one.
        Without true lesions, every prediction is a false positive.
    """
    groups = lesions.groups
    detected = tuple(
        group for group in groups if intersection_over_union(lesions, group) > iou_threshold
    )
    merged_predictions = sum(max(len(group.predictions) - 1, 0) for group in groups)
    predictions = lesions.prediction.count - merged_predictions
    tp = len(detected)
    return Detection(tp, predictions - tp, len(groups) - tp, detected)


def detect_lesions_compat(lesions: Lesions, iou_threshold: float) -> Detection:
    """Count lesions exactly as the public LiTS scorer does, including its known errors.

    The union is computed with the predictions of another true lesion: the one that has the
    *number* of the predicted lesion. TP counts groups, but FP and FN subtract it from the numbers
    of lesions before merging. A missed group is subtracted once for each lesion in its last merge
    step, so TP may be negative. If there are no true lesions, the scorer stops with an error;
    here, every prediction is a false positive.

    Args:
        lesions: Lesions of a case.
        iou_threshold: Intersection over union above which a lesion counts as detected.
    """
    groups = lesions.groups
    # numbers start from 1, as in the scorer; a group has the number of its first true lesion
    assigned = {group.truths[0] + 1: group.predictions for group in groups}
    matched = sorted((group for group in groups if group.predictions), key=_first_prediction)
    tp = len(matched)
    for group in matched:
        other = assigned.get(_first_prediction(group) + 1, ())
        union_voxels = _count_voxels(lesions.truth, group.truths)
        union_voxels += _count_voxels(lesions.prediction, other)
        union_voxels -= _count_common(lesions, LesionGroup(group.truths, other))
        if _count_common(lesions, group) / union_voxels <= iou_threshold:
            assigned[group.truths[0] + 1] = ()
            tp -= group.last_merge_size
    detected = tuple(group for group in matched if assigned[group.truths[0] + 1])
    fp, fn = lesions.prediction.count - tp, lesions.truth.count - tp
    return Detection(tp, fp, fn, detected if tp > 0 else ())


def crop_group(lesions: Lesions, group: LesionGroup) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks of a group, truth and prediction, cropped to their bounding box."""
    boxes = [lesions.truth.boxes[index] for index in group.truths]
    boxes += [lesions.prediction.boxes[index] for index in group.predictions]
    box = union(boxes)
    assert box is not None, "a group has at least one true lesion"
    return (
        _select(lesions.truth, group.truths, box),
        _select(lesions.prediction, group.predictions, box),
    )


def _select(components: Components, indices: tuple[int, ...], box: Box) -> np.ndarray:
    selected = np.zeros(components.count + 1, bool)
    selected[np.add(indices, 1)] = True
    return selected[components.labels[box]]


def _count_common(lesions: Lesions, group: LesionGroup) -> int:
    if not group.predictions:
        return 0
    return int(lesions.overlaps[list(group.predictions)][:, list(group.truths)].sum())


def _count_voxels(components: Components, indices: tuple[int, ...]) -> int:
    return int(sum(components.sizes[index + 1] for index in indices))


def _first_prediction(group: LesionGroup) -> int:
    return group.predictions[0]


def _count_pairs(rows: np.ndarray, columns: np.ndarray, m: int, n: int) -> csr_array:
    """Count how often each (row, column) occurs, in an array of shape (m, n)."""
    if m * n <= _DENSE_PAIRS:
        counts = np.bincount(rows * n + columns, minlength=m * n).reshape(m, n)
        return csr_array(counts)
    return coo_array((np.ones(len(rows), np.int64), (rows, columns)), (m, n)).tocsr()


def _largest(values: dict[int, int]) -> int:
    """Key of the largest value, the lowest key of equal ones; -1 if there is none."""
    return min(values, key=lambda key: (-values[key], key), default=-1)
