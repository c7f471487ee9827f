"""Remarks on predictions: masks of another image, and what was assumed when they were made."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.fingerprint import fingerprint_source
from liverseg_tf.ct.images import image_stem
from liverseg_tf.ct.segments.read_segments import segment_stem
from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords, digest_content
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.pairs import Pair


def describe_origin(pair: Pair) -> tuple[str, ...]:
    """Compare a prediction's record, if there is one, with the image of the ground truth.

    Args:
        pair: Files of a case.

    Returns:
        Remarks for the user, one line each.
    """
    record = read_mask_record(pair)
    if record is None:
        return ()
    notes = [f"Predicted with a warning: {warning}" for warning in record.warnings]
    if pair.image is not None and not _is_same_image(record, pair.image):
        notes.append(
            f"{pair.prediction} was made from another image than {pair.image}"
            f"{f' (from {record.image})' if record.image else ''}: predict it again."
        )
    return tuple(notes)


def describe_flags(record: MaskRecord | None) -> tuple[str, ...]:
    """Return what must be checked, one line each.

    These are differences from the training cases, and the masks that the model flagged.

    Args:
        record: Record of the masks of a case; None if there is none.
    """
    if record is None:
        return ()
    flagged = (f"{check.line}: check this mask" for check in record.checks if check.flagged)
    return (*record.unlike, *flagged)


def count_models(pairs: Iterable[Pair]) -> dict[str, int]:
    """Count the predictions by the name of the model that made them; '' stands for no record."""
    records = map(read_mask_record, pairs)
    return dict(Counter("" if record is None else record.model for record in records))


def read_mask_record(pair: Pair) -> MaskRecord | None:
    """Return the record of a prediction; None if there is none, or one of another file.

    A mask that replaced a prediction has another size.

    Args:
        pair: Files of a case.
    """
    return None if pair.prediction is None else read_record_of(pair.prediction)


def read_record_of(prediction: Path) -> MaskRecord | None:
    """Return the record beside a mask; None if there is none, or one of another file.

    Args:
        prediction: File of the mask.
    """
    name = segment_stem(prediction) or image_stem(prediction) or prediction.name
    record = MaskRecords(prediction.parent).read(name)
    try:
        size = prediction.stat().st_size
    except OSError:
        return None  # reading the mask reports the error
    if record is None or size not in record.files.values():
        return None
    return record


def _is_same_image(record: MaskRecord, image: Path | DicomSeries) -> bool:
    """Whether the image has the recorded content; True if that cannot be found out."""
    try:
        # equal names, sizes and times of the files are enough; a copy has other times
        if record.provenance.get("source") == fingerprint_source(image):
            return True
        if not record.content:
            return True
        return any(digest_content(each) == record.content for each in _same_images(image))
    except LiverSegError:
        return True  # drawing the image reports the error


def _same_images(image: Path | DicomSeries) -> Iterator[Path | DicomSeries]:
    """A DICOM series may have been predicted as a series or as the folder that holds it."""
    yield image
    if isinstance(image, DicomSeries):
        yield image.folder
    elif image.is_dir():
        yield from find_volume_series(image)
