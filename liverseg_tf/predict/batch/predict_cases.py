"""Prediction of many images, one after another, with reading and writing in the background."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.predict.batch.case_pipeline import CasePipeline, CaseState
from liverseg_tf.predict.batch.memmap import check_writable
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.batch.prefetch import prefetch_map
from liverseg_tf.predict.input_image import check_images_not_overwritten
from liverseg_tf.predict.models.predictor import Predictor


@dataclass
class PredictionResult:
    """The outcome of a prediction run.

    Args:
        written: Names of the cases whose masks were written.
        kept: Names of the cases whose masks were up to date.
        failures: Error message, one line, of each case that failed, by case name.
        guessed_geometry: Names of the cases whose headers give neither spacing nor orientation.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    guessed_geometry: list[str] = field(default_factory=list)


def predict_cases(
    images: dict[str, Path | DicomSeries],
    predictor: Predictor,
    job: PredictionJob,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> PredictionResult:
    """Segment images and write their masks, each of them atomically.

    While the network works on one image, a thread writes the previous masks and reads the next
    image, so that at most two volumes are in memory. If a case fails, the others continue. After
    an interrupt, all finished masks exist, including the one that was being written.

    Args:
        images: Images by case name.
        predictor: Model that predicts the probabilities of tiles.
        job: Settings of the run.
        on_case: Function that is called after each case with its name and its error message, or
            None if it succeeded.

    Returns:
        The names of the written, kept and failed cases.

    Raises:
        LiverSegError: If the output folder cannot be written, or a mask would overwrite an image.
        SettingsError: If the post-processing names a region that the model does not have.
    """
    if "nifti" in job.outputs.formats:
        check_images_not_overwritten(images, job.folder)
    check_writable(job.folder)
    pipeline = CasePipeline.create(predictor, job)
    result, outdated = PredictionResult(), []
    for name, source in images.items():
        if pipeline.is_up_to_date(name, source):
            result.kept.append(name)
            on_case(name, None)
        else:
            outdated.append(CaseState(name, source))
    read, segment, write = (
        functools.partial(pipeline.attempt, step)
        for step in (pipeline.read, pipeline.segment, pipeline.write)
    )
    for case in prefetch_map(outdated, read, segment, write):
        if case.failure is None:
            result.written.append(case.name)
        else:
            result.failures[case.name] = case.failure
        if case.guessed_geometry:
            result.guessed_geometry.append(case.name)
        on_case(case.name, case.failure)
    return result
