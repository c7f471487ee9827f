"""Preprocess NIfTI files with MONAI, for benchmarks/preprocess.py.

Usage: preprocess_monai.py DATASET OUT PROCESSES.
"""

import json
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import torch
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

KEYS = ("image", "label")
WAY = Compose(
    [
        LoadImaged(KEYS),
        EnsureChannelFirstd(KEYS),
        Orientationd(KEYS, axcodes="LPS", labels=None),
        # 1.5 mm in-plane; the slice spacing is kept
        Spacingd(KEYS, pixdim=(1.5, 1.5, -1), mode=("bilinear", "nearest")),
        ScaleIntensityRanged("image", a_min=-200, a_max=250, b_min=0, b_max=1, clip=True),
    ]
)


def one_thread() -> None:
    torch.set_num_threads(1)


def cut(files: dict[str, str], out: Path) -> None:
    arrays = WAY(files)
    for key in KEYS:
        np.save(out / f"{Path(files[key]).name}_{key}.npy", np.asarray(arrays[key]))


if __name__ == "__main__":
    dataset, out, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    out.mkdir(parents=True)
    entries = json.loads((dataset / "dataset.json").read_text())["training"]
    jobs = [({key: str(dataset / entry[key]) for key in KEYS}, out) for entry in entries]
    with multiprocessing.get_context("spawn").Pool(processes, one_thread) as pool:
        pool.starmap(cut, jobs, chunksize=1)
