"""Base of the predictors for exported models."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.model.export_record import ExportRecord
from liverseg_tf.plural import count


class ExportedModel(ABC):
    """An exported model that predicts batches of tiles.

    Child classes load one file format each.

    Args:
        path: Path of the file. For a SavedModel: its version folder, or the folder of its
            versions, of which the latest is taken.

    Raises:
        LiverSegError: If the model cannot be loaded or does not match its record.
    """

    file_format: ClassVar[str]  # for messages, with its article

    def __init__(self, path: Path):
        record = ExportRecord.read(path)
        self.network, self.postprocessing = record.network, record.postprocessing
        self.fingerprint = record.fingerprint
        try:
            channels, regions = self._load(record.path)
        except (LiverSegError, ImportError):
            raise
        except Exception as error:  # the classes of the loaders' errors are not documented
            raise LiverSegError(
                f"Expected {self.file_format} at {record.path}. Received: {first_line(error)}"
            ) from error
        network = self.network
        if (channels, regions) != (network.channels, len(network.regions)):
            raise LiverSegError(
                f"Expected a model with {network.channels} input and "
                f"{count(len(network.regions), 'output channel')} at {record.path}. "
                f"Received {channels} and {regions}."
            )

    @abstractmethod
    def _load(self, path: Path) -> tuple[int, int]:
        """Load the model and return its numbers of input and output channels."""

    @abstractmethod
    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Predict a batch: (batch, h, w, channels) uint8 to (batch, h, w, regions) float32."""
