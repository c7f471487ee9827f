"""Fine-tuning on corrected labels: starts, reports and stops the commands that do it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from liverseg_tf.atomic import write_json
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.predict.outputs.case_outputs import file_safe_name
from liverseg_tf.printable import printable
from liverseg_tf.serve.server.activity import Activity
from liverseg_tf.serve.server.fine_tuning_data import (
    FineTuningFolder,
    assemble_data,
    mean_dice,
    predict_arguments,
    preprocess_arguments,
    train_arguments,
)
from liverseg_tf.serve.server.fine_tuning_task import (
    FineTuningTask,
    parse_minutes,
    parse_steps,
)
from liverseg_tf.serve.server.labels import FINAL, LabelStore
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.models import Model, Models
from liverseg_tf.serve.server.studies import Studies
from liverseg_tf.serve.server.task import DONE, ERROR, RUNNING, STOPPED
from liverseg_tf.tiles.store import TileStore

_STOP_S = 10  # after which a command that does not stop is killed
_MAX_LINE = 500


class _Stopped(Exception):
    """The user has stopped the fine-tuning."""


class FineTuning:
    """Runs one fine-tuning at a time, in processes of its own.

    Args:
        models: Models; a better one takes the place of its predecessor.
        studies: Images.
        labels: Saved labels.
        activity: Log.
        folder: Folder for the data, the tiles and the runs of all models.
    """

    def __init__(
        self,
        models: Models,
        studies: Studies,
        labels: LabelStore,
        activity: Activity,
        folder: Path,
    ):
        self._models, self._studies, self._labels = models, studies, labels
        self._activity, self._folder = activity, Path(folder)
        self._lock = threading.Lock()
        self._tasks: deque[FineTuningTask] = deque(maxlen=100)
        self._process: subprocess.Popen | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def trainable(self) -> list[Model]:
        """Return the models that can be fine-tuned."""
        return [model for model in self._models.all() if model.run is not None]

    def tasks(self) -> list[FineTuningTask]:
        """Return the latest tasks, the last one last."""
        return list(self._tasks)

    def running(self) -> FineTuningTask | None:
        """Return the task that runs."""
        return next((task for task in self._tasks if task.status == RUNNING), None)

    def start(self, name: str, request: dict) -> FineTuningTask:
        """Start to fine-tune a model.

        Args:
            name: Name of the model.
            request: Parameters; `minutes` is the time for training, and `steps` replaces it by a
                number of steps, which is the same on every machine.

        Raises:
            Refusal: If one runs already, or the model cannot be fine-tuned.
        """
        model = self._models.get(name)
        if model.run is None:
            raise Refusal(
                422,
                f"Expected a trained run to fine-tune. Received {name}, which is an exported "
                "model or an ensemble: serve the run.",
            )
        minutes, steps = parse_minutes(request), parse_steps(request)
        with self._lock:
            if self.running() is not None:
                raise Refusal(429, "Expected no fine-tuning that runs. Received a second one.")
            if not self._labels.with_tag(FINAL):
                raise Refusal(
                    422, "Expected a corrected label to learn from. Received none: save one first."
                )
            sent = {**request, "model": name}
            task = FineTuningTask(name, sent, minutes=minutes, steps=steps)
            self._tasks.append(task)
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, args=(task, model), daemon=True)
            self._thread.start()
        return task

    def stop(self) -> FineTuningTask | None:
        """Stop the task that runs, and return it; None if there is none."""
        task, thread = self.running(), self._thread
        if task is None:
            return None
        self._stop.set()
        self._end_process()
        if thread is not None:
            thread.join(_STOP_S)
        return task

    def _work(self, task: FineTuningTask, model: Model) -> None:
        try:
            status, result = DONE, self._fine_tune(task, model)
        except _Stopped:
            status, result = STOPPED, "Stopped. The model is unchanged."
        except LiverSegError as error:
            status, result = ERROR, printable(error)
        except Exception as error:  # a bug must not leave a task that runs for ever
            status, result = ERROR, f"Unexpected {type(error).__name__}."
        task.end(status, result)
        self._activity.log(f"fine-tuning {task.model}: {status}")

    def _fine_tune(self, task: FineTuningTask, model: Model) -> str:
        assert model.run is not None, "checked by `start`"
        files = FineTuningFolder(self._folder / file_safe_name(model.name))
        network = model.predictor.network
        accepted = [word for rule in model.accepted for word in ("--accept", rule)]
        version = files.next_version()
        saved = self._labels.with_tag(FINAL)
        cases, notes = assemble_data(files.data, saved, self._labels, self._studies, model)
        task.details.extend(notes)
        self._run(task, [*preprocess_arguments(files, network.tiles, network.regions), *accepted])
        validation = [name for name in TileStore.open(files.store).split["val"] if name in cases]
        self._run(task, train_arguments(files, model.run, version, task.minutes, task.steps))
        if not validation:
            return (
                f"Version {version} was trained on {count(len(cases), 'label')} and is kept. The "
                "model is unchanged: correct at least two images, so that one of them can compare "
                "the models."
            )
        scores = []
        for number, run in ((0, model.run), (version, files.run(version))):
            self._run(task, [*predict_arguments(files, run, number, validation), *accepted])
            scores.append(
                mean_dice(files.masks(number), files.data / "masks", validation, network.regions)
            )
        old, new = scores
        task.best_dice = max(scores)
        compared = (
            f"Mean Dice on {count(len(validation), 'validation case')}: {old:.4f} before, "
            f"{new:.4f} after."
        )
        if new <= old:
            return f"{compared} The model is unchanged; version {version} is kept."
        self._models.replace(model.name, files.run(version), version)
        write_json(files.current, {"version": version, "base": model.given_fingerprint})
        return f"{compared} Version {version} takes the place of the model, which is kept."

    def _run(self, task: FineTuningTask, arguments: Sequence[str]) -> None:
        """Run a command of `liverseg`; its lines become details of the task."""
        if self._stop.is_set():
            raise _Stopped
        command = [sys.executable, "-m", "liverseg_tf", *arguments]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            self._process = process
            with contextlib.suppress(OSError, AttributeError):  # predictions come first
                os.setpriority(os.PRIO_PROCESS, process.pid, 10)
            assert process.stdout is not None, "it is a pipe"
            for line in process.stdout:
                if line.strip():
                    task.details.append(printable(line.strip())[:_MAX_LINE])
        self._process = None
        if self._stop.is_set():
            raise _Stopped
        if process.returncode:
            last = task.details[-1] if task.details else "no message"
            raise LiverSegError(f"Expected `liverseg {arguments[0]}` to succeed. Received: {last}")

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
                return
