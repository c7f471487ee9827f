"""Series and instances in the queue of a node, and the states of a series."""

from dataclasses import dataclass

# states of a series; the last three are final until further images arrive
RECEIVING, QUEUED, DONE, REFUSED, SKIPPED = "receiving", "queued", "done", "refused", "skipped"
FINAL = (DONE, REFUSED, SKIPPED)


@dataclass(frozen=True)
class Instance:
    """A received instance.

    Args:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        digest: Digest of its data set; see `uids.digest_instance`.
        patient: Digest of its PatientID.
        file: Name of its file in the folder of received files. None if it was removed.
        id: Number in the queue; 0 if it is not yet there.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    digest: str
    patient: str
    file: str | None
    id: int = 0


@dataclass(frozen=True)
class Series:
    """A series in the queue.

    Args:
        id: Number in the queue.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        state: RECEIVING, QUEUED, DONE, REFUSED or SKIPPED.
        reason: Why it was refused or skipped, one line.
        attempts: How often work on it has begun since its last image arrived.
        changes: How often an image has arrived, so that work on an earlier state is recognised.
        calling: Title of the application entity that sent it.
        first_received: Time of the first image, in seconds since 1970.
        last_received: Time of the last image.
        images: Number of images with different SOPInstanceUIDs.
        missing: Number of images that were offered, but could not be kept.
    """

    id: int
    study_uid: str
    series_uid: str
    state: str
    reason: str
    attempts: int
    changes: int
    calling: str
    first_received: float
    last_received: float
    images: int
    missing: int

    def __str__(self) -> str:
        return f"series {self.id} ({self.series_uid})"
