"""Rules for the length of a training: minutes, or epochs from the number of slices."""

import math

from liverseg_tf.plan.fingerprint import Fingerprint
from liverseg_tf.plan.setting import Setting

_TRAIN_SHARE, _VALIDATION_SHARE = 0.7, 0.15  # of the patients, by default of `preprocess`
# how often each slice is drawn, and the steps of small and of large data sets
_VISITS, _STEPS = {False: 12, True: 20}, {False: (2500, 20_000), True: (10_000, 75_000)}
_STEPS_PER_EPOCH = {False: 100, True: 250}  # of the presets
# Each epoch ends with a validation. A slice takes about a third of the time of a training step, and
# validation should take about 15 % of the time.
_TILES_PER_SLICE = 1.9
_ROUND_STEPS = 50


def plan_duration(
    fingerprint: Fingerprint, has_gpu: bool, batch_size: int, minutes: float | None
) -> list[Setting]:
    """Choose the length of a training.

    Args:
        fingerprint: Fingerprint of the data set.
        has_gpu: Whether a GPU trains.
        batch_size: Number of tiles in a batch.
        minutes: Minutes that the user wants; None chooses epochs.
    """
    if minutes is not None:
        reason = "as asked; the learning rate falls to 0 within this time on any machine"
        return [Setting("minutes", minutes, reason)]
    slices = max(1, round(_TRAIN_SHARE * fingerprint.slices))
    fewest, most = _STEPS[has_gpu]
    steps = math.ceil(_VISITS[has_gpu] * slices / batch_size)
    steps = min(max(steps, fewest), most)
    validated = _VALIDATION_SHARE * fingerprint.slices * _TILES_PER_SLICE / batch_size
    per_epoch = max(_STEPS_PER_EPOCH[has_gpu], math.ceil(validated / _ROUND_STEPS) * _ROUND_STEPS)
    per_epoch = min(per_epoch, steps)
    epochs = max(1, round(steps / per_epoch))
    drawn = epochs * per_epoch * batch_size / slices
    return [
        Setting(
            "epochs",
            epochs,
            f"each of about {slices} training slices is drawn {drawn:.0f} times; see --minutes",
        ),
        Setting(
            "steps-per-epoch",
            per_epoch,
            "validation after each epoch then takes about 15 % of the time"
            if per_epoch > _STEPS_PER_EPOCH[has_gpu]
            else "as in the presets",
        ),
    ]
