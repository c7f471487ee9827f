"""What the masks of a case are made from: source, model and settings."""

import json
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.fingerprint import fingerprint_source
from liverseg_tf.dataset.provenance import MaskRecord
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.batch.prediction_job import PredictionJob

PIPELINE_VERSION = 2  # increase it with every change of the code that changes masks


def describe_origin(
    source: Path | DicomSeries,
    model: str,
    postprocessing: PostProcessing,
    job: PredictionJob,
    trust: str = "",
) -> dict:
    """Describe what masks are made from. Masks of equal origins are equal.

    Args:
        source: File or series of the image.
        model: Fingerprint of the model.
        postprocessing: Post-processing of the masks, with the overrides of the job.
        job: Settings of the run.
        trust: Digest of what is known about when not to trust the model, and about its training
            cases. Masks that were made before it was known are predicted again, and judged.

    Returns:
        JSON values; see `MaskRecord.provenance`.
    """
    header = job.outputs.header
    optional = {
        "form": job.form,
        "precision": job.precision,
        "only": sorted(job.only) or None,
        "series_description": header.series_description or None,
        "series_number": header.series_number,
        "calibrated": job.calibrated or None,
        "trust": trust or None,
    }
    return {key: value for key, value in optional.items() if value is not None} | {
        "source": fingerprint_source(source),
        "model": model,
        "postprocessing": json.loads(json.dumps(postprocessing.to_json())),
        "crop": job.inference.crop,
        "version": PIPELINE_VERSION,
    }


def make_uid_seed(record: MaskRecord, model: ModelIdentity) -> str:
    """Return what a DICOM result follows from. Results of equal seeds have equal UIDs.

    The names and times of the files are left out, so that a copy of the images leads to the same
    UIDs.

    Args:
        record: Record of the masks, with the digest of the image's content.
        model: Model that predicted them.
    """
    provenance = {key: value for key, value in record.provenance.items() if key != "source"}
    made_from = [__version__, model.name, model.version, provenance, record.content]
    return json.dumps(made_from, sort_keys=True)
