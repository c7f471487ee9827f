"""Everything that the routes of the server use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import LiverSegError
from liverseg_tf.serve.server.activity import Activity
from liverseg_tf.serve.server.batch_inference import BatchInference
from liverseg_tf.serve.server.fine_tuning import FineTuning
from liverseg_tf.serve.server.labels import FINAL, LabelStore
from liverseg_tf.serve.server.limits import Refusal, ServerLimits
from liverseg_tf.serve.server.model_queue import ModelQueue
from liverseg_tf.serve.server.models import Model, Models
from liverseg_tf.serve.server.private_files import PrivateFiles
from liverseg_tf.serve.server.sessions import Sessions
from liverseg_tf.serve.server.studies import Origin, Studies
from liverseg_tf.serve.server.uncertainty import Uncertainty

FINE_TUNED = "models"  # folder of the fine-tuned models in the folder of the server


@dataclass(frozen=True)
class AccessRules:
    """Who may use the server.

    Args:
        token: Token that every request must carry; None lets everybody in who can connect.
        origins: Web pages, such as OHIF's, that may use the server from a browser.
        hosts: Names by which browsers may address the server; none allows all. They keep pages of
            other sites from reaching a server without a token by a name of their own.
    """

    token: str | None = None
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """The state of the server, which all requests share."""

    limits: ServerLimits
    access: AccessRules
    activity: Activity
    files: PrivateFiles
    models: Models
    studies: Studies
    labels: LabelStore
    sessions: Sessions
    queue: ModelQueue
    uncertainty: Uncertainty
    fine_tuning: FineTuning
    batch: BatchInference

    @classmethod
    def create(
        cls,
        models: Sequence[Model],
        load: Callable[[str, Path, int], Model],
        found: Mapping[str, Origin],
        folder: Path,
        limits: ServerLimits = ServerLimits(),
        access: AccessRules = AccessRules(),
        say: Callable[[str], None] | None = None,
    ) -> "Service":
        """Create the state of a server.

        Args:
            models: Models, with different names.
            load: Function that loads a fine-tuned run as a model of this name and version.
            found: Images of the studies by name.
            folder: Folder for labels, uploads and fine-tuned models; one server may use it.
            limits: Limits of the server.
            access: Who may use it.
            say: Function that prints the lines of the log, or None.

        Raises:
            SettingsError: If two models have the same name.
            LiverSegError: If the folder cannot be written.
        """
        folder = Path(folder)
        activity, files = Activity(say), PrivateFiles(folder / "private")
        known, queue = Models(models, load), ModelQueue(limits)
        studies = Studies(found, folder / "images")
        labels = LabelStore(folder / "labels")
        uncertainty = Uncertainty(
            known, studies, labels, queue, files, activity, folder / "uncertainty"
        )
        fine_tuning = FineTuning(known, studies, labels, activity, folder / FINE_TUNED)
        return cls(
            limits,
            access,
            activity,
            files,
            known,
            studies,
            labels,
            Sessions(limits),
            queue,
            uncertainty,
            fine_tuning,
            BatchInference(studies, labels, queue, files, activity),
        )

    def model(self, name: str) -> Model:
        """Return a model.

        Raises:
            Refusal: If there is none of this name.
        """
        try:
            return self.models.get(name)
        except LiverSegError as error:
            raise Refusal(404, str(error)) from error

    def statistics(self) -> dict:
        """Return the numbers of images and labels, in the form of MONAI Label."""
        names = set(self.studies.names())
        completed = [saved for saved in self.labels.with_tag(FINAL) if saved.image in names]
        return {
            "total": len(names),
            "completed": len(completed),
            "label_tags": self.labels.counts(),
        }

    def close(self) -> None:
        """Stop what runs in the background, and remove the private files."""
        self.fine_tuning.stop()
        self.batch.stop()
        self.uncertainty.stop()
        self.files.clear()
