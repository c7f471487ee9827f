"""Prediction by several workers (processes, GPUs or a cluster), each with its own model."""

import functools
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.dataset.provenance import MaskRecords
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.batch.predict_cases import PredictionResult, predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.input_image import check_images_not_overwritten
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.workers import Workers, run_jobs

_GPUS = Path("/proc/driver/nvidia/gpus")


def predict_parallel(
    images: dict[str, Path | DicomSeries],
    load: Callable[[], Predictor],
    job: PredictionJob,
    workers: Workers,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> PredictionResult:
    """Segment images with several workers and write their masks; see `predict_cases`.

    On a machine with several GPUs each process uses one of them. Without a GPU each process uses
    an equal share of the CPU cores.

    Args:
        images: Images by case name.
        load: Function that loads the predictor; it is called once in each worker. It must be
            picklable, hashable and comparable.
        job: Settings of the run.
        workers: Processes or cluster in which the cases are predicted.
        on_case: Function that is called after each case with its name and its error message, or
            None if it succeeded.

    Returns:
        The names of the written, kept and failed cases.

    Raises:
        LiverSegError: If a mask would overwrite an image.
    """
    if "nifti" in job.outputs.formats:
        check_images_not_overwritten(images, job.folder)
    job = replace(job, folder=Path(job.folder).absolute())
    cases = list(images.items())
    predict_one = functools.partial(_predict_in_worker, load, job, workers.count)
    result, records = PredictionResult(), MaskRecords(job.folder)
    for index, outcome in run_jobs(predict_one, cases, workers):
        name = cases[index][0]
        if isinstance(outcome, LiverSegError):
            outcome = PredictionResult(failures={name: str(outcome.about(name))})
        elif not outcome.failures and records.read(name) is None:
            failure = (
                f"Expected the worker to write into {job.folder}, but nothing arrived there. Use "
                f"a folder on a file system that all workers share. (case {name})"
            )
            outcome = PredictionResult(failures={name: failure})
        result.written += outcome.written
        result.kept += outcome.kept
        result.failures |= outcome.failures
        result.warnings |= outcome.warnings
        on_case(name, outcome.failures.get(name))
    for name in (*result.written, *result.kept):  # what is counted must be there
        damage = records.find_damage(name)
        if damage is not None:
            result.fail(name, damage)
    return result


def _predict_in_worker(
    load: Callable[[], Predictor],
    job: PredictionJob,
    worker_count: int,
    case: tuple[str, Path | DicomSeries],
) -> PredictionResult:
    """Predict one case, a pair of name and image."""
    name, source = case
    try:
        return predict_cases({name: source}, _load_once(load, worker_count), job)
    except LiverSegError as error:
        return PredictionResult(failures={name: str(error.about(name))})


@functools.lru_cache(maxsize=1)
def _load_once(load: Callable[[], Predictor], worker_count: int) -> Predictor:
    _limit_devices(worker_count)
    return load()


def _limit_devices(worker_count: int) -> None:
    """Select one GPU or a share of the CPU cores; it takes effect before TensorFlow starts."""
    identity = multiprocessing.current_process()._identity
    number = identity[0] - 1 if identity else 0
    gpus = _visible_gpus()
    if len(gpus) > 1 and worker_count > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    elif not gpus:
        threads = max(1, (os.cpu_count() or 1) // worker_count)
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))


def _visible_gpus() -> list[str]:
    """Return the names of the usable GPUs, in the form of CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(n) for n in range(len(list(_GPUS.iterdir())))] if _GPUS.is_dir() else []
