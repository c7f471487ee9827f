"""What predicted masks were made from: a record for each case, beside the masks.

With it, a later run computes only outdated masks, and an evaluation finds masks of other images.
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import source_files
from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.plural import count
from liverseg_tf.printable import printable
from liverseg_tf.records import read_record

FOLDER = ".predictions"


@dataclass(frozen=True)
class MaskCheck:
    """A score of a mask beside the threshold that `liverseg trust` measured for its model.

    Args:
        region: Name of the region.
        score: Name of the score: confidence or agreement.
        value: Score of the mask; None if the mask is empty.
        threshold: Threshold below which a mask is flagged.
        flagged: Whether this mask must be checked.
    """

    region: str
    score: str
    value: Annotated[float, Meta(ge=0, le=1)] | None
    threshold: Annotated[float, Meta(ge=0, le=1)]
    flagged: bool

    @property
    def line(self) -> str:
        """What the comparison says, in one line."""
        region = printable(self.region)
        if self.value is None:
            return f"{region}: nothing was found, although every case that was measured has it"
        than = "below" if self.value < self.threshold else "not below"
        return f"{region}: {printable(self.score)} {self.value:.3f} {than} {self.threshold:.3f}"


@dataclass(frozen=True)
class MaskRecord:
    """The record of the masks of a case.

    Args:
        provenance: Source, model and settings, as JSON values. Equal provenances give equal masks.
        files: Sizes in bytes by file name, relative to the folder.
        image: Path of the image, for people.
        content: Digest of the content of the image's files; see `digest_content`.
        warnings: What had to be assumed, one line each.
        accepted: Rules of the check whose errors were accepted.
        model: Name and version of the model, for people.
        side: Side of the model's split on which the case is: train, val or test. An empty text if
            it is not in the split, or the model does not know it.
        checks: How far the mask of each region can be trusted, as far as the model knows.
        unlike: Those of the warnings that say how the case differs from the training cases.
        regions: Labels of each region that was written.
    """

    provenance: dict[str, Any]
    files: dict[str, Annotated[int, Meta(ge=0)]] = field(default_factory=dict)
    image: str = ""
    content: str = ""
    warnings: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    model: str = ""
    side: str = ""
    checks: tuple[MaskCheck, ...] = ()
    unlike: tuple[str, ...] = ()
    regions: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class MaskRecords:
    """The records in a folder of masks.

    There is one file per case, so that several processes can write records at the same time.

    Args:
        folder: Folder of the masks.
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Return the path of the record of a case."""
        return Path(self.folder) / FOLDER / f"{name}.json"

    def read(self, name: str) -> MaskRecord | None:
        """Read the record of a case; None if it is missing or damaged."""
        try:
            return read_record(self.path(name), MaskRecord)
        except LiverSegError:
            return None

    def complete_files(self, name: str, provenance: dict) -> set[str]:
        """Return the names of the files of a case that have exactly this provenance and this size.

        Args:
            name: Name of the case.
            provenance: Source, model and settings, as JSON values.

        Returns:
            File names relative to the folder; empty if the record is missing, damaged or different.
        """
        record = self.read(name)
        if record is None or record.provenance != provenance:
            return set()
        names = {_real_name(file, name): size for file, size in record.files.items()}
        return {file for file, size in names.items() if self._size(file) == size}

    def find_damage(self, name: str, provenance: dict | None = None) -> str | None:
        """Look whether the files of a case are there, as they were written.

        Args:
            name: Name of the case.
            provenance: What they should have been made from; None does not compare it.

        Returns:
            What is wrong, in one line; None if nothing is.
        """
        record = self.read(name)
        if record is None:
            return (
                f"Expected the masks of case {name} and their record in {self.folder}. Received no "
                "record: they were removed while this command ran. Run it again."
            )
        if provenance is not None and record.provenance != provenance:
            return (
                f"Expected the masks of case {name} in {self.folder} as this command wrote them. "
                "Received those of another run, which replaced them: use different folders."
            )
        for file, size in record.files.items():
            found = self._size(_real_name(file, name))
            if found != size:
                received = "no such file" if found is None else count(found, "byte")
                return (
                    f"Expected {self.folder / file} with {count(size, 'byte')}. Received "
                    f"{received}: it was changed while this command ran. Run it again. "
                    f"(case {name})"
                )
        return None

    def remove(self, name: str) -> None:
        """Remove the record of a case, before its files change.

        Raises:
            LiverSegError: If the record cannot be removed.
        """
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise LiverSegError(
                f"Expected to write {self.path(name)}. Received: {reason_of(error)}."
            ) from error

    def write(self, name: str, record: MaskRecord, files: set[str]) -> None:
        """Write the record of a case, after all of its files.

        Args:
            name: Name of the case.
            record: Record, without the files.
            files: File names relative to the folder.

        Raises:
            LiverSegError: If a file is missing, or the record cannot be written.
        """
        sizes = {
            printable(file): regular_file_size(Path(self.folder) / file) for file in sorted(files)
        }
        value = dataclasses.asdict(record) | {"files": sizes, "image": printable(record.image)}
        value |= {"model": printable(record.model)}
        write_json(self.path(name), value | {"warnings": list(map(printable, record.warnings))})

    def _size(self, file: str) -> int | None:
        try:
            return regular_file_size(Path(self.folder) / file)
        except LiverSegError:
            return None


def _real_name(file: str, case: str) -> str:
    """Return the name of a file, which a record contains in its printable form."""
    return file.replace(printable(case), case)


def digest_content(source: Path | DicomSeries) -> str:
    """Compute a SHA-256 digest of the content of an image's files, whatever their names and times.

    Raises:
        LiverSegError: If a file cannot be read.
    """
    digests = []
    for file in source_files(source):
        regular_file_size(file)
        try:
            with open(file, "rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise LiverSegError(
                f"Expected a file at {file}. Received: {reason_of(error)}."
            ) from error
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
