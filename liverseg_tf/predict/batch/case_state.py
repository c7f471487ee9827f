"""A case on its way from its image to its output files."""

from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskRecord
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.predict.calibrated import CalibratedProbabilities


@dataclass(frozen=True, eq=False)
class CaseState:
    """A case between two steps of the pipeline.

    Args:
        name: Name of the case.
        source: File, folder or series of the image.
        record: What the masks are made from; see `MaskRecord`.
        image: Image, as long as a later step needs it.
        masks: Predicted masks, from the second step until they are written.
        calibrated: Calibrated probabilities, if they are an output.
        failure: Error message, one line; None as long as no step has failed.
    """

    name: str
    source: Path | DicomSeries
    record: MaskRecord | None = None
    image: Volume | None = None
    masks: RegionMasks | None = None
    calibrated: CalibratedProbabilities | None = None
    failure: str | None = None
