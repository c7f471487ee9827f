"""Measure preprocessing (stage 1); compare nnU-Net and MONAI on the same files with two processes.

    python benchmarks/preprocess.py --peers PEERS/bin/python [--data Task03_Liver]

PEERS is an environment with benchmarks/peers/requirements-preprocess.txt. Without it, only this
package is measured. The files are 8 noisy phantoms of 512x512x100 voxels and, with --data, the
cases of that data set (layout msd). Times are medians of wall-clock times of complete commands;
they include imports and the start of the processes.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from isal import igzip
from measure import median_of, print_hardware, run_command

from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.phantom.phantoms import write_phantoms
from liverseg_tf.phantom.spec import PhantomSpec
from liverseg_tf.tiles.case_tiles import cut_case
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

PROCESSES = 2
HERE = Path(__file__).parent
CHUNK_BYTES = 1 << 24
TILES_READ = 20_000
SMALL = PhantomSpec(shape=(24, 96, 96), spacing_mm=(8.0, 4.0, 4.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="Data set with dataset.json.")
    parser.add_argument("--peers", help="Python executable of the peers' environment.")
    parser.add_argument("--phantoms", type=int, default=8, help="Number of large phantoms.")
    parser.add_argument("--repeats", type=int, default=3, help="Number of repeats.")
    parser.add_argument("--most", type=int, default=1000, help="Maximum number of small cases.")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "liverseg_preprocess"
    )
    options = parser.parse_args()
    print_hardware()
    dataset = make_dataset(options.work, options.data, options.phantoms)
    ours, gigabytes = measure_ours(dataset, options.work / "store", options.repeats)
    cases = TileStore.open(options.work / "store").cases
    slices = sum(case["slices"] for case in cases.values())
    print(f"{len(cases)} cases, {slices} slices of 512x512; {PROCESSES} processes")
    report("liverseg", slices / ours, gigabytes)
    for peer in (measure_monai, measure_nnunet) if options.peers else ():
        seconds, gigabytes = peer(options.peers, dataset, options.work, options.repeats)
        name = peer.__name__.removeprefix("measure_")
        report(name, slices / seconds, gigabytes, f"liverseg is {seconds / ours:.1f} times as fast")
    measure_one_volume(find_cases(dataset), options.work, options.repeats)
    measure_reads(TileStore.open(options.work / "store"), options.repeats)
    measure_slope(options.work, options.most)


def report(name: str, rate: float, gigabytes: float, note: str = "") -> None:
    print(f"{name:10} {rate:7.1f} slices/s, largest process {gigabytes:.2f} GB  {note}")


def make_dataset(work: Path, data: Path | None, phantoms: int) -> Path:
    """Write phantoms and the given cases as one data set with the layout msd."""
    dataset = work / "dataset"
    if dataset.is_dir():
        return dataset
    spec = PhantomSpec(shape=(100, 512, 512), spacing_mm=(2.5, 0.75, 0.75))
    write_phantoms(dataset, phantoms, spec=spec)
    description = json.loads((dataset / "dataset.json").read_text())
    for case in find_cases(data) if data else ():
        for file, key in ((case.image, "image"), (case.mask, "label")):
            target = dataset / ("imagesTr" if key == "image" else "labelsTr") / file.name
            shutil.copy(file, target)
        name = case.image.name
        description["training"].append(
            {"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"}
        )
    (dataset / "dataset.json").write_text(json.dumps(description))
    return dataset


def measure_ours(dataset: Path, store: Path, repeats: int) -> tuple[float, float]:
    command = [sys.executable, "-c", "from liverseg_tf.cli.main import liverseg; liverseg()"]
    command += ["preprocess", dataset, store, "--workers", PROCESSES]
    return repeated(command, store, repeats)


def measure_monai(python: str, dataset: Path, work: Path, repeats: int) -> tuple[float, float]:
    """Measure LoadImage, Orientation, Spacing, ScaleIntensityRange and saving as npy."""
    command = [python, HERE / "peers/preprocess_monai.py", dataset, work / "monai", PROCESSES]
    return repeated(command, work / "monai", repeats)


def repeated(command: list, out: Path, repeats: int) -> tuple[float, float]:
    measured = []
    for _ in range(repeats):
        shutil.rmtree(out, ignore_errors=True)
        measured.append(run_command(command))
    return tuple(map(statistics.median, zip(*measured, strict=True)))


def measure_nnunet(python: str, dataset: Path, work: Path, repeats: int) -> tuple[float, float]:
    """Measure nnU-Net's fingerprint and 2D preprocessing, without the planning between them."""
    folders = {
        f"nnUNet_{name}": str(work / "nnunet" / name) for name in ("raw", "preprocessed", "results")
    }
    environment = os.environ | folders
    make_nnunet_dataset(dataset, Path(folders["nnUNet_raw"]) / "Dataset001_Liver")
    programs = Path(python).parent
    workers = ["-np", PROCESSES]
    steps = {
        "fingerprint": [programs / "nnUNetv2_extract_fingerprint", "-d", 1, "--clean", *workers],
        "plan": [programs / "nnUNetv2_plan_experiment", "-d", 1],
        "preprocess": [programs / "nnUNetv2_preprocess", "-d", 1, "-c", "2d", *workers],
    }
    measured = []
    for _ in range(repeats):
        shutil.rmtree(folders["nnUNet_preprocessed"], ignore_errors=True)
        found = {name: run_command(step, env=environment) for name, step in steps.items()}
        seconds = found["fingerprint"][0] + found["preprocess"][0]
        measured.append((seconds, max(gigabytes for _, gigabytes in found.values())))
        print(
            "           " + ", ".join(f"{name} {took:.1f} s" for name, (took, _) in found.items())
        )
    return tuple(map(statistics.median, zip(*measured, strict=True)))


