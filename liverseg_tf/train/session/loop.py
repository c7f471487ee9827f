"""From step to step: rate, validation, best model, log, checkpoint, and the end."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.learner.execution import TrainingProgress
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.session.budget import ClockBudget, StepBudget, learning_rate
from liverseg_tf.train.session.checkpoint import TrainingState
from liverseg_tf.train.session.interrupt import Interrupt, Interrupted
from liverseg_tf.train.session.recorder import RunRecorder
from liverseg_tf.train.session.validation import Scores, Validator

_CLOSING_SECONDS = 6.0


class Loop:
    """Lets a learner learn until its budget is spent.

    Args:
        learner: of the batches.
        budget: when the run is over.
        judge: measures the validation Dice.
        journal: where the best model, the log and the checkpoints go.
        standing: where the run stands.
    """

    def __init__(
        self,
        learner: Learner,
        budget: StepBudget | ClockBudget,
        judge: Validator,
        journal: RunRecorder,
        standing: TrainingState,
    ):
        self.learner, self.settings, self.budget = learner, learner.parts.settings, budget
        self.judge, self.journal, self.standing = judge, journal, standing
        self._kept = InferenceModel(learner.parts)
        self._began = time.monotonic() - standing.elapsed
        self._reported = time.monotonic()
        self._last_end: float | None = None
        self._step_seconds = math.inf
        self._pending: object = None  # the loss of the last step
        self._rate = 0.0

    def run(self, batches: Iterator, report: Callable[[TrainingProgress], None]) -> None:
        """Learn from batches, the first of which is that of the standing's step.

        Raises:
            LiverSegError: when the loss is not finite, or something can't be written.
            Interrupted: after a checkpoint, when the process is told to end.
        """
        now = self.standing
        self.journal.begin(self._kept.model)
        with Interrupt() as interrupt:
            # one step at least: seconds that are too few for it still leave a run that predicts
            while now.step == 0 or (self._share() < 1 and not self._waited_enough()):
                if interrupt.asked:
                    self._save()
                    raise Interrupted
                self._step(*next(batches))
                share = self._share()
                if time.monotonic() - self._reported > 1 or share >= 1:
                    self._reported = time.monotonic()
                    report(self._progress(share))
                if now.step % self.settings.steps_per_epoch == 0 or share >= 1:
                    self._end_epoch(last=share >= 1)

    def _step(self, image, truth) -> None:
        now = self.standing
        self._rate = learning_rate(self.settings.peak_rate, self._share(), self.settings.decay)
        loss = self.learner.step(image, truth, self._rate)
        now.step += 1
        # a GPU is at work on this step while the loss of the one before is looked at
        self._take_loss()
        self._pending = loss
        self._time_step()

    def _take_loss(self) -> None:
        if self._pending is None:
            return
        loss, self._pending = float(self._pending), None
        if not np.isfinite(loss):
            raise LiverSegError(
                f"Expected a finite loss. Received {loss} before step {self.standing.step}: lower "
                "the learning rate. The best model so far is kept."
            )
        self.standing.losses += loss

    def _end_epoch(self, last: bool) -> None:
        now = self.standing
        self._take_loss()
        row = {
            "epoch": now.epoch + 1,
            "step": now.step,
            "seconds": round(self._elapsed(), 2),
            "learning_rate": self._rate,
            "loss": now.losses / self._steps_of_epoch(),
        }
        self.journal.check_store()
        scores = None
        if last or self.budget.may_validate(now.validating, self._cost()):
            scores = self._validate()
            row |= {f"dice_{name}": dice for name, dice in scores.regions.items()}
        now.epoch, now.losses = now.epoch + 1, 0.0
        now.rows.append(row)
        self.journal.log(now)
        if not last:
            self._save()
        self._last_end = None

    def _validate(self) -> Scores:
        """Score the model and keep it where it is the best so far."""
        now, started = self.standing, time.monotonic()
        self._kept.take(self.learner.inference_weights())
        scores = self.judge.score(self._kept.probabilities, self._thinning(), self.learner.total)
        self.journal.picture(now.step, self._kept.probabilities)
        mean = 0.0 if math.isnan(scores.mean) else scores.mean
        now.waited += 1
        if mean > now.best:
            now.best, now.best_dice, now.waited = mean, scores.regions, 0
            self.journal.keep(self._kept.model)
        now.cases += [
            {"epoch": now.epoch + 1, "case": name, "region": region, "dice": dice}
            for name, by_region in scores.cases.items()
            for region, dice in by_region.items()
        ]
        now.validating += time.monotonic() - started
        return scores

    def _progress(self, share: float) -> TrainingProgress:
        now = self.standing
        # the last loss may be under way
        known = self._steps_of_epoch() - (self._pending is not None)
        loss = now.losses / known if known else math.nan
        best = now.best if math.isfinite(now.best) else math.nan
        return TrainingProgress(share, now.epoch + 1, loss, best)

    def _steps_of_epoch(self) -> int:
        return self.standing.step - self.standing.epoch * self.settings.steps_per_epoch

    def _save(self) -> None:
        self._take_loss()
        self.standing.elapsed = self._elapsed()
        self.journal.save(self.learner.state(), self.standing)

    def _waited_enough(self) -> bool:
        return self.settings.patience is not None and self.standing.waited >= self.settings.patience

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _share(self) -> float:
        # another step, the last validation, and some seconds to save and draw must still fit
        step = self._step_seconds if math.isfinite(self._step_seconds) else 0.0
        return self.budget.progress(self.standing.step, step + self._cost() + _CLOSING_SECONDS)

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
