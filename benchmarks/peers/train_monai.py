"""Train MONAI's 2D U-Net for some minutes, for benchmarks/accuracy.py.

Usage: train_monai.py CASES_DIR OUT --minutes M --tests CASE... trains on all other cases of
CASES_DIR, and writes OUT/CASE.nii.gz on the grid of each case, and OUT/seconds.json.

The pipeline follows MONAI's tutorials and uses MONAI's defaults where they exist: slices of
256 x 256 pixels of 1.5 mm in LPS order, the window -200 to 250 HU, a residual U-Net with 16 to 256
channels and strides of 2, Dice and cross-entropy, Adam at 1e-3 with a cosine decay, and batches of
8. A third of each batch contains liver and another third tumour, if there is any. The augmentation
consists of affine transforms, noise, intensity and contrast. All cases are first cached in memory,
which is included in the minutes.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.inferers import SliceInferer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandScaleIntensityd,
    ResizeWithPadOrCropd,
    SaveImaged,
    ScaleIntensityRanged,
    Spacingd,
)

BATCH, SIDE = 8, 256
IMAGE, BOTH = ("image",), ("image", "label")


def reading(keys):
    modes = ("bilinear", "nearest")[: len(keys)]
    return [
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        Orientationd(keys, axcodes="LPS", labels=None),
        Spacingd(keys, pixdim=(1.5, 1.5, -1), mode=modes),
        ScaleIntensityRanged("image", a_min=-200, a_max=250, b_min=0, b_max=1, clip=True),
    ]


def main() -> None:
    started = time.monotonic()
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--tests", nargs="+", required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    np.random.seed(0)
    names = sorted(p.name.removesuffix("_ct.nii.gz") for p in options.cases.glob("*_ct.nii.gz"))
    slices = read_slices(options.cases, [name for name in names if name not in options.tests])
    network = UNet(2, 1, 3, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    steps = learn(network, slices, started, 60 * options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "seconds.json").write_text(json.dumps(time.monotonic() - started))
    parameters = sum(p.numel() for p in network.parameters())
    print(f"# MONAI: {len(slices)} slices, {steps} steps, {parameters:,} parameters", flush=True)
    predict(network, options.cases, options.out, options.tests)


def read_slices(cases: Path, names: list[str]) -> list[dict]:
    """Return all axial slices, (1, 256, 256) each."""
    way = Compose([*reading(BOTH), ResizeWithPadOrCropd(BOTH, (SIDE, SIDE, -1))])
    slices = []
    for name in names:
        case = way({"image": cases / f"{name}_ct.nii.gz", "label": cases / f"{name}_label.nii.gz"})
        for z in range(case["image"].shape[-1]):
            slices.append({key: case[key][..., z].clone().as_tensor() for key in BOTH})
    return slices


def learn(network, slices: list[dict], started: float, seconds: float) -> int:
    change = Compose(
        [
            RandAffined(
                BOTH, prob=1, rotate_range=0.26, scale_range=0.2, translate_range=20,
                mode=("bilinear", "nearest"), padding_mode="zeros",
            ),
            RandGaussianNoised("image", prob=0.3, std=0.05),
            RandScaleIntensityd("image", factors=0.25, prob=0.5),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.7, 1.5)),
        ]
    )  # fmt: skip
    data = CacheDataset(slices, change, cache_rate=1.0, progress=False)
    holds = np.array([int(one["label"].max()) for one in slices])
    weights = np.full(len(slices), 1 / 3 / len(slices))
    for label in (1, 2):
        held = holds >= label if (holds >= label).any() else holds >= 1
        weights[held] += 1 / 3 / held.sum()
    sampler = torch.utils.data.WeightedRandomSampler(weights, 10**7)
    loader = DataLoader(data, batch_size=BATCH, sampler=sampler, num_workers=0)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    network.train()
    steps = 0
    for batch in loader:
        done = (time.monotonic() - started) / seconds
        if done >= 1:
            return steps
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * max(0.5 * (1 + math.cos(math.pi * done)), 1e-3)
        optimizer.zero_grad()
        loss_of(network(batch["image"]), batch["label"]).backward()
        optimizer.step()
        steps += 1
    return steps


def predict(network, cases: Path, out: Path, names: list[str]) -> None:
    way = Compose(reading(IMAGE))
    after = Compose(
        [
            Invertd("found", way, "image", nearest_interp=False, to_tensor=True),
            AsDiscreted("found", argmax=True),
            SaveImaged("found", output_dir=out / "saved", output_dtype=np.uint8, print_log=False),
        ]
    )
    inferer = SliceInferer(2, roi_size=(SIDE, SIDE), sw_batch_size=BATCH)
    network.eval()
    for name in names:
        case = way({"image": str(cases / f"{name}_ct.nii.gz")})
        with torch.no_grad():
            found = inferer(case["image"][None], network)
        case["found"] = found[0]
        case["found"].applied_operations = case["image"].applied_operations
        after(case)
        (saved,) = (out / "saved" / f"{name}_ct").glob("*.nii.gz")
        saved.rename(out / f"{name}.nii.gz")


if __name__ == "__main__":
    main()
