"""Losses over regions, for every Keras backend. All take logits, for numerical stability."""

from typing import Any

from keras import ops

from liverseg_tf.train.network.loss_weights import LossWeights, at_least_one_voxel

DICE_SMOOTHING = 1.0
TOP_FRACTION = 0.1
# Weight of the mean cross-entropy over the voxels of a region. While the network cannot tell a
# tumour from liver yet, this keeps the tumour's probability in the liver at about a fifth: below
# the threshold, but where the sigmoid still has a steep slope.
REGION_WEIGHT = 0.03
# The threshold of the worst voxels is estimated from a sample if there are more voxels than this.
# The sampling step is odd, because the rows of tiles have even lengths.
_MAX_SORTED_VOXELS, _SAMPLING_STEP = 1 << 16, 17
EQUAL_WEIGHTS = LossWeights()
FALSE_NEGATIVE_WEIGHT, FALSE_POSITIVE_WEIGHT, FOCAL_EXPONENT = 0.7, 0.3, 0.75


def batch_dice_loss(truth, logits, weights: LossWeights = EQUAL_WEIGHTS):
    """Soft Dice loss with sums over the whole batch (Drozdzal et al. 2016), per region.

    loss = 1 - mean over the regions of (2 sum(t p) + 1) / (sum(t) + sum(p) + 1), with the ground
    truth t and the probability p. The sums run over all slices of the batch, because a loss per
    slice is 1 without a gradient for slices that contain nothing of the region. A region that is
    absent from the whole batch costs little once its probabilities are near 0.

    Args:
        truth: Ground truth (batch, h, w, regions), 0 to 1.
        logits: Logits of the probabilities, (batch, h, w, regions).
        weights: Weights of regions and voxels, and the replicas that share the batch.

    Returns:
        Scalar from 0 (equal) to 1: the mean over the regions.
    """
    weights = weights.by_region()
    return weights.mean_over_regions(_dice_losses(*_by_region(truth, logits), weights))


def cross_entropy(truth, logits, weights: LossWeights = EQUAL_WEIGHTS):
    """Mean binary cross-entropy over all voxels and regions, in nats.

    Args:
        truth: Ground truth (batch, h, w, regions), 0 to 1.
        logits: Logits of the probabilities, (batch, h, w, regions).
        weights: Weights of regions and voxels, and the replicas that share the batch.
    """
    entropies, weights = _cross_entropies(*_by_region(truth, logits)), weights.by_region()
    if weights.are_equal:
        return ops.mean(entropies)
    return weights.mean_over_regions(weights.mean_over_voxels(entropies))


def dice_and_cross_entropy(truth, logits, weights: LossWeights = EQUAL_WEIGHTS):
    """Sum of batch Dice loss and cross-entropy, as in nnU-Net (Isensee et al. 2021).

    Arguments and result as for `batch_dice_loss`, but without an upper bound.
    """
    return batch_dice_loss(truth, logits, weights) + cross_entropy(truth, logits, weights)


def dice_and_top_cross_entropy(truth, logits, weights: LossWeights = EQUAL_WEIGHTS):
    """Batch Dice loss plus a cross-entropy that shifts to the worst voxels as training proceeds.

    For each region, with d the soft Dice of the region in this batch:

    loss = (1 - d) + (1 - d) (mean over all voxels + 0.03 mean over the region) + d (worst tenth)

    where the last three terms are means of the binary cross-entropy, and d carries no gradient in
    the weights. From the worst voxels alone, small regions take several times as many steps to be
    found at all. From all voxels alone, tumours of a thousandth of a tile are never found: the
    easiest solution is an empty prediction, where both Dice and cross-entropy have almost no
    gradient. Once a region is found, only the worst voxels are left to be learnt.

    The worst tenth follows TopK of SegLossOdyssey (Ma et al. 2021), but per region. Its threshold
    is estimated from every 17th voxel, since sorting all of them takes a sixth of a step. With
    several replicas, each replica takes the worst voxels of its own tiles.

    Arguments and result as for `batch_dice_loss`, but without an upper bound.
    """
    truth, logits = _by_region(truth, logits)
    weights = weights.by_region()
    dice_losses = _dice_losses(truth, logits, weights)
    entropies, dice = _cross_entropies(truth, logits), 1 - dice_losses
    if weights.labelled is not None:
        tops = _top_cross_entropies(truth, entropies, dice, weights)
        return weights.mean_over_regions(dice_losses + tops)
    # The three means are one weighted sum, whose gradient takes a third of the time.
    is_worst = _are_worst(entropies)
    of_all = (1 - dice) / ops.cast(ops.shape(entropies)[1], dice.dtype)
    of_region = (1 - dice) * REGION_WEIGHT / ops.maximum(ops.sum(truth, axis=1), 1)
    of_worst = dice / ops.sum(ops.cast(is_worst, dice.dtype), axis=1)
    of_all, of_region, of_worst = (w[:, None] for w in (of_all, of_region, of_worst))
    factors = ops.where(is_worst, of_all + of_worst, of_all) + of_region * truth
    return weights.mean_over_regions(
        dice_losses + ops.sum(ops.stop_gradient(factors) * entropies, axis=1)
    )


