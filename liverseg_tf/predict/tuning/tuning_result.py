"""The post-processing that was selected on validation cases, and its effect."""

from dataclasses import dataclass, field

import numpy as np

from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.tuning.gains import Gain, mean_over_cases


@dataclass(frozen=True)
class TuningResult:
    """The selected post-processing and its effect.

    Args:
        postprocessing: Selected thresholds and steps.
        dice_before: Dice without them, by case name and region, in 3D on the tile grid. NaN if a
            region is empty both in the prediction and in the reference.
        dice_after: Dice with them.
        held_out_gains: Gain in Dice of each case and region, over the threshold 0.5 and the
            largest component, where the choice was made without this case; see
            `select_postprocessing`. Empty if there are too few cases.
        notes: What was not used because its gain is within noise, and what the score of lesions
            removes, one line each.
    """

    postprocessing: PostProcessing
    dice_before: dict[str, dict[str, float]]
    dice_after: dict[str, dict[str, float]]
    held_out_gains: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def means(self) -> dict[str, tuple[float, float]]:
        """Return the mean Dice of each region over the cases, before and after.

        A mean is NaN if no case has a Dice.
        """
        names = next(iter(self.dice_before.values()))
        before, after = (
            mean_over_cases(np.array([list(dice.values()) for dice in cases.values()])).tolist()
            for cases in (self.dice_before, self.dice_after)
        )
        return dict(zip(names, zip(before, after, strict=True), strict=True))

    def gains(self) -> dict[str, Gain]:
        """Return the gain of each region on held-out cases; empty if there are too few cases."""
        names = next(iter(self.held_out_gains.values()), ())
        return {
            name: Gain.of(gains[name] for gains in self.held_out_gains.values()) for name in names
        }

    def __repr__(self) -> str:
        dice = ", ".join(
            f"{region} {before:.3f} to {after:.3f}"
            for region, (before, after) in self.means().items()
        )
        return (
            f"TuningResult(cases: {len(self.dice_before)}; mean Dice: {dice}; "
            f"post-processing: {self.postprocessing})"
        )
