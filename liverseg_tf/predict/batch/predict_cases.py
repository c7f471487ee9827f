"""Prediction of many images, one after another, with reading and writing in the background."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.size_limit import memory_bytes
from liverseg_tf.predict.batch.case_pipeline import CasePipeline
from liverseg_tf.predict.batch.case_state import CaseState
from liverseg_tf.predict.batch.memmap import check_writable
from liverseg_tf.predict.batch.planning import find_shared_outputs, split_by_memory
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
        warnings: What had to be assumed, one line each, by case name.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def fail(self, name: str, failure: str) -> None:
        """Record the failure of a case, even if its masks have already been written."""
        for names in (self.written, self.kept):
            if name in names:
                names.remove(name)
        self.failures[name] = failure


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
    shared = find_shared_outputs({name: pipeline.output_paths(name) for name in images})
    result, ended, outdated = PredictionResult(), [], []
    for name, source in images.items():
        case = CaseState(name, source, failure=shared.get(name))
        case = pipeline.attempt(pipeline.plan, case)
        if case.failure is None and pipeline.is_up_to_date(case):
            result.kept.append(name)
            kept = pipeline.records.read(name)
            if kept is not None and kept.warnings:
                result.warnings[name] = kept.warnings
            ended.append(case)
            on_case(name, None)
        else:
            outdated.append(case)
    for case in _run(pipeline, outdated):
        if case.failure is None:
            result.written.append(case.name)
            ended.append(case)
        else:
            result.failures[case.name] = case.failure + _name_old_mask(pipeline, case)
        if case.record is not None and case.record.warnings:
            result.warnings[case.name] = case.record.warnings
        on_case(case.name, case.failure)
    for case in ended:  # what is counted must be there
        assert case.record is not None, "`plan` has made it"
        damage = pipeline.records.find_damage(case.name, case.record.provenance)
        if damage is not None:
            result.fail(case.name, damage)
    return result


def _name_old_mask(pipeline: CasePipeline, case: CaseState) -> str:
    """Say that a mask of an earlier run is there, which must not pass for one of this run."""
    for path in pipeline.output_paths(case.name):
        with suppress(OSError, ValueError):
            if path.is_file():
                # the record is removed before the first file is written
                is_old = pipeline.records.read(case.name) is not None
                return f"; {path} is of an {'earlier' if is_old else 'incomplete'} run"
    return ""


def _run(pipeline: CasePipeline, cases: Sequence[CaseState]) -> Iterator[CaseState]:
    """Run all steps of the cases; those that would not fit into memory together run alone."""
    read, segment, write = (
        functools.partial(pipeline.attempt, step)
        for step in (pipeline.read, pipeline.segment, pipeline.write)
    )
    sizes = {case.name: pipeline.gigabytes(case) for case in cases}
    limit = memory_bytes() / 1e9
    for group in split_by_memory(cases, lambda case: sizes[case.name], limit):
        yield from prefetch_map(group, read, segment, write)
