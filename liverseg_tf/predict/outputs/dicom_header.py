"""How a DICOM result describes itself: its series, its identifiers and what it was made by."""

import hashlib
import re
import uuid
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from liverseg_tf import __version__
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.identity import ModelIdentity

NAME = "liverseg_tf"
MAX_SERIES_NUMBER = 2**31 - 1  # of the value representation IS
# kind of the result: what its series is called, and the offset of its number
_KINDS = {"seg": ("segmentation", 0), "rtstruct": ("structures", 1), "sc": ("contours", 2)}


@dataclass(frozen=True)
class DicomHeader:
    """The part of a result's header that does not come from the image.

    Args:
        model: Model that predicted the labels.
        series_description: SeriesDescription of the results. An empty string stands for the
            kind of the result and the name of the model.
        series_number: SeriesNumber of the segmentation; the structure set and the secondary
            captures have the next two numbers. None adds 1000, 2000 and 3000 to the number of
            the image.
        uid_seed: Text from which all UIDs of the results follow, so that a result that is made
            again from the same seed has the same UIDs. An empty string makes new ones.
        algorithm: How the segments were made, one of `choices.ALGORITHMS`. Those that a model of
            this package predicted are automatic.

    Raises:
        SettingsError: If the series number is not between 1 and 2,147,483,645.
    """

    model: ModelIdentity = ModelIdentity()
    series_description: str = ""
    series_number: int | None = None
    uid_seed: str = ""
    algorithm: str = "automatic"

    def __post_init__(self) -> None:
        number = self.series_number
        if number is not None and not 1 <= number <= MAX_SERIES_NUMBER - len(_KINDS) + 1:
            raise SettingsError(
                "Expected a series number from 1 to "
                f"{MAX_SERIES_NUMBER - len(_KINDS) + 1}. Received {number}."
            )

    def uid(self, kind: str, number: int = 0) -> UID:
        """Return a UID of a result.

        Args:
            kind: "seg", "rtstruct" or "sc".
            number: InstanceNumber of an instance, from 1; 0 for the series.

        Returns:
            A UID that follows from `uid_seed`, or a new one in each call without a seed.
        """
        if not self.uid_seed:
            return generate_uid()
        digest = hashlib.sha256(f"{self.uid_seed}\0{kind}\0{number}".encode()).digest()
        return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}")

    @property
    def content(self) -> str:
        """What the segments are: an automatic, semiautomatic or manual segmentation."""
        return f"{self.algorithm.capitalize()} segmentation"

    def description(self, kind: str) -> str:
        """Return the SeriesDescription of a result, at most 64 characters."""
        text = self.series_description or f"{NAME} {_KINDS[kind][0]} ({self.model.name})"
        return clean_text(text, 64)

    def number(self, kind: str, source: Dataset) -> int:
        """Return the SeriesNumber of a result.

        Args:
            kind: "seg", "rtstruct" or "sc".
            source: Header of the image.
        """
        offset = _KINDS[kind][1]
        if self.series_number is not None:
            return self.series_number + offset
        try:
            number = max(int(source.get("SeriesNumber") or 0), 0)
        except (TypeError, ValueError):
            number = 0
        number += 1000 * (offset + 1)
        return number if number <= MAX_SERIES_NUMBER else 1000 * (offset + 1)

    @property
    def serial_number(self) -> str:
        """The fingerprint of the model, as a DeviceSerialNumber of at most 64 characters."""
        return clean_text(self.model.fingerprint, 64) or "unknown"

    def add_equipment(self, dataset: Dataset) -> None:
        """Add the model and the version of this software to a result.

        The general equipment is this software with the model; the ContributingEquipmentSequence
        names it, too, as the equipment that processed the image.

        Args:
            dataset: Result to be changed.
        """
        processing = Dataset()
        for item in (dataset, processing):
            item.Manufacturer = NAME
            item.ManufacturerModelName = clean_text(self.model.name, 64)
            item.DeviceSerialNumber = self.serial_number
            item.SoftwareVersions = [
                f"{NAME} {__version__}",
                clean_text(f"model {self.model.version}", 64),
            ]
        processing.ContributionDescription = self.content
        processing.PurposeOfReferenceCodeSequence = [
            code_item("109102", "DCM", "Processing Equipment")
        ]
        others = list(dataset.get("ContributingEquipmentSequence") or ())
        dataset.ContributingEquipmentSequence = [*others, processing]


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a coded entry.

    Args:
        value: CodeValue.
        scheme: CodingSchemeDesignator, for example SCT or DCM.
        meaning: CodeMeaning.
    """
    item = Dataset()
    item.CodeValue, item.CodeMeaning, item.CodingSchemeDesignator = value, meaning, scheme
    return item


def clean_text(text: str, length: int) -> str:
    """Return a text without backslashes and control characters, cut to a number of characters."""
    return re.sub(r"[\\\x00-\x1f\x7f]", "_", text).strip()[:length]


def join_notes(notes: tuple[str, ...], length: int) -> str:
    """Join notes to a value that every character set of DICOM can hold.

    Args:
        notes: One line each.
        length: Maximum number of characters.
    """
    text = " ".join(notes).encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\\\x00-\x1f]", "_", text)[:length]
