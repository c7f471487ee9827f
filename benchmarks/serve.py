"""Measure throughput and latency of a model as Keras, SavedModel, LiteRT, ONNX and on a server.

    python benchmarks/serve.py --run RUN --store STORE

RUN is a trained run and STORE the store of its tiles. Each format segments the cases of STORE that
were not used for training (all cases if there are none), and its masks are compared with those of
Keras (Dice). All formats run in the same process on the same cores, one batch of tiles after the
other; latencies are those of single slices. Then a phantom of 512 x 512 x 200 voxels is predicted
alternately with the SavedModel in this process, and with the gRPC client and a server on the same
machine.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from measure import print_hardware
from serve_client import measure_client, print_rows

THRESHOLD = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument(
        "--slices", type=int, default=96, help="Number of slices for the throughput."
    )
    parser.add_argument(
        "--single", type=int, default=60, help="Number of single slices for the latency."
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="Number of repeats with the complete CT."
    )
    parser.add_argument(
        "--depth", type=int, default=200, help="Number of slices of the complete CT."
    )
    parser.add_argument("--work", type=Path, help="Folder of the exports; temporary if not given.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_all(options, options.work or Path(folder))


def measure_all(options: argparse.Namespace, work: Path) -> None:
    from liverseg_tf.cli.shared.tensorflow import import_tensorflow

    import_tensorflow()
    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.phantom.spec import PhantomSpec
    from liverseg_tf.predict.models.load import load_predictor
    from liverseg_tf.predict.models.run import RunPredictor

    out = make_exports(options.run, options.store, work)
    keras_model = RunPredictor(options.run, "float32")
    tiles = tiles_of(options.store, keras_model.network)
    print_hardware()
    shape = " x ".join(map(str, tiles.shape[1:]))
    print(f"{len(tiles)} tiles of {shape}, batches of {options.batch_size}")
    reference = masks_of(keras_model.probabilities, tiles, options.batch_size)
    predictors = {"Keras": keras_model}
    predictors |= {name: load_predictor([path]) for name, path in out.items()}
    for name, predictor in predictors.items():
        row = measure(predictor.probabilities, tiles, options)
        found = masks_of(predictor.probabilities, tiles, options.batch_size)
        dice = ", ".join(
            f"{region} {dice_of(found[..., r], reference[..., r]):.5f}"
            for r, region in enumerate(keras_model.network.regions.names)
        )
        size = size_of(out[name]) if name in out else size_of(options.run / "model.keras")
        print(f"{name:22} {row}  {size / 1e6:6.2f} MB  Dice with Keras: {dice}", flush=True)
    spec = PhantomSpec((options.depth, 512, 512), (1.5, 0.75, 0.75), axes="LPS", oblique=0)
    image, _ = make_phantom(0, spec)
    print(f"CT of {options.depth} slices of 512 x 512: in this process, and with a local server")
    print_rows(measure_client(work, predictors["SavedModel"], image, options.repeats, "m/1"))


def make_exports(run: Path, store: Path, work: Path) -> dict[str, Path]:
    """Export a run in all formats; return their paths by name."""
    from liverseg_tf.serve.export.export_run import ExportSettings, export_run

    plain = ExportSettings("m", 1, "none", ("float16", "int8"), store, True)
    folders = {}
    if not (work / "m" / "1").is_dir():
        export_run(run, work, plain)
    for weights in ("float16", "int8"):  # other names: a server loads only the latest version
        name = f"m_{weights}"
        if not (work / name / "1").is_dir():
            export_run(run, work, ExportSettings(name, 1, weights))
        folders[f"SavedModel, {weights}"] = work / name / "1"
    return {
        "SavedModel": work / "m" / "1",
        **folders,
        "LiteRT, float16": work / "m-1-float16.tflite",
        "LiteRT, int8": work / "m-1-int8.tflite",
        "ONNX Runtime": work / "m-1.onnx",
    }


def tiles_of(store: Path, network) -> np.ndarray:
    """Return the tiles of the cases that were not used for training, (n, h, w, channels) uint8."""
    from liverseg_tf.tiles.store import TileStore

    tiles = TileStore.open(store)
    names = tiles.split["test"] + tiles.split["val"] or tiles.split["train"]
    stacked = []
    for case in map(tiles.read, names):
        slice_step = network.slice_step(case.slice_mm)
        stacked += [network.stack(case.image, z, slice_step) for z in range(len(case.image))]
    whole = np.zeros((len(stacked), *network.padded(stacked[0].shape[:2]), network.channels), "u1")
    for place, tile in enumerate(stacked):
        whole[place, : tile.shape[0], : tile.shape[1]] = tile
    return whole


def measure(call: Callable, tiles: np.ndarray, options: argparse.Namespace) -> str:
    """Measure the throughput in batches, and then the latency of single slices."""
    batch = tiles[np.arange(options.batch_size) % len(tiles)]
    call(batch)
    rounds = max(1, options.slices // options.batch_size)
    started = time.perf_counter()
    for _ in range(rounds):
        call(batch)
    rate = rounds * options.batch_size / (time.perf_counter() - started)
    call(tiles[:1])
    times = []
    for number in range(options.single):
        one = tiles[number % len(tiles)][None]
        started = time.perf_counter()
        call(one)
        times.append(1e3 * (time.perf_counter() - started))
    p99 = float(np.percentile(times, 99))
    return f"{rate:7.1f} slices/s  p50 {statistics.median(times):6.1f} ms  p99 {p99:6.1f} ms"


def masks_of(call: Callable, tiles: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the predicted masks, (n, h, w, regions) bool."""
    batches = (tiles[start : start + batch_size] for start in range(0, len(tiles), batch_size))
    return np.concatenate([call(batch) > THRESHOLD for batch in batches])


def dice_of(a: np.ndarray, b: np.ndarray) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the graph and the variables of a SavedModel."""
    if path.is_file():
        return path.stat().st_size
    files = [path / "saved_model.pb", *(path / "variables").iterdir()]
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
