"""The models that the server offers, by name."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.models.ensemble import MirroredPredictor
from liverseg_tf.predict.models.predictor import Predictor


@dataclass(frozen=True)
class Model:
    """A model that viewers may choose.

    Args:
        name: Name in the viewer.
        predictor: The loaded model.
        mirrored: Whether it was trained on mirrored tiles, so that mirrored passes are allowed.
        run: Folder of its run, from which it can be fine-tuned; None for exports and ensembles.
        version: 0 for the model that the server was given, then the number of the fine-tuning.
        base: Fingerprint of the model that the server was given, if this is a fine-tuned one.
        accepted: Rules of `liverseg check` whose errors become warnings.
    """

    name: str
    predictor: Predictor
    mirrored: bool = False
    run: Path | None = None
    version: int = 0
    base: str = ""
    accepted: tuple[str, ...] = ()

    @property
    def given_fingerprint(self) -> str:
        """Fingerprint of the model that the server was given."""
        return self.base or self.predictor.fingerprint

    @property
    def labels(self) -> dict[str, int]:
        """The value of each region in the masks."""
        regions = self.predictor.network.regions
        return dict(zip(regions.names, regions.written_labels, strict=True))

    @property
    def has_passes(self) -> bool:
        """Whether several passes over an image can be compared."""
        return self.mirrored or hasattr(self.predictor, "passes")

    def predictor_of_passes(self, mirror: bool) -> Predictor:
        """Return the predictor, which averages mirrored passes if that is asked for.

        Raises:
            SettingsError: If the model was not trained on mirrored tiles.
        """
        if not mirror:
            return self.predictor
        if not self.mirrored:
            raise SettingsError(
                "Expected mirror only for a model that was trained with --mirror. "
                f"Received {self.name}, which was not."
            )
        return MirroredPredictor(self.predictor)

    def describe(self) -> dict:
        """Return what viewers show of the model, in the form of MONAI Label."""
        regions = ", ".join(self.predictor.network.regions.names)
        return {
            "type": "segmentation",
            "labels": self.labels,
            "dimension": 3,
            "description": f"2D U-Net of liverseg_tf for {regions}",
            "config": {"mirror": False} if self.mirrored else {},
            "version": self.version,
            "fingerprint": self.predictor.fingerprint,
        }


class Models:
    """The models by name; a fine-tuned model takes the place of the one that it started from.

    Args:
        models: At least one model, with different names.
        load: Function that loads the run in a folder as a model of this name and version.

    Raises:
        SettingsError: If two models have the same name.
    """

    def __init__(self, models: Sequence[Model], load: Callable[[str, Path, int], Model]):
        self._models: dict[str, Model] = {}
        for model in models:
            if model.name in self._models:
                raise SettingsError(
                    f"Expected models with different names. Received two named {model.name}: "
                    "rename the folder or file of one of them."
                )
            self._models[model.name] = model
        self._load = load
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the names in their order."""
        return list(self._models)

    def all(self) -> list[Model]:
        """Return the models in their order."""
        with self._lock:
            return list(self._models.values())

    def get(self, name: str) -> Model:
        """Return a model.

        Raises:
            LiverSegError: If there is none of this name.
        """
        with self._lock:
            model = self._models.get(name)
        if model is None:
            raise LiverSegError(
                f"Expected a model of {', '.join(self._models)}. Received another name."
            )
        return model

    def labels(self) -> dict[str, int]:
        """Return the value of each region in masks without a meaning of their own.

        The first model that has a region of this name decides.
        """
        labels: dict[str, int] = {}
        for model in self.all():
            labels = {**model.labels, **labels}
        return labels

    def replace(self, name: str, run: Path, version: int) -> Model:
        """Load a fine-tuned run and let it take the place of a model.

        Raises:
            LiverSegError: If the run cannot be loaded.
        """
        old = self.get(name)
        model = dataclasses.replace(
            self._load(name, run, version), base=old.given_fingerprint, accepted=old.accepted
        )
        with self._lock:
            self._models[name] = model
        return model
