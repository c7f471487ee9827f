"""Losses over regions, on every Keras backend. All take logits, of which the sigmoid is stable."""

from collections.abc import Callable

from keras import ops

SMOOTH = 1.0
TOP_SHARE = 0.1
# of a tumour that looks like liver yet, this leaves a probability of about a fifth in the liver:
# under the threshold, and where the sigmoid is still steep
OWN_WEIGHT = 0.03
_MANY, _SAMPLED = 1 << 16, 17  # an odd step: lines of tiles have even lengths
MISSED_WEIGHT, SPURIOUS_WEIGHT, FOCUS = 0.7, 0.3, 0.75


def one_replica(sums):
    """The sums of one replica, which is all there are."""
    return sums


def batch_dice_loss(truth, logits, total: Callable = one_replica):
    """Soft Dice loss, summed over the whole batch (Drozdzal et al. 2016, per region).

    The sums run over all slices at once: a loss per slice is 1 without gradient where a slice
    holds nothing of the region. A region that the whole batch lacks costs little once its
    probabilities are near 0.

    Args:
        truth: (batch, h, w, regions), 0 to 1.
        logits: (batch, h, w, regions), whose sigmoid is the probability.
        total: adds sums up over the replicas that share the batch.

    Returns:
        A scalar, 0 (equal) to 1: the mean over the regions.
    """
    return ops.mean(_dice_losses(truth, logits, total))


def cross_entropy(truth, logits):
    """Mean binary cross-entropy over voxels and regions, in nats; arguments as above."""
    return ops.mean(_cross_entropies(truth, logits))


def top_cross_entropy(truth, logits):
    """Mean binary cross-entropy of about the worst tenth of the voxels of each region.

    As TopK of SegLossOdyssey (Ma et al. 2021), by region: the many voxels that are easy add
    nothing. Where the tenth begins is read off every 17th voxel, since sorting all of them takes
    a sixth of a step. With several replicas each takes the worst of its own tiles.
    """
    return ops.mean(_top_cross_entropies(_cross_entropies(truth, logits)))


def dice_and_cross_entropy(truth, logits, total: Callable = one_replica):
    """The sum of both, as in nnU-Net (Isensee et al. 2021)."""
    return batch_dice_loss(truth, logits, total) + cross_entropy(truth, logits)


def dice_and_top_cross_entropy(truth, logits, total: Callable = one_replica):
    """Batch Dice, and of each region the cross-entropy that turns to the worst voxels in time.

    Its weight is the region's soft Dice in this batch; the rest is that of the cross-entropy of
    all voxels and some of the mean over the region's own. From the worst voxels alone, small
    regions take several times as many steps to be found at all. From all voxels alone, tumours of
    a thousandth of a tile are never found: the easiest answer is that there are none, and there
    neither Dice nor cross-entropy has a slope worth mentioning. Once a region is found, the worst
    voxels are what is left to be learnt.
    """
    lost = _dice_losses(truth, logits, total)
    found = ops.stop_gradient(1 - lost)
    truth = ops.cast(truth, logits.dtype)
    entropies, axes = _cross_entropies(truth, logits), (0, 1, 2)
    own = ops.sum(entropies * truth, axis=axes) / ops.maximum(ops.sum(truth, axis=axes), 1)
    every, worst = ops.mean(entropies, axis=axes), _top_cross_entropies(entropies)
    return ops.mean(lost + (1 - found) * (every + OWN_WEIGHT * own) + found * worst)


def focal_tversky(truth, logits, total: Callable = one_replica):
    """Focal Tversky loss (Abraham, Khan 2019), its index over the whole batch, per region.

    Missed voxels weigh 0.7 and spurious ones 0.3; 1 - index is raised to 3/4, which turns to the
    regions that are found badly. Cross-entropy is added, since the index alone hardly tells the
    first steps where to go.
    """
    both, true, found = _sums(truth, logits, total)
    missed, spurious = true - both, found - both
    index = (both + SMOOTH) / (both + MISSED_WEIGHT * missed + SPURIOUS_WEIGHT * spurious + SMOOTH)
    # the slope of x ** 0.75 at 0 is infinite
    focal = ops.mean(ops.maximum(1 - index, 1e-6) ** FOCUS)
    return focal + cross_entropy(truth, logits)


LOSSES = {
    "dice-ce": dice_and_cross_entropy,
    "dice-topk": dice_and_top_cross_entropy,
    "focal-tversky": focal_tversky,
}


def _dice_losses(truth, logits, total: Callable):
    """(regions,), 0 to 1."""
    both, true, found = _sums(truth, logits, total)
    return 1 - (2 * both + SMOOTH) / (true + found + SMOOTH)


def _top_cross_entropies(entropies):
    """(batch, h, w, regions) to (regions,)."""
    entropies = ops.reshape(entropies, (-1, entropies.shape[-1]))
    few = ops.transpose(entropies[::_SAMPLED] if entropies.shape[0] > _MANY else entropies)
    count = max(1, round(few.shape[-1] * TOP_SHARE))
    least = ops.stop_gradient(ops.top_k(few, count)[0][:, -1])
    worst = ops.cast(entropies >= least, entropies.dtype)
    return ops.sum(entropies * worst, axis=0) / ops.sum(worst, axis=0)


def _sums(truth, logits, total: Callable):
    """Voxels of both, of the truth and found, (regions,) each and soft."""
    truth = ops.cast(truth, logits.dtype)
    probabilities = ops.sigmoid(logits)
    axes = (0, 1, 2)
    sums = [ops.sum(part, axis=axes) for part in (truth * probabilities, truth, probabilities)]
    summed = total(ops.stack(sums))
    return summed[0], summed[1], summed[2]


def _cross_entropies(truth, logits):
    return ops.binary_crossentropy(ops.cast(truth, logits.dtype), logits, from_logits=True)
