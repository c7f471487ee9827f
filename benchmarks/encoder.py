"""Check the encoder EfficientNet-Lite0 against PyTorch, and compare its cost with the presets.

    python benchmarks/encoder.py --peers PEERS/bin/python

This environment needs the extra `encoder`, and PEERS benchmarks/peers/requirements-encoder.txt. The
features of each size are compared with those of the package efficientnet_lite_pytorch for 1, 3 and
5 channels. The processor seconds on one core of a training step (batches of 8) and of the
prediction of a slice, both of 256 x 256 pixels, are medians of alternating repeats.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import print_hardware

PEER = Path(__file__).parent / "peers" / "encoder_torch.py"
SIDE, BATCH, STEPS = 256, 8, 3
FAST = {"context": 3, "patch": 2}
NETWORKS = {
    "fast": FAST,
    "fast, efficientnet-lite0": FAST | {"encoder": "efficientnet-lite0"},
    "full resolution, efficientnet-lite0": {"context": 3, "encoder": "efficientnet-lite0"},
    "accurate": {"context": 5, "base_filters": 32, "residual": True, "deep_supervision": 3},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python executable of the peers' environment.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # the libraries start as many threads as there are cores that the process may use
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    print_hardware()
    if options.peers:
        compare_features(options.peers)
    measure_costs(options.repeats, options.precision)


def compare_features(python: str) -> None:
    """Print the largest difference from PyTorch's features, for each number of channels."""
    import keras

    from liverseg_tf.train.network.encoders import build_encoder

    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.float32)
    grey = np.repeat(image[..., :1], 3, axis=-1)
    for name, rgb, inputs in (
        ("1 channel", grey, grey[..., :1]),
        ("3 channels", image, image),
        ("5 equal channels", grey, np.repeat(grey[..., :1], 5, axis=-1)),
    ):
        tiles = keras.Input((None, None, inputs.shape[-1]))
        encoder = keras.Model(tiles, build_encoder("efficientnet-lite0", tiles, "imagenet"))
        expected = features_of_torch(python, rgb)
        for found, truth in zip(encoder.predict_on_batch(inputs), expected, strict=True):
            difference = np.abs(found - truth).max()
            print(
                f"{name}: {found.shape[1]:3} x {found.shape[2]:3} x {found.shape[3]:3} features of "
                f"{truth.min():.2f} to {truth.max():.2f} differ by at most {difference:.1e}"
            )


def features_of_torch(python: str, image: np.ndarray) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "image.npy", image)
        subprocess.run([python, str(PEER), folder], check=True, stdout=subprocess.DEVNULL)
        with np.load(Path(folder) / "features.npz") as features:
            return [features[str(size)] for size in range(5)]


def measure_costs(repeats: int, precision: str) -> None:
    from liverseg_tf.model.spec import NetworkSpec
    from liverseg_tf.train.learner.execution import ExecutionOptions
    from liverseg_tf.train.learner.factory import make_learner
    from liverseg_tf.train.learner.hardware import choose_hardware
    from liverseg_tf.train.settings import TrainSettings

    rng = np.random.default_rng(0)
    truth = (rng.random((BATCH, SIDE, SIDE, 2)) > 0.9).astype(np.uint8)
    jobs, steps, predictions = {}, {}, {}
    for name, changes in NETWORKS.items():
        settings = TrainSettings(**changes)
        image = rng.uniform(0, 255, (BATCH, SIDE, SIDE, settings.context)).astype(np.float32)
        network = NetworkSpec(context=settings.context)
        learner = make_learner(network, settings, ExecutionOptions(choose_hardware(precision)))
        model = learner.components.build_inference_model(choose_hardware(precision).policy)
        jobs[name] = learner, model, image
        steps[name], predictions[name] = [], []
        for _ in range(2):  # compile
            float(learner.step(image, truth, 1e-3))
            model.predict_on_batch(image)
        print(f"{name}: {model.count_params():,} parameters", flush=True)
    for _ in range(repeats):
        for name, (learner, model, image) in jobs.items():
            steps[name].append(seconds_of(learner.step, image, truth, 1e-3))
            predictions[name].append(seconds_of(model.predict_on_batch, image) / BATCH)
    for name in jobs:
        step, prediction = (statistics.median(found[name]) for found in (steps, predictions))
        print(f"{name}: {step:.2f} s for a step, {1000 * prediction:.0f} ms for a slice")


def seconds_of(job, *arguments) -> float:
    """Return the processor seconds of a call, averaged over several."""
    started = time.process_time()
    for _ in range(STEPS):
        np.asarray(job(*arguments))  # waits for the result
    return (time.process_time() - started) / STEPS


if __name__ == "__main__":
    main()
