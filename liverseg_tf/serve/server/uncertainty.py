"""The images about which a model is least certain, found in the background."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.fingerprint import fingerprint_source
from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import read_record
from liverseg_tf.serve.server.activity import Activity, pseudonym
from liverseg_tf.serve.server.labels import FINAL, LabelStore
from liverseg_tf.serve.server.model_queue import ModelQueue, Preempted
from liverseg_tf.serve.server.models import Model, Models
from liverseg_tf.serve.server.prediction import predict_image
from liverseg_tf.serve.server.private_files import PrivateFiles
from liverseg_tf.serve.server.studies import Studies

_PAUSE_S = 0.2


@dataclass(frozen=True)
class Candidate:
    """An image without a corrected label.

    Args:
        name: Name of the image.
        agreement: Mean Dice between the passes; 0 if no pass found anything.
        scored: Number of images whose agreement is known.
        total: Number of images without a corrected label.
    """

    name: str
    agreement: float
    scored: int
    total: int


class Uncertainty:
    """Measures how much the passes of a model agree on the images without a corrected label.

    It begins when a viewer asks for the first time, and goes on with images that are added and with
    models that are fine-tuned. The results are kept by image and by fingerprint of the model, also
    for the next start of the server. Requests of viewers come first: they interrupt a measurement,
    which is repeated.

    Args:
        models: Models; those with several passes are compared.
        studies: Images.
        labels: Saved labels.
        queue: Queue of the models.
        files: Private folder.
        activity: Log.
        folder: Folder for the results.
    """

    def __init__(
        self,
        models: Models,
        studies: Studies,
        labels: LabelStore,
        queue: ModelQueue,
        files: PrivateFiles,
        activity: Activity,
        folder: Path,
    ):
        self._models, self._studies, self._labels = models, studies, labels
        self._queue, self._files, self._activity = queue, files, activity
        self._folder = Path(folder)
        self._agreement: dict[tuple[str, str], float | None] = {}  # None: cannot be predicted
        self._wanted: str | None = None  # name of a model
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="uncertainty", daemon=True)

    def start(self) -> None:
        """Start the thread, which waits until a viewer asks for the first time."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the measurement that is in progress."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def forget(self, name: str) -> None:
        """Forget the agreement on an image that was removed: another one may get its name."""
        for key in [key for key in self._agreement.copy() if key[0] == name]:
            self._agreement.pop(key, None)

    def most_uncertain(self, model: Model, wait_s: float) -> Candidate | None:
        """Return the image on which the passes agree least.

        Args:
            model: Model with several passes.
            wait_s: Time to wait until the agreement is known for all images.

        Returns:
            The image; the best so far if time is over. None if no agreement is known, or every
            image has a corrected label.
        """
        deadline = time.monotonic() + wait_s
        self._wanted = model.name
        self._wake.set()
        while True:
            names = self._unlabelled()
            known = {
                name: self._agreement[key]
                for name in names
                if (key := (name, model.predictor.fingerprint)) in self._agreement
            }
            if len(known) == len(names) or time.monotonic() > deadline or self._stopped.is_set():
                break
            time.sleep(_PAUSE_S)
        usable = {name: value for name, value in known.items() if value is not None}
        if not usable:
            return None
        name = min(usable, key=lambda name: (usable[name], name))
        return Candidate(name, usable[name], len(known), len(names))

    def _unlabelled(self) -> list[str]:
        labelled = {saved.image for saved in self._labels.with_tag(FINAL)}
        return [name for name in self._studies.names() if name not in labelled]

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait(5)
            self._wake.clear()
            with suppress(LiverSegError):  # the model was removed
                while not self._stopped.is_set() and self._measure_next():
                    pass

    def _measure_next(self) -> bool:
        """Measure one image; return whether there was one."""
        if self._wanted is None:
            return False
        model = self._models.get(self._wanted)
        fingerprint = model.predictor.fingerprint
        for name in self._unlabelled():
            if (name, fingerprint) in self._agreement:
                continue
            try:
                self._agreement[name, fingerprint] = self._measure(name, model)
            except Preempted:
                time.sleep(_PAUSE_S)
            except Exception as error:  # the image cannot be predicted; others can
                self._agreement[name, fingerprint] = None
                self._activity.log(f"agreement of {pseudonym(name)}: {type(error).__name__}")
            return True
        return False

    def _measure(self, name: str, model: Model) -> float:
        source = self._studies.get(name).source
        record = {"model": model.predictor.fingerprint, "source": fingerprint_source(source)}
        path = self._folder / f"{pseudonym(str(record))}-{pseudonym(name)}.json"
        with suppress(LiverSegError):
            kept = read_record(path, dict)
            agreement = kept.pop("agreement", None)
            if kept == record and isinstance(agreement, int | float):
                return float(agreement)
        predictor = model.predictor_of_passes(model.mirrored)
        with self._queue.idle_turn() as on_slices, self._files.temporary_folder() as folder:
            masks = predict_image(source, predictor, model.accepted, folder, on_slices).masks
        values = [value for value in (masks.agreement or {}).values() if value is not None]
        agreement = sum(values) / len(values) if values else 0.0
        write_json(path, {**record, "agreement": agreement})
        self._activity.log(f"agreement of {pseudonym(name)}: {agreement:.3f}")
        return agreement