def focal_tversky(truth, logits, weights: LossWeights = EQUAL_WEIGHTS):
    """Focal Tversky loss (Abraham, Khan 2019) with sums over the whole batch, plus cross-entropy.

    loss = mean over the regions of (1 - TI)^(3/4), with the Tversky index
    TI = (TP + 1) / (TP + 0.7 FN + 0.3 FP + 1). False negatives weigh more than false positives,
    and the exponent emphasises regions with a low index. The cross-entropy is added because the
    gradient of the index alone is too weak in the first steps.

    Arguments and result as for `batch_dice_loss`, but without an upper bound.
    """
    weights_by_region = weights.by_region()
    overlap, true, predicted = _volumes(*_by_region(truth, logits), weights_by_region)
    false_negative, false_positive = true - overlap, predicted - overlap
    index = (overlap + DICE_SMOOTHING) / (
        overlap
        + FALSE_NEGATIVE_WEIGHT * false_negative
        + FALSE_POSITIVE_WEIGHT * false_positive
        + DICE_SMOOTHING
    )
    # the slope of x ** 0.75 at 0 is infinite
    focal = ops.maximum(1 - index, 1e-6) ** FOCAL_EXPONENT
    return weights_by_region.mean_over_regions(focal) + cross_entropy(truth, logits, weights)


LOSSES = {
    "dice-ce": dice_and_cross_entropy,
    "dice-topk": dice_and_top_cross_entropy,
    "focal-tversky": focal_tversky,
}


def _by_region(truth, logits) -> tuple[Any, Any]:
    """Reorder (batch, h, w, regions) to (regions, voxels), in the data type of the logits.

    Reductions and comparisons per region are then over consecutive values: on a CPU, the loss
    takes less than half of the time.
    """
    truth, logits = (ops.reshape(x, (-1, logits.shape[-1])) for x in (truth, logits))
    return ops.cast(ops.transpose(truth), logits.dtype), ops.transpose(logits)


def _dice_losses(truth, logits, weights: LossWeights):
    """Soft Dice loss of each region: two arrays (regions, voxels) to (regions,), 0 to 1."""
    overlap, true, predicted = _volumes(truth, logits, weights)
    return 1 - (2 * overlap + DICE_SMOOTHING) / (true + predicted + DICE_SMOOTHING)


def _are_worst(entropies):
    """Whether a voxel is among the worst tenth of its region, (regions, voxels)."""
    sample = _sample_voxels(entropies)
    return entropies >= ops.top_k(ops.stop_gradient(sample), _top_count(sample))[0][:, -1:]


def _top_count(sample):
    """Count a tenth of the voxels, at least 1; in a graph for batches of any size, a tensor."""
    voxels = ops.shape(sample)[1]
    if isinstance(voxels, int):
        return max(1, round(voxels * TOP_FRACTION))
    tenth = ops.round(ops.cast(voxels, "float32") * TOP_FRACTION)
    return ops.maximum(ops.cast(tenth, "int32"), 1)


def _top_cross_entropies(truth, entropies, dice, weights: LossWeights):
    """Cross-entropy of `dice_and_top_cross_entropy` where some voxels are not labelled.

    Args:
        truth: (regions, voxels).
        entropies: (regions, voxels).
        dice: Soft Dice of each region, (regions,).
        weights: Weights by region.

    Returns:
        (regions,): the sum of the three means over the known voxels.
    """
    is_worst = ops.cast(_are_worst_of_known(entropies, weights.labelled), dice.dtype)
    known, inside, worst = weights.sums(ops.ones_like(truth), truth, is_worst)
    of_all = (1 - dice) / at_least_one_voxel(known)
    of_region = (1 - dice) * REGION_WEIGHT / ops.maximum(inside, 1)
    of_worst = dice / at_least_one_voxel(worst)
    of_all, of_region, of_worst = (w[:, None] for w in (of_all, of_region, of_worst))
    factors = of_all + of_worst * is_worst + of_region * truth
    (sums,) = weights.sums(ops.stop_gradient(factors) * entropies)
    return sums


def _are_worst_of_known(entropies, labelled):
    """Whether a voxel is among the worst tenth of the known voxels of its region.

    Args:
        entropies: (regions, voxels).
        labelled: (regions, voxels), above 0 where the region is known.
    """
    is_known = labelled > 0
    entropies = ops.where(is_known, ops.stop_gradient(entropies), -1.0)  # below all others
    sample, known_sample = _sample_voxels(entropies), _sample_voxels(is_known)
    count = max(1, round(sample.shape[1] * TOP_FRACTION))
    largest = ops.top_k(sample, count)[0]
    known = ops.sum(ops.cast(known_sample, "float32"), axis=1, keepdims=True)
    place = ops.cast(ops.clip(ops.round(known * TOP_FRACTION), 1, count), "int32") - 1
    return ops.logical_and(is_known, entropies >= ops.take_along_axis(largest, place, axis=1))


def _sample_voxels(values):
    """Return every 17th of the voxels of (regions, voxels) if there are many."""
    voxels = values.shape[1]  # None in a graph for batches of any size
    is_large = voxels is not None and voxels > _MAX_SORTED_VOXELS
    return values[:, ::_SAMPLING_STEP] if is_large else values


def _volumes(truth, logits, weights: LossWeights):
    """Soft voxel counts of overlap, ground truth and prediction, each (regions,)."""
    probabilities = ops.sigmoid(logits)
    return weights.sums(truth * probabilities, truth, probabilities)


def _cross_entropies(truth, logits):
    """Binary cross-entropy of each voxel in nats, (regions, voxels)."""
    return ops.softplus(logits) - truth * logits
