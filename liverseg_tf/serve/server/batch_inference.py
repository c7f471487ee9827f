"""Predictions of many images in the background, of which the masks are saved as labels."""

import threading
import time
from collections import deque
from collections.abc import Callable

from liverseg_tf.dataset.cases import natural_sort_key
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.printable import printable
from liverseg_tf.serve.server.activity import Activity, pseudonym
from liverseg_tf.serve.server.answers import describe_prediction
from liverseg_tf.serve.server.labels import FINAL, ORIGINAL, LabelStore, check_tag
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.model_queue import ModelQueue, Preempted
from liverseg_tf.serve.server.models import Model
from liverseg_tf.serve.server.prediction import predict_image
from liverseg_tf.serve.server.private_files import PrivateFiles
from liverseg_tf.serve.server.studies import Studies
from liverseg_tf.serve.server.task import DONE, RUNNING, STOPPED, Task

_PAUSE_S = 0.2
_STOP_S = 10


class _Stopped(Exception):
    """The user has stopped the predictions."""


class BatchInference:
    """Predicts one image after another while no viewer waits.

    Requests of viewers come first: they interrupt a prediction, which is repeated. An image that
    cannot be predicted is named in the details of the task, and the others are predicted.

    Args:
        studies: Images.
        labels: Store in which the masks are saved.
        queue: Queue of the models.
        files: Private folder.
        activity: Log.
    """

    def __init__(
        self,
        studies: Studies,
        labels: LabelStore,
        queue: ModelQueue,
        files: PrivateFiles,
        activity: Activity,
    ):
        self._studies, self._labels = studies, labels
        self._queue, self._files, self._activity = queue, files, activity
        self._lock = threading.Lock()
        self._tasks: deque[Task] = deque(maxlen=100)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def tasks(self) -> list[Task]:
        """Return the latest tasks, the last one last."""
        return list(self._tasks)

    def running(self) -> Task | None:
        """Return the task that runs."""
        return next((task for task in self.tasks() if task.status == RUNNING), None)

    def start(self, model: Model, images: str, request: dict) -> Task:
        """Start to predict images.

        Args:
            model: Model.
            images: "all", or "labeled" or "unlabeled" for those with or without a corrected label.
            request: Parameters: `label_tag`, `max_batch_size` (the number of images; 0 for all of
                them) and `mirror`.

        Raises:
            Refusal: If a parameter cannot be used, or one task runs already.
            SettingsError: If the model has no mirrored passes.
        """
        tag, limit = _parse_tag(request), _parse_limit(request)
        predictor = model.predictor_of_passes(request.get("mirror") is True)
        names = self._choose(images)[: limit or None]
        with self._lock:
            if self.running() is not None:
                raise Refusal(429, "Expected no batch that runs. Received a second one.")
            task = Task(model.name, {**request, "model": model.name, "images": images})
            self._tasks.append(task)
            self._stop.clear()
            arguments = (task, model, predictor, tag, names)
            self._thread = threading.Thread(target=self._work, args=arguments, daemon=True)
            self._thread.start()
        return task

    def stop(self) -> Task | None:
        """Stop the task that runs, and return it; None if there is none."""
        task, thread = self.running(), self._thread
        if task is None:
            return None
        self._stop.set()
        if thread is not None:
            thread.join(_STOP_S)
        return task

    def _choose(self, images: str) -> list[str]:
        labelled = {saved.image for saved in self._labels.with_tag(FINAL)}
        names = sorted(self._studies.names(), key=natural_sort_key)
        if images == "all":
            return names
        return [name for name in names if (name in labelled) == (images == "labeled")]

    def _work(
        self, task: Task, model: Model, predictor: Predictor, tag: str, names: list[str]
    ) -> None:
        status, done, failed = DONE, 0, 0
        for name in names:
            try:
                self._predict(name, model, predictor, tag)
                done += 1
                task.details.append(f"{printable(name)}: saved")
            except _Stopped:
                status = STOPPED
                break
            except Exception as error:  # the image cannot be predicted; others can
                failed += 1
                reason = printable(error) if isinstance(error, LiverSegError) else "unexpected"
                task.details.append(f"{printable(name)}: failed: {reason}"[:500])
                self._activity.log(f"batch: {pseudonym(name)}: {type(error).__name__}")
        errors = f", {failed} failed" if failed else ""
        masks = count(done, "mask")
        task.end(status, f"{masks} of {count(len(names), 'image')} saved with tag {tag}{errors}.")
        self._activity.log(f"batch of {model.name}: {status}, {masks}{errors}")

    def _predict(self, name: str, model: Model, predictor: Predictor, tag: str) -> None:
        source = self._studies.get(name).source
        while True:
            if self._stop.is_set():
                raise _Stopped
            started = time.monotonic()
            try:
                with (
                    self._queue.idle_turn() as give_way,
                    self._files.temporary_folder() as folder,
                ):
                    on_slices = self._unless_stopped(give_way)
                    prediction = predict_image(source, predictor, model.accepted, folder, on_slices)
                break
            except Preempted:
                self._stop.wait(_PAUSE_S)
        seconds = time.monotonic() - started
        self._activity.prediction(model.name, seconds)
        info = {"params": describe_prediction(model, prediction, seconds)}
        self._labels.save(name, tag, prediction.labels, model.labels, info)

    def _unless_stopped(self, give_way: Callable[[int], None]) -> Callable[[int], None]:
        def on_slices(count: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            give_way(count)

        return on_slices


def _parse_tag(request: dict) -> str:
    tag = request.get("label_tag") or ORIGINAL
    if tag == FINAL:
        raise Refusal(
            422,
            f"Expected another label_tag than {FINAL}, which is for labels that a person has "
            f"corrected: leave it out, which saves the masks as {ORIGINAL}.",
        )
    return check_tag(tag)


def _parse_limit(request: dict) -> int:
    limit = request.get("max_batch_size") or 0
    if not isinstance(limit, int) or limit < 0:
        raise Refusal(
            422,
            "Expected max_batch_size as a number of images, or 0 for all of them. Received "
            "another value.",
        )
    return limit
