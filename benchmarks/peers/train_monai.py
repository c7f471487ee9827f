"""Train MONAI's 2D U-Net, for benchmarks/accuracy.py and benchmarks/patients.py.

Usage: train_monai.py TRAIN OUT --predict FOLDER... with --minutes M or --steps N trains on the
cases of TRAIN (images/ and masks/ with equal file names), and writes OUT/NAME.nii.gz (--masks:
another folder) on the grid of each image of the FOLDERs, and OUT/seconds.json.

The pipeline follows MONAI's tutorials and uses MONAI's defaults where they exist: slices of
256 x 256 pixels of 1.5 mm in LPS order, a window, a residual U-Net with 16 to 256 channels and
strides of 2, Dice and cross-entropy, Adam at 1e-3 with a cosine decay, and batches of 8. Two thirds
of each batch contain one of the classes, each class equally often: a third liver and a third
tumour, for example. The augmentation consists of affine transforms, noise, intensity and contrast.
All cases are first cached in memory, which is included in the minutes.

With --steps, a batch is a function of the seed and the step, a checkpoint is written every minute,
and the same command goes on where it was interrupted.
"""

import argparse
import json
import math
import time
from pathlib import Path

import nibabel
import numpy as np
import torch
from monai.data import list_data_collate
from monai.inferers import SliceInferer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
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
    ScaleIntensityRanged,
    Spacingd,
)

BATCH, SIDE = 8, 256
CHECKPOINT_S = 60
IMAGE, BOTH = ("image",), ("image", "label")


def main() -> None:
    started = time.monotonic()
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--masks", type=Path, help="Folder of the masks.")
    parser.add_argument("--predict", type=Path, nargs="*", default=[], help="Folders of images.")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--window", type=float, nargs=2, default=(-200, 250))
    parser.add_argument(
        "--classes", nargs="+", default=["1", "2"], help="Labels of each class: 1,2 joins two."
    )
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.masks = options.masks or options.out
    torch.manual_seed(options.seed)
    classes = [[int(label) for label in one.split(",")] for one in options.classes]
    network = UNet(2, 1, 1 + len(classes), (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    training = Training(network, options, started)
    options.out.mkdir(parents=True, exist_ok=True)
    if not training.finished:
        slices = read_slices(options.train, options.window, classes)
        training.learn(slices, len(classes))
        parameters = sum(p.numel() for p in network.parameters())
        print(
            f"# MONAI: {len(slices)} slices, {training.steps} steps, {parameters:,} parameters",
            flush=True,
        )
        record = {"batch": BATCH, "parameters": parameters, "slices": len(slices)}
        (options.out / "network.json").write_text(json.dumps(record))
    (options.out / "seconds.json").write_text(json.dumps(time.monotonic() - started))
    network.eval()
    for folder in options.predict:
        for image in sorted(folder.glob("*.nii.gz")):
            if not (options.masks / image.name).exists():
                predict(network, image, options, [0, *(labels[0] for labels in classes)])


def reading(keys, window):
    modes = ("bilinear", "nearest")[: len(keys)]
    low, high = window
    return [
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        Orientationd(keys, axcodes="LPS", labels=None),
        Spacingd(keys, pixdim=(1.5, 1.5, -1), mode=modes),
        ScaleIntensityRanged("image", a_min=low, a_max=high, b_min=0, b_max=1, clip=True),
    ]


def read_slices(folder: Path, window, classes: list[list[int]]) -> list[dict]:
    """Return all axial slices, (1, 256, 256) each, with the numbers of the classes as labels."""
    way = Compose([*reading(BOTH, window), ResizeWithPadOrCropd(BOTH, (SIDE, SIDE, -1))])
    class_of = torch.zeros(256)
    for number, labels in enumerate(classes, start=1):
        class_of[labels] = number
    slices = []
    for image in sorted((folder / "images").glob("*.nii.gz")):
        case = way({"image": image, "label": folder / "masks" / image.name})
        label = class_of[case["label"].as_tensor().long()]
        for z in range(label.shape[-1]):
            slices.append(
                {"image": case["image"][..., z].clone().as_tensor(), "label": label[..., z].clone()}
            )
    return slices


class Training:
    """A training that ends after a time or after a number of steps."""

    def __init__(self, network, options: argparse.Namespace, started: float):
        self.network, self.options, self.started = network, options, started
        self.optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        self.steps = 0
        self._file = options.out / "checkpoint.pt"
        if options.steps and self._file.exists():
            state = torch.load(self._file, weights_only=True)
            network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.steps = state["steps"]

    @property
    def done(self) -> float:
        if self.options.steps:
            return self.steps / self.options.steps
        return (time.monotonic() - self.started) / (60 * self.options.minutes)

    @property
    def finished(self) -> bool:
        return self.done >= 1

    def learn(self, slices: list[dict], classes: int) -> None:
        change = augmentation()
        weights = slice_weights(slices, classes)
        loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
        self.network.train()
        saved = time.monotonic()
        while not self.finished:
            seed = self.options.seed * 10**6 + self.steps
            chosen = np.random.default_rng(seed).choice(len(slices), BATCH, p=weights)
            change.set_random_state(seed)
            batch = list_data_collate([change(slices[index]) for index in chosen])
            for group in self.optimizer.param_groups:
                group["lr"] = 1e-3 * max(0.5 * (1 + math.cos(math.pi * self.done)), 1e-3)
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision != "float32"):
                found = self.network(batch["image"])
            loss_of(found.float(), batch["label"]).backward()
            self.optimizer.step()
            self.steps += 1
            if time.monotonic() - saved > CHECKPOINT_S or self.finished:
                self.save()
                saved = time.monotonic()

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }
        torch.save(state, self._file.with_suffix(".new"))
        self._file.with_suffix(".new").rename(self._file)


def augmentation() -> Compose:
    return Compose(
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


def slice_weights(slices: list[dict], classes: int) -> np.ndarray:
    """Return the probability of each slice: two thirds for slices with the classes that exist."""
    held = np.array(
        [np.bincount(one["label"].flatten().int(), minlength=classes + 1) for one in slices]
    )
    held = held[:, 1:] > 0
    held = held[:, held.any(axis=0)]
    weights = np.full(len(slices), 1 / 3 / len(slices))
    weights += (2 / 3 * held / held.sum(axis=0) / held.shape[1]).sum(axis=1)
    return weights / weights.sum()


def predict(network, image: Path, options: argparse.Namespace, labels: list[int]) -> None:
    """Write the mask of an image, with the first label of each class."""
    way = Compose(reading(IMAGE, options.window))
    back = Invertd("found", way, "image", nearest_interp=False, to_tensor=True)
    inferer = SliceInferer(2, roi_size=(SIDE, SIDE), sw_batch_size=BATCH)
    case = way({"image": str(image)})
    with torch.no_grad():
        found = inferer(case["image"][None], network)
    case["found"] = found[0]
    case["found"].applied_operations = case["image"].applied_operations
    found = back(case)["found"].argmax(0).numpy()
    source = nibabel.load(image)
    assert found.shape == source.shape, image
    mask = nibabel.Nifti1Image(np.array(labels, np.uint8)[found], source.affine)
    options.masks.mkdir(parents=True, exist_ok=True)
    partial = options.masks / f"partial-{image.name}"
    nibabel.save(mask, partial)
    partial.rename(options.masks / image.name)


if __name__ == "__main__":
    main()
