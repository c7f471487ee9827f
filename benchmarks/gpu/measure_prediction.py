"""Measure the prediction of a whole CT, from .nii.gz to .nii.gz, with a network that is loaded."""

import tempfile
import time
from pathlib import Path

from measuring import PeakMemory, measure_rows, parse_options

from liverseg_tf.cli.shared.tensorflow import import_backend
from liverseg_tf.errors import LiverSegError

SHAPE, QUICK_SHAPE = (200, 512, 512), (12, 64, 64)
SPACING_MM = (1.5, 0.75, 0.75)
COARSENING = 4  # of the phantom, whose voxels are repeated: a fine one takes half a minute to make


def main() -> None:
    options = parse_options()
    import_backend()
    with tempfile.TemporaryDirectory() as folder:
        measure_rows(options, lambda row: measure(Path(folder), options.quick))


def measure(folder: Path, quick: bool) -> dict:
    """Predict twice; the first prediction compiles the network."""
    from predict import write_run

    from liverseg_tf.predict.batch.predict_cases import predict_cases
    from liverseg_tf.predict.batch.prediction_job import PredictionJob
    from liverseg_tf.predict.models.run import RunPredictor

    shape = QUICK_SHAPE if quick else SHAPE
    write_image(folder / "ct.nii.gz", shape)
    write_run(folder / "run")
    predictor, memory = RunPredictor(folder / "run"), PeakMemory()
    network, call = [], predictor.probabilities

    def timed(tiles):
        started = time.perf_counter()
        found = call(tiles)
        network.append(time.perf_counter() - started)
        return found

    predictor.probabilities = timed
    memory.start()
    times = []
    for _ in range(2):
        network.clear()
        started = time.perf_counter()
        job = PredictionJob(folder / "masks", force=True)
        failures = predict_cases({"ct": folder / "ct.nii.gz"}, predictor, job).failures
        if failures:
            raise LiverSegError(next(iter(failures.values())))
        times.append(time.perf_counter() - started)
    return {
        "shape": shape,
        "seconds": times[-1],
        "first_seconds": times[0],
        "network_seconds": sum(network),
        "gigabytes": memory.gigabytes(),
    }


def write_image(path: Path, shape: tuple[int, int, int]) -> None:
    """Write a CT of a phantom whose voxels are repeated within the slices."""
    import numpy as np

    from liverseg_tf.ct.nifti import write_volume
    from liverseg_tf.ct.volume import Volume
    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.phantom.spec import PhantomSpec

    slices, rows, cols = shape
    coarse = (slices, rows // COARSENING, cols // COARSENING)
    # a small volume gets larger voxels, so that the body is in it
    factor = SHAPE[1] / rows
    spacing = [
        factor * mm * side / small
        for mm, side, small in zip(SPACING_MM, shape, coarse, strict=True)
    ]
    image, _ = make_phantom(0, PhantomSpec(coarse, tuple(spacing), axes="LPS", oblique=0))
    array = image.array.repeat(COARSENING, axis=1).repeat(COARSENING, axis=2)
    affine = image.affine.copy()
    affine[:3, :2] /= COARSENING
    write_volume(path, Volume(np.ascontiguousarray(array), affine))


if __name__ == "__main__":
    main()
