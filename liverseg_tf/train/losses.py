"""Losses over regions, on every Keras backend."""

from keras import ops

SMOOTH = 1.0


def batch_dice_loss(truth, probabilities):
    """Soft Dice loss, summed over the whole batch (Drozdzal et al. 2016, per region).

    The sums run over all slices at once: a loss per slice is 1 without gradient where a slice
    holds nothing of the region. A region that the whole batch lacks costs little once its
    probabilities are near 0.

    Args:
        truth: (batch, h, w, regions), 0 or 1.
        probabilities: (batch, h, w, regions), 0..1.

    Returns:
        A scalar, 0 (equal) to 1: the mean over the regions.
    """
    truth = ops.cast(truth, probabilities.dtype)
    both = ops.sum(truth * probabilities, axis=(0, 1, 2))
    sizes = ops.sum(truth, axis=(0, 1, 2)) + ops.sum(probabilities, axis=(0, 1, 2))
    return ops.mean(1 - (2 * both + SMOOTH) / (sizes + SMOOTH))


def cross_entropy(truth, probabilities):
    """Mean binary cross-entropy over voxels and regions, in nats; arguments as above."""
    truth = ops.cast(truth, probabilities.dtype)
    return ops.mean(ops.binary_crossentropy(truth, probabilities))


def dice_and_cross_entropy(truth, probabilities):
    """The sum of both, as in nnU-Net (Isensee et al. 2021); arguments as above."""
    return batch_dice_loss(truth, probabilities) + cross_entropy(truth, probabilities)
