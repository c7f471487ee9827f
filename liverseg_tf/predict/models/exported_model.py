"""Base of the predictors for exported models."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.model.export_record import ExportRecord
from liverseg_tf.plural import count
from liverseg_tf.predict.models.probabilities import check_probabilities
from liverseg_tf.printable import printable


class ExportedModel(ABC):
    """An exported model that predicts batches of tiles.

    Child classes load one file format each.

    Args:
        path: Path of the file. For a SavedModel: its version folder, or the folder of its
            versions, of which the latest is taken.

    Attributes:
        name: Name of the model: of its file, or of the folder of its versions.
        version: Number of the version folder; empty for a file.
        warnings: What must be known before the model is used, one line each.
        trust: When not to trust its masks.
        training_range: What its training cases were like.

    Raises:
        LiverSegError: If the model cannot be loaded, contains more than the computations of a
            network, or does not match its record.
    """

    file_format: ClassVar[str]  # for messages, with its article

    def __init__(self, path: Path):
        record = ExportRecord.read(path)
        self.network, self.postprocessing = record.network, record.postprocessing
        self.fingerprint, self.warnings = record.fingerprint, record.warnings
        self.name, self.version = record.name, record.version
        self.trust, self.training_range = record.trust, record.training_range
        self._path = record.path
        try:
            channels, regions = self._load(record.path)
        except (LiverSegError, ImportError):
            raise
        except Exception as error:  # the classes of the loaders' errors are not documented
            raise LiverSegError(
                f"Expected {self.file_format} at {record.path}. "
                f"Received: {printable(first_line(error))}"
            ) from error
        network = self.network
        if (channels, regions) != (network.channels, len(network.regions)):
            raise LiverSegError(
                f"Expected a model with {network.channels} input and "
                f"{count(len(network.regions), 'output channel')} at {record.path}. "
                f"Received {channels} and {regions}."
            )

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Predict a batch.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.

        Raises:
            LiverSegError: If the model fails, or computes values that are not probabilities.
        """
        try:
            values = self._compute(tiles)
        except Exception as error:  # the classes of the runtimes' errors are not documented
            shape = " x ".join(map(str, tiles.shape))
            raise LiverSegError(
                f"The model {self._path} failed to predict tiles of {shape}: "
                f"{printable(first_line(error))}"
            ) from error
        check_probabilities(values, (*tiles.shape[:3], len(self.network.regions)), str(self._path))
        return values

    @abstractmethod
    def _load(self, path: Path) -> tuple[int, int]:
        """Load the model and return its numbers of input and output channels."""

    @abstractmethod
    def _compute(self, tiles: np.ndarray) -> np.ndarray:
        """Predict a batch: (batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""
