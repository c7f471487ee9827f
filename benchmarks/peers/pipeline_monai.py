"""Measure MONAI's CacheDataset and DataLoader on slices, for benchmarks/train.py.

Usage: pipeline_monai.py SLICES. The augmentations are those of liverseg_tf, with the same
probabilities and ranges, as far as MONAI provides them.
"""

import json
import sys
import time
from pathlib import Path

import monai
import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import (
    Compose,
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    ScaleIntensityRanged,
)

BATCH, BATCHES, WORKERS = 8, 60, 2
BOTH = ("image", "label")
MODES = ("bilinear", "nearest")


def make_loader(folder: Path, batch: int, workers: int) -> DataLoader:
    """Return a loader of augmented batches, without end.

    Args:
        folder: Folder with an .npz file for each case: `image` and `mask`, (slices, h, w) uint8.
        batch: Number of slices in a batch.
        workers: Number of processes.
    """
    slices = []
    for path in sorted(folder.glob("*.npz")):
        arrays = np.load(path)
        for image, mask in zip(arrays["image"], arrays["mask"], strict=True):
            slices.append(
                {"image": torch.as_tensor(image[None]), "label": torch.as_tensor(mask[None])}
            )
    change = Compose(
        [
            ScaleIntensityRanged("image", 0, 255, 0, 1),
            RandAffined(
                BOTH, prob=0.8, rotate_range=0.26, shear_range=0.1, scale_range=0.22,
                translate_range=20, mode=MODES, padding_mode="zeros",
            ),
            # includes the affine part, so that tiles are interpolated only once
            Rand2DElasticd(
                BOTH, (51, 51), (0, 8), prob=0.2, rotate_range=0.26, shear_range=0.1,
                scale_range=0.22, translate_range=20, mode=MODES, padding_mode="zeros",
            ),
            RandFlipd(BOTH, prob=0.5, spatial_axis=1),
            RandGaussianSmoothd("image", (0.5, 1.2), (0.5, 1.2), prob=0.15),
            RandSimulateLowResolutiond(
                "image", prob=0.15, zoom_range=(0.5, 1), upsample_mode="bilinear"
            ),
            RandScaleIntensityd("image", factors=0.25, prob=1),
            RandShiftIntensityd("image", offsets=0.1, prob=1),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.7, 1.5)),
            RandGaussianNoised("image", prob=0.3, std=0.06),
        ]
    )  # fmt: skip
    data = CacheDataset(slices, change, progress=False)
    sampler = torch.utils.data.RandomSampler(data, replacement=True, num_samples=10**6)
    return DataLoader(
        data,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
    )


def main() -> None:
    batches = iter(make_loader(Path(sys.argv[1]), BATCH, WORKERS))
    for _ in range(8):
        next(batches)
    started = time.perf_counter()
    for _ in range(BATCHES):
        next(batches)
    rate = BATCH * BATCHES / (time.perf_counter() - started)
    what = f"MONAI {monai.__version__}, {WORKERS} worker processes"
    print(json.dumps({"rate": rate, "what": what}))


if __name__ == "__main__":
    main()
