"""The training loop: learning rate, step, validation, log, checkpoint, and the end of a run."""

import math
import time
from collections.abc import Callable, Iterator
from typing import SupportsFloat

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.learner.execution import TrainingProgress
from liverseg_tf.train.learner.inference_model import InferenceModel
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.session.budget import ClockBudget, StepBudget, learning_rate
from liverseg_tf.train.session.checkpoint import TrainingState
from liverseg_tf.train.session.interrupt import Interrupt, Interrupted
from liverseg_tf.train.session.recorder import RunRecorder
from liverseg_tf.train.session.step_timer import StepTimer
from liverseg_tf.train.session.validation import ValidationScores, Validator

_CLOSING_SECONDS = 6.0  # to save the model and draw the curves at the end of a wall-clock budget


class TrainingLoop:
    """Trains a learner until its budget is spent, or until validation stops improving.

    Args:
        learner: Network, loss and optimizer.
        budget: Number of steps, or wall-clock time.
        validator: Computes the validation Dice.
        recorder: Writes the best model, the log and the checkpoints.
        state: State to start from; the loop updates it.
    """

    def __init__(
        self,
        learner: Learner,
        budget: StepBudget | ClockBudget,
        validator: Validator,
        recorder: RunRecorder,
        state: TrainingState,
    ):
        self.learner, self.settings, self.budget = learner, learner.components.settings, budget
        self.validator, self.recorder, self.state = validator, recorder, state
        self._inference_model = InferenceModel(learner.components)
        self._timer = StepTimer()
        self._started = time.monotonic() - state.elapsed_seconds
        self._reported = time.monotonic()
        # loss of the latest step, which may still be computed
        self._pending_loss: SupportsFloat | None = None
        self._learning_rate = 0.0

    def run(self, batches: Iterator, report: Callable[[TrainingProgress], None]) -> None:
        """Train on batches until the end of the run.

        Args:
            batches: Pairs of image and ground truth, starting with the batch of `state.step`.
            report: Function that is called with the progress about once a second.

        Raises:
            LiverSegError: If the loss is not finite, the store changes, or a file cannot be
                written.
            Interrupted: If the process received SIGINT or SIGTERM; a checkpoint is written first.
        """
        self.recorder.write_graph(self._inference_model.model)
        with Interrupt() as interrupt:
            # Even if the time budget is too short for one step, make one: the run can then predict.
            while self.state.step == 0 or not self._is_finished():
                if interrupt.requested:
                    self._save_checkpoint()
                    raise Interrupted
                image, truth = next(batches)
                self._train_step(image, truth)
                completed = self._completed_fraction()
                if time.monotonic() - self._reported > 1 or completed >= 1:
                    self._reported = time.monotonic()
                    report(self._progress(completed))
                if self.state.step % self.settings.steps_per_epoch == 0 or completed >= 1:
                    self._end_epoch(is_last=completed >= 1)

    def _train_step(self, image, truth) -> None:
        self._learning_rate = learning_rate(
            self.settings.max_learning_rate, self._completed_fraction(), self.settings.decay
        )
        loss = self.learner.step(image, truth, self._learning_rate)
        self.state.step += 1
        # `step` returns early. While the device computes it, wait for the loss of the step before.
        self._add_pending_loss()
        self._pending_loss = loss
        self._timer.record_step()

    def _add_pending_loss(self) -> None:
        """Wait for the loss of the latest step and add it to the sum of the epoch."""
        if self._pending_loss is None:
            return
        loss, self._pending_loss = float(self._pending_loss), None
        if not math.isfinite(loss):
            raise LiverSegError(
                f"Expected a finite loss. Received {loss} near step {self.state.step}: lower the "
                "learning rate. The best model so far is kept."
            )
        self.state.epoch_loss_sum += loss

    def _end_epoch(self, is_last: bool) -> None:
        """Validate if the budget allows it, and write the log and a checkpoint."""
        state = self.state
        self._add_pending_loss()
        row = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "seconds": round(self._elapsed_seconds(), 2),
            "learning_rate": self._learning_rate,
            "loss": state.epoch_loss_sum / self._steps_in_epoch(),
        }
        self.recorder.check_store()
        cost_seconds = self._validation_seconds()
        if is_last or self.budget.may_validate(state.validation_seconds, cost_seconds):
            scores = self._validate()
            row |= {f"dice_{name}": dice for name, dice in scores.region_dice.items()}
        state.epoch, state.epoch_loss_sum = state.epoch + 1, 0.0
        state.log_rows.append(row)
        self.recorder.write_log(state)
        state.is_complete = is_last
        self._save_checkpoint()
        self._timer.restart()

    def _validate(self) -> ValidationScores:
        """Score the current weights and save the model if it is the best so far."""
        state, started = self.state, time.monotonic()
        model = self._inference_model
        model.set_weights(self.learner.inference_weights())
        scores = self.validator.score(
            model.probabilities, self._validation_subsampling(), self.learner.sum_over_hosts
        )
        self.recorder.write_predictions(state.step, model.probabilities)
        mean_dice = 0.0 if math.isnan(scores.mean_dice) else scores.mean_dice
        state.validations_since_best += 1
        if mean_dice > state.best_mean_dice:
            state.best_mean_dice, state.best_dice = mean_dice, scores.region_dice
            state.validations_since_best = 0
            self.recorder.save_best_model(model.model)
        state.validation_rows += [
            {"epoch": state.epoch + 1, "case": name, "region": region, "dice": dice}
            for name, by_region in scores.case_dice.items()
            for region, dice in by_region.items()
        ]
        state.validation_seconds += time.monotonic() - started
        return scores

    def _save_checkpoint(self) -> None:
        self._add_pending_loss()
        self.state.elapsed_seconds = self._elapsed_seconds()
        self.recorder.save_checkpoint(self.learner.state(), self.state)

    def _progress(self, completed: float) -> TrainingProgress:
        state = self.state
        loss_count = self._steps_in_epoch() - (self._pending_loss is not None)
        loss = state.epoch_loss_sum / loss_count if loss_count else math.nan
        speed = self._timer.steps_per_second(is_last=completed >= 1)
        return TrainingProgress(completed, state.epoch + 1, loss, state.best_dice, speed)

    def _is_finished(self) -> bool:
        if self.state.is_complete:
            return True
        patience = self.settings.patience
        is_stalled = patience is not None and self.state.validations_since_best >= patience
        return is_stalled or self._completed_fraction() >= 1

    def _completed_fraction(self) -> float:
        # one more step, the last validation, and saving must still fit into a wall-clock budget
        reserved = self._timer.mean_seconds + self._validation_seconds() + _CLOSING_SECONDS
        return self.budget.completed_fraction(self.state.step, reserved)

    def _steps_in_epoch(self) -> int:
        return self.state.step - self.state.epoch * self.settings.steps_per_epoch

    def _elapsed_seconds(self) -> float:
        """Wall-clock time of the run, including the time before it was resumed."""
        return time.monotonic() - self._started

    def _validation_seconds(self) -> float:
        """Expected time of a validation."""
        return self._full_validation_seconds() / self._validation_subsampling()

    def _validation_subsampling(self) -> int:
        """The validation scores every n-th slice; this is n."""
        return self.budget.validation_subsampling(self._full_validation_seconds())

    def _full_validation_seconds(self) -> float:
        """Expected time of a validation on all slices.

        Inference takes about a third of the time of a training step. A half leaves a margin.
        """
        batches = self.validator.slice_count / self.validator.batch_size
        return 0.5 * self._timer.mean_seconds * batches
