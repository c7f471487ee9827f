"""Received instances on their way to the disk and into the queue."""

import hashlib
import io
import logging
import shutil
import time
import uuid
import warnings
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.file import open_dicom, read_header
from liverseg_tf.ct.dicom.recognise import Kind, recognise
from liverseg_tf.errors import LiverSegError
from liverseg_tf.partials import clear_partials
from liverseg_tf.serve.node.queue.series import Instance
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue
from liverseg_tf.serve.node.queue.uids import digest_instance, is_uid

LOG = logging.getLogger("liverseg_tf.node")

_HEADER_BYTES = 1 << 20  # in which the UIDs of a refused image are looked for
# status codes of C-STORE (PS3.4, table B.2-1)
OUT_OF_RESOURCES, WRONG_DATA_SET, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000


class InstanceRefused(LiverSegError):
    """An instance that is not kept.

    Args:
        message: What is wrong, in one line.
        status: Status of the answer to C-STORE.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, eq=False)
class Received:
    """An instance as it was received.

    Args:
        sop_class: SOPClassUID of the request.
        sop_uid: SOPInstanceUID of the request.
        syntax: UID of the transfer syntax.
        data_set: Encoded data set.
        file_start: Preamble and file meta information, which come first in the file.
        calling: Title of the application entity that sends.
    """

    sop_class: str
    sop_uid: str
    syntax: str
    data_set: bytes | memoryview
    file_start: bytes
    calling: str


class Incoming:
    """Writes received instances to a folder and adds them to the queue.

    Args:
        folder: Folder of the files, which is created. Files that are not in the queue are removed:
            they were being received when the process ended, and the sender knows nothing of them.
        queue: Queue of the node.
        free_bytes: Bytes of the disk that stay free.
    """

    def __init__(self, folder: Path, queue: SeriesQueue, free_bytes: int):
        self._folder, self._queue, self._free_bytes = folder, queue, free_bytes
        self.ignored = 0  # objects that are not slices
        self._missing: deque[tuple[str, str, str]] = deque()
        folder.mkdir(parents=True, exist_ok=True)
        clear_partials(folder)
        for name in {path.name for path in folder.glob("*.dcm")} - queue.files():
            (folder / name).unlink()

    def add(self, received: Received) -> None:
        """Keep an instance: when this returns, it is on the disk and in the queue.

        Objects that are not slices of a patient, such as reports and our own results, are not kept.

        Args:
            received: Instance.

        Raises:
            InstanceRefused: If it cannot be kept.
        """
        if not is_uid(received.sop_uid):
            raise InstanceRefused("an invalid SOPInstanceUID", WRONG_DATA_SET)
        digest = digest_instance(received.data_set, received.syntax)
        try:
            if self._is_repeat(received.sop_uid, digest):
                return
            self._check_space(len(received.data_set))
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.dcm"
            try:
                with replacing(self._folder / name) as partial:
                    with open(partial, "wb") as stream:
                        stream.write(received.file_start)
                        stream.write(received.data_set)
                    instance = self._read(partial, received, digest, name)
                    if instance is None:
                        raise _NotKept
                if self._queue.add(instance, received.calling, time.time()):
                    return
            except BaseException:
                (self._folder / name).unlink(missing_ok=True)
                raise
            (self._folder / name).unlink(missing_ok=True)  # another thread has received it as well
        except _NotKept:
            self.ignored += 1
            LOG.info("an object of class %s is not a slice: not kept", received.sop_class)
        except InstanceRefused:
            self._note_missing(received)
            raise
        except (OSError, LiverSegError) as error:
            self._note_missing(received)
            raise InstanceRefused(f"cannot be written ({error})", OUT_OF_RESOURCES) from error

    def record_missing(self) -> None:
        """Record which images were refused, as soon as the disk allows it.

        Raises:
            DatabaseError: If the queue cannot be written.
        """
        while self._missing:
            self._queue.note_missing(self._missing[0], time.time())
            self._missing.popleft()

    def path(self, instance: Instance) -> Path | None:
        """Return the file of an instance; None if it was removed."""
        if instance.file is None:
            return None
        path = self._folder / instance.file
        return path if path.is_file() else None

    def remove(self, files: list[str]) -> None:
        """Remove files that are no longer in the queue."""
        for file in files:
            (self._folder / file).unlink(missing_ok=True)

    def _is_repeat(self, sop_uid: str, digest: str) -> bool:
        """Look whether an instance is there, with the same bytes; await its series again if so."""
        file = self._queue.find_file(sop_uid, digest)
        if file is None:
            return False
        if not (self._folder / file).is_file():  # somebody has removed it
            self._queue.forget_file(file)
            return False
        self._queue.note_repeat(file, time.time())
        return True

    def _note_missing(self, received: Received) -> None:
        """Record that a series lacks an image which was refused, if the series can be found out."""
        if received.syntax == DeflatedExplicitVRLittleEndian:
            return  # a few bytes may inflate to any number
        with suppress(Exception), warnings.catch_warnings():  # any error of a broken header
            warnings.simplefilter("ignore")
            stream = io.BytesIO(received.file_start + bytes(received.data_set[:_HEADER_BYTES]))
            header = read_header(stream)
            uids = (_text(header, "StudyInstanceUID"), _text(header, "SeriesInstanceUID"))
            if all(map(is_uid, uids)):
                self._missing.append((*uids, received.sop_uid))
                self.record_missing()

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < size + self._free_bytes:
            raise InstanceRefused(
                f"the disk has {free >> 20} MiB left, of which {self._free_bytes >> 20} MiB must "
                "stay free",
                OUT_OF_RESOURCES,
            )

    def _read(self, path: Path, received: Received, digest: str, name: str) -> Instance | None:
        """Read the header of a file; None if it is not a slice."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unusual values are checked when the series is read
            found = recognise(path)
            if found.kind is Kind.OTHER_OBJECT:
                return None
            if found.kind is not Kind.SLICE:
                reason = found.reason or "no DICOM data set"
                raise InstanceRefused(f"cannot be read: {reason}", CANNOT_UNDERSTAND)
            with open_dicom(path) as stream:
                header = read_header(stream)
        uids = {
            keyword: _text(header, keyword)
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        }
        for keyword, uid in uids.items():
            if not is_uid(uid):
                raise InstanceRefused(f"an invalid or missing {keyword}", WRONG_DATA_SET)
        if uids["SOPInstanceUID"] != received.sop_uid:
            raise InstanceRefused("another SOPInstanceUID in the data set", WRONG_DATA_SET)
        if _text(header, "SOPClassUID") != received.sop_class:
            raise InstanceRefused("another SOPClassUID in the data set", WRONG_DATA_SET)
        patient = f"{_text(header, 'PatientID')}\n{_text(header, 'IssuerOfPatientID')}"
        return Instance(
            uids["StudyInstanceUID"],
            uids["SeriesInstanceUID"],
            received.sop_uid,
            digest,
            hashlib.sha256(patient.encode("utf-8", "surrogateescape")).hexdigest()[:16],
            name,
        )


class _NotKept(Exception):
    """An object that is not a slice."""


def _text(header: Dataset, keyword: str) -> str:
    try:
        return str(header.get(keyword) or "")
    except Exception:  # pydicom parses values on access: a broken one raises any error
        return ""
