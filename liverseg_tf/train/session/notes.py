"""Remarks at the end of a run: what was left out, and what to do next."""

import math
from collections.abc import Collection, Mapping, Sequence

from liverseg_tf.plural import count
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.session.validation import Validator
from liverseg_tf.train.settings import TrainSettings

_VISIBLE = 0.0005  # a lower Dice is printed as 0.000
_MORE_FOREGROUND = 0.67


def make_notes(
    sampler: BatchSampler, validator: Validator, unmatched_layers: tuple[str, ...]
) -> tuple[str, ...]:
    """Say what the training and the validation of a run left out, one sentence each.

    Args:
        sampler: Sampler of the run.
        validator: Validator of the run.
        unmatched_layers: Layers that did not take over the weights of an earlier run.
    """
    names = validator.network.regions.names
    notes = [
        f"No training slice contains the region {name}; the model cannot find it."
        if name in names
        else f"No training slice contains the auxiliary region {name}; it has no effect."
        for name in sampler.absent_regions()
    ]
    if sampler.left_out:
        left_out = ", ".join(sampler.left_out[:3]) + (", ..." if len(sampler.left_out) > 3 else "")
        notes.append(
            f"Training cases that label none of the regions are left out: {left_out} "
            f"({len(sampler.left_out)})."
        )
    if not validator.store.split["val"]:
        notes.append("There are no validation cases; Dice was measured on training cases.")
    total = len(validator.case_names)
    notes += [
        f"Dice of {name} was measured on the {labelled} of {count(total, 'case')} that label it."
        if labelled
        else f"No validation case labels {name}; its Dice is unknown."
        for name, labelled in validator.count_labelled().items()
        if labelled < total
    ]
    if unmatched_layers:
        notes.append(f"Layers that started with random weights: {'; '.join(unmatched_layers)}.")
    return tuple(notes)


def advise_on_missed_regions(
    log_rows: Sequence[Mapping[str, float]], absent: Collection[str], settings: TrainSettings
) -> list[str]:
    """Name the regions whose Dice was 0 in every validation, and say what to try.

    Args:
        log_rows: Rows of `log.csv`; the Dice of a region is in `dice_NAME`.
        absent: Names of the regions that no training slice contains: no training can find these.
        settings: Settings of the run, so that nothing is proposed that was done.

    Returns:
        No sentence, or one.
    """
    missed = [
        name
        for name in settings.regions.names
        if name not in absent and _stayed_at_zero([row.get(f"dice_{name}") for row in log_rows])
    ]
    if not missed:
        return []
    ways = ["train longer (--minutes)"]
    if settings.foreground_fraction < _MORE_FOREGROUND - 0.01:
        ways.append(f"--foreground-fraction {_MORE_FOREGROUND}")
    if settings.patch == 1 and settings.encoder is None:
        ways.append("liverseg --preset fast train ...")
    listed = f"{', '.join(ways[:-1])} or {ways[-1]}" if len(ways) > 1 else ways[0]
    return [f"The Dice of {', '.join(missed)} stayed at 0. Next: {listed}."]


def _stayed_at_zero(dice: Sequence[float | None]) -> bool:
    known = [value for value in dice if value is not None and not math.isnan(value)]
    return bool(known) and max(known) < _VISIBLE
