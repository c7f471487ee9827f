"""The losses of `liverseg train` as losses of Keras, for `Model.compile` and `train_model`.

All take the ground truth (batch, h, w, regions), 0 or 1, and probabilities of the same shape, as
the model of `build_unet` returns them, or logits with `from_logits=True`.
"""

from typing import Any

import keras

from liverseg_tf.train.network import losses
from liverseg_tf.train.network.custom_model import logits_of

__all__ = [
    "CrossEntropy",
    "Dice",
    "DiceAndCrossEntropy",
    "DiceAndTopCrossEntropy",
    "FocalTversky",
]


class _RegionLoss(keras.losses.Loss):
    """A loss over regions.

    Args:
        from_logits: Whether the model returns logits instead of probabilities.
        name: Name of the loss.
    """

    _function: Any

    def __init__(self, from_logits: bool = False, name: str | None = None):
        super().__init__(name=name or type(self).__name__)
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        """Compute the loss of a batch, a scalar."""
        logits = y_pred if self.from_logits else logits_of(y_pred)
        return type(self)._function(y_true, logits)

    def get_config(self) -> dict:
        """Return the arguments."""
        return {"from_logits": self.from_logits, "name": self.name}


@keras.saving.register_keras_serializable("liverseg_tf")
class Dice(_RegionLoss):
    """Soft Dice loss with sums over the whole batch; see `batch_dice_loss`.

    Example:
        >>> import numpy as np
        >>> import liverseg_tf as ls
        >>> truth = np.ones((1, 4, 4, 1), "float32")
        >>> round(float(ls.losses.Dice()(truth, truth)), 3)
        0.0
    """

    _function = staticmethod(losses.batch_dice_loss)


@keras.saving.register_keras_serializable("liverseg_tf")
class CrossEntropy(_RegionLoss):
    """Mean binary cross-entropy over all voxels and regions."""

    _function = staticmethod(losses.cross_entropy)


@keras.saving.register_keras_serializable("liverseg_tf")
class DiceAndCrossEntropy(_RegionLoss):
    """Sum of both, as in nnU-Net: 'dice-ce' of `liverseg train`."""

    _function = staticmethod(losses.dice_and_cross_entropy)


@keras.saving.register_keras_serializable("liverseg_tf")
class DiceAndTopCrossEntropy(_RegionLoss):
    """Dice and the cross-entropy of the worst voxels: 'dice-topk', the default of `liverseg train`.

    See `dice_and_top_cross_entropy`.
    """

    _function = staticmethod(losses.dice_and_top_cross_entropy)


@keras.saving.register_keras_serializable("liverseg_tf")
class FocalTversky(_RegionLoss):
    """Focal Tversky loss plus cross-entropy: 'focal-tversky' of `liverseg train`."""

    _function = staticmethod(losses.focal_tversky)
