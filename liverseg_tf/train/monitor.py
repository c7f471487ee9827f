"""What happens while a model learns: rate, validation, best model, log, and the end."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.budget import ClockBudget, StepBudget, learning_rate
from liverseg_tf.train.run import Run
from liverseg_tf.train.validation import Judge

_CLOSING_SECONDS = 6.0


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        share: of the run that is over, 0..1.
        epoch: from 1.
        loss: mean over the epoch so far.
        dice: best validation Dice so far, mean over the regions; NaN before the first.
    """

    share: float
    epoch: int
    loss: float
    dice: float


class Monitor(keras.callbacks.Callback):
    """Sets the learning rate, validates, keeps the best model, and stops in time.

    Args:
        run: where the best model and the log go.
        budget: when the run is over.
        peak_rate: the highest learning rate.
        judge: measures the model's validation Dice.
        report: called about every second.
    """

    def __init__(
        self,
        run: Run,
        budget: StepBudget | ClockBudget,
        peak_rate: float,
        judge: Judge,
        report: Callable[[Progress], None],
    ):
        super().__init__()
        self.run, self.budget, self.peak_rate = run, budget, peak_rate
        self.judge, self.report = judge, report
        self.rows: list[dict] = []
        self.best = -math.inf
        self.best_dice: dict[str, float] = {}
        self.step = 0
        self._started = self._reported = time.monotonic()
        self._validating = 0.0  # seconds spent on it so far
        self._last_end = None
        self._step_seconds = math.inf

    def on_train_batch_begin(self, batch, logs=None):
        rate = learning_rate(self.peak_rate, self._share())
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self._time_step()
        loss = logs["loss"]
        if not np.isfinite(loss):
            raise LiverSegError(
                f"Expected a finite loss. Received {loss} at step {self.step}: lower the learning "
                "rate. The best model so far is kept."
            )
        share = self._share()
        if share >= 1:
            self.model.stop_training = True
        if time.monotonic() - self._reported > 1 or share >= 1:
            self._reported = time.monotonic()
            self.report(Progress(share, len(self.rows) + 1, loss, self._shown()))

    def on_epoch_end(self, epoch, logs=None):
        dice = {}
        if self._share() >= 1 or self.budget.may_validate(self._validating, self._cost()):
            dice = self._validate()
        self.rows.append(
            {
                "epoch": epoch + 1,
                "step": self.step,
                "seconds": round(time.monotonic() - self._started, 2),
                "learning_rate": float(self.model.optimizer.learning_rate),
                "loss": float(logs["loss"]),
            }
            | dice
        )
        names = [f"dice_{name}" for name in self.best_dice]
        self.run.write_log([row | {n: row.get(n, math.nan) for n in names} for row in self.rows])

    def _validate(self) -> dict[str, float]:
        """Score the model and keep it where it is the best so far."""
        started = time.monotonic()
        dice = self.judge.score(self.model, self._thinning())
        known = [value for value in dice.values() if not math.isnan(value)]
        mean = sum(known) / len(known) if known else 0.0
        if mean > self.best:
            self.best, self.best_dice = mean, dice
            self.run.save_model(self.model)
        self._validating += time.monotonic() - started
        self._last_end = None
        return {f"dice_{name}": value for name, value in dice.items()}

    def _share(self) -> float:
        # another step, the last validation, and some seconds to save and draw must still fit
        step = self._step_seconds if math.isfinite(self._step_seconds) else 0.0
        return self.budget.progress(self.step, step + self._cost() + _CLOSING_SECONDS)

    def _cost(self) -> float:
        """Seconds that a validation is expected to take."""
        return self._full_cost() / self._thinning()

    def _thinning(self) -> int:
        return self.budget.thinning(self._full_cost())

    def _full_cost(self) -> float:
        """A slice forwards takes about a third of a slice forwards and backwards."""
        if not math.isfinite(self._step_seconds):
            return 0.0
        return 0.5 * self._step_seconds * self.judge.slices / self.judge.batch_size

    def _time_step(self) -> None:
        """A running mean, since other work on the machine comes and goes."""
        now = time.monotonic()
        if self._last_end is not None:
            seconds = now - self._last_end
            if math.isfinite(self._step_seconds):
                seconds = 0.8 * self._step_seconds + 0.2 * seconds
            self._step_seconds = seconds
        self._last_end = now

    def _shown(self) -> float:
        return self.best if math.isfinite(self.best) else math.nan
