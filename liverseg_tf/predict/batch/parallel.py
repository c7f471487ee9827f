"""Cases spread over processes, GPUs or a cluster: each worker has a model of its own."""

import functools
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.batch.predict_cases import Output, PredictResult, predict_cases
from liverseg_tf.predict.batch.provenance import ProvenanceRecords
from liverseg_tf.predict.input_image import check_not_replaced
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.workers import Workers, run_each

_GPUS = Path("/proc/driver/nvidia/gpus")


def predict_parallel(
    images: dict[str, Path | DicomSeries],
    load: Callable[[], Predictor],
    output: Output,
    workers: Workers,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> PredictResult:
    """Write the mask of every image by several workers; see `predict_cases`.

    Each process of a machine with several GPUs takes one of them; without a GPU it takes its
    share of the cores.

    Args:
        images: by case name.
        load: loads the predictor, once in each worker; it travels there, can be compared and
            hashed.
        output: where and what.
        workers: where the cases are segmented.
        on_case: called with a case's name, and its failure or None, as each one ends.

    Raises:
        LiverSegError: when an image is in the folder that a mask would replace.
    """
    if "nifti" in output.outputs.formats:
        check_not_replaced(images, output.folder)
    output = replace(output, folder=Path(output.folder).absolute())
    jobs = list(images.items())
    one = functools.partial(_predict_one, load, output, workers.count)
    result, records = PredictResult(), ProvenanceRecords(output.folder)
    for index, outcome in run_each(one, jobs, workers):
        name = jobs[index][0]
        if isinstance(outcome, LiverSegError):
            outcome = PredictResult(failures={name: str(outcome.about(name))})
        elif not outcome.failures and not records.has(name):
            seen = f"Expected the worker to write into {output.folder}. Received nothing there: "
            seen += f"does it see another file system? (case {name})"
            outcome = PredictResult(failures={name: seen})
        for whole, part in (
            (result.written, outcome.written),
            (result.kept, outcome.kept),
            (result.guessed, outcome.guessed),
        ):
            whole += part
        result.failures |= outcome.failures
        on_case(name, outcome.failures.get(name))
    return result


def _predict_one(
    load: Callable[[], Predictor], output: Output, count: int, job: tuple[str, Path | DicomSeries]
) -> PredictResult:
    """Runs in a worker."""
    try:
        return predict_cases(dict([job]), _loaded(load, count), output)
    except LiverSegError as error:
        return PredictResult(failures={job[0]: str(error.about(job[0]))})


@functools.lru_cache(maxsize=1)
def _loaded(load: Callable[[], Predictor], count: int) -> Predictor:
    _take_a_share(count)
    return load()


def _take_a_share(count: int) -> None:
    """One of the GPUs, or some of the cores, before TensorFlow starts."""
    identity = multiprocessing.current_process()._identity
    number = identity[0] - 1 if identity else 0
    gpus = _gpus()
    if len(gpus) > 1 and count > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    elif not gpus:
        threads = max(1, (os.cpu_count() or 1) // count)
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))


def _gpus() -> list[str]:
    """Names of the GPUs that may be used, as CUDA_VISIBLE_DEVICES takes them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return [str(n) for n in range(len(list(_GPUS.iterdir())))] if _GPUS.is_dir() else []