def make_nnunet_dataset(dataset: Path, raw: Path) -> None:
    if raw.is_dir():
        return
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    cases = find_cases(dataset)
    for case in cases:
        os.symlink(case.image, raw / "imagesTr" / f"{case.name}_0000.nii.gz")
        os.symlink(case.mask, raw / "labelsTr" / f"{case.name}.nii.gz")
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(description))


def measure_one_volume(cases: list[Case], work: Path, repeats: int) -> None:
    """Compare reading, cutting and writing a case in this process with only decompressing it."""
    store = TileStore(work / "one", TileSpec())

    def cut() -> None:
        store.write(case.name, cut_case(case, store.spec))

    for case in (cases[0], cases[-1]):
        image, _ = median_of(lambda: decompress(case.image), repeats)  # noqa: B023
        both, _ = median_of(lambda: decompress(case.image, case.mask), repeats)  # noqa: B023
        whole, _ = median_of(cut, repeats)
        print(
            f"{case.name}: image and mask to tiles {whole:.2f} s; isal decompresses the image in "
            f"{image:.2f} s ({whole / image:.1f} times), both in {both:.2f} s "
            f"({whole / both:.1f} times)"
        )


def decompress(*files: Path) -> None:
    for file in files:
        with igzip.open(file, "rb") as stream:
            while stream.read(CHUNK_BYTES):
                pass


def measure_reads(store: TileStore, repeats: int) -> None:
    """Measure random reads of tiles, image and mask, from the memory-mapped files of all cases."""
    tiles = [store.read(name) for name in store.cases]
    rng = np.random.default_rng(0)
    cases = rng.integers(len(tiles), size=TILES_READ)
    places = [(tiles[case], int(rng.integers(len(tiles[case].image)))) for case in cases]
    height, width, windows = tiles[0].image.shape[1:]
    image, mask = np.empty((height, width, windows), np.uint8), np.empty((height, width), np.uint8)

    def read() -> None:
        for case, z in places:
            image[...] = case.image[z]
            mask[...] = case.mask[z]

    read()  # fills the page cache
    seconds, _ = median_of(read, repeats)
    print(
        f"random reads of image and mask of {height}x{width}: {TILES_READ / seconds:,.0f} tiles/s"
    )


def measure_slope(work: Path, most: int) -> None:
    """Measure the time per slice for 10 to `most` copies of small phantoms."""
    count, made = 10, work / "small"
    while count <= most:
        dataset = made / str(count)
        if not dataset.is_dir():
            write_phantoms(dataset, 10, spec=SMALL)
            copy_cases(dataset, count)
        slices = count * SMALL.shape[0]
        seconds, _ = measure_ours(dataset, work / "small_store", 1)
        print(
            f"{count:5} cases of {SMALL.shape[0]} slices: {seconds:6.1f} s, "
            f"{1000 * seconds / slices:.2f} ms per slice"
        )
        count *= 10


def copy_cases(dataset: Path, count: int) -> None:
    """Copy the cases of a data set until it has `count` cases."""
    description = json.loads((dataset / "dataset.json").read_text())
    entries = description["training"]
    for index in range(len(entries), count):
        source = entries[index % 10]
        copied = {kind: f"./{kind}sTr/copy_{index}.nii.gz" for kind in source}
        for kind, path in copied.items():
            shutil.copy(dataset / source[kind], dataset / path)
        entries.append(copied)
    (dataset / "dataset.json").write_text(json.dumps(description))


if __name__ == "__main__":
    main()
