"""The data set of corrected labels, and the commands that fine-tune a model on it."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem, read_image, source_files
from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import RUN_FILE
from liverseg_tf.predict.outputs.case_outputs import file_safe_name
from liverseg_tf.records import read_record
from liverseg_tf.serve.server.labels import LabelStore, SavedLabel
from liverseg_tf.serve.server.models import Model
from liverseg_tf.serve.server.studies import Studies
from liverseg_tf.tiles.spec import TileSpec

VALIDATION = 0.25  # fraction of the labelled images that compares the old and the new model
_EPOCH = 100  # steps, after which a training of a number of steps validates
_CALMER = 4.0  # divides the learning rate of a training from random weights
_LEARNING_RATES = {"adamw": 2e-3, "sgd": 1e-2}
_FLAGS = ("residual", "attention", "mirror")
_KEPT = (
    *("context", "context_spacing_mm", "base_filters", "depth", "patch", "normalisation"),
    *("stem_filters", "dropout", "encoder", "batch_size", "loss", "deep_supervision", "optimizer"),
    *("decay", "weight_decay", "clip_norm", "ema_decay", "foreground_fraction", "augment", "seed"),
)


@dataclass(frozen=True)
class FineTuningFolder:
    """The files of the fine-tunings of one model.

    Args:
        folder: Folder of the model.
    """

    folder: Path

    @property
    def data(self) -> Path:
        """The data set of corrected labels."""
        return self.folder / "data"

    @property
    def store(self) -> Path:
        """The tiles; patients keep their side of the split when labels are added."""
        return self.folder / "store"

    @property
    def current(self) -> Path:
        """The record of the version that is used."""
        return self.folder / "current.json"

    def run(self, version: int) -> Path:
        """Return the folder of a fine-tuned run."""
        return self.folder / f"version-{version}"

    def masks(self, version: int) -> Path:
        """Return the folder of masks of the validation cases; version 0 is the old model."""
        return self.folder / "validation" / str(version)

    def next_version(self) -> int:
        """Return the number of the next run."""
        version = 1
        while self.run(version).exists():
            version += 1
        return version


def assemble_data(
    folder: Path, saved: Sequence[SavedLabel], labels: LabelStore, studies: Studies, model: Model
) -> tuple[dict[str, str], list[str]]:
    """Write a data set of images, as links, and of masks with the labels of a model.

    Args:
        folder: Folder of the data set, which is replaced.
        saved: Labels to learn from.
        labels: Store of the labels.
        studies: Images.
        model: Model whose regions are learnt.

    Returns:
        The names of the images by case name, and notes about labels that are left out.

    Raises:
        LiverSegError: If no label can be used.
    """
    shutil.rmtree(folder, ignore_errors=True)
    cases: dict[str, str] = {}
    notes = []
    for one in saved:
        name = file_safe_name(one.image)
        foreign = [text for text in one.labels if text not in model.labels]
        if foreign:
            notes.append(
                f"Left out: {one.image}. Its label has the segment {foreign[0]}, and the model "
                f"{model.name} knows {', '.join(model.labels)}: rename the segment."
            )
            continue
        mask = read_labels(labels.path(one))
        table = np.zeros(256, np.uint8)
        for text, value in one.labels.items():
            table[value] = model.labels[text]
        write_labels(folder / "masks" / f"{name}.nii.gz", mask.with_array(table[mask.array]))
        _link_image(studies.get(one.image).source, folder / "images", name)
        cases[name] = one.image
    if not cases:
        raise LiverSegError(
            "Expected a corrected label to learn from. Received none"
            + (f": {notes[0]}" if notes else ": save one with the tag final first.")
        )
    return cases, notes


def _link_image(source: Path | DicomSeries, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(source, DicomSeries) or source.is_dir():
        (folder / name).mkdir()
        for number, file in enumerate(source_files(source)):
            os.symlink(file.absolute(), folder / name / f"{number:06}.dcm")
        return
    if len(source_files(source)) > 1:  # a header whose voxels are in another file
        write_volume(folder / f"{name}.nii.gz", read_image(source))
        return
    suffix = next(one for one in IMAGE_SUFFIXES if source.name.lower().endswith(one))
    os.symlink(source.absolute(), folder / f"{name}{suffix}")


def preprocess_arguments(files: FineTuningFolder, tiles: TileSpec, regions: Regions) -> list[str]:
    """Return the arguments of `liverseg` that cut the same tiles as those of a model."""
    spacing = "native" if tiles.spacing_mm is None else f"{tiles.spacing_mm!r}"
    tile = "whole" if tiles.tile_shape is None else "x".join(map(str, tiles.tile_shape))
    arguments = ["preprocess", str(files.data), str(files.store), "--layout", "folder"]
    arguments += ["--spacing", spacing, "--tile", tile, *_region_arguments(regions)]
    if tiles.percentiles is not None:
        limits = (tiles.percentiles.lower, tiles.percentiles.upper)
        arguments += ["--percentiles", *map(repr, limits)]
    else:
        for window in tiles.windows:
            arguments += ["--window", repr(window.level_hu), repr(window.width_hu)]
    if tiles.channel is not None:
        arguments += ["--channel", str(tiles.channel)]
    return [*arguments, "--val", str(VALIDATION), "--test", "0", "--workers", "1"]


def train_arguments(
    files: FineTuningFolder, run: Path, version: int, minutes: float, steps: int | None = None
) -> list[str]:
    """Return the arguments of `liverseg` that fine-tune a run with its own settings.

    Args:
        files: Folder of the fine-tunings.
        run: Run to start from.
        version: Number of the new run.
        minutes: Time for training.
        steps: Number of training steps, which replaces the time.

    Raises:
        LiverSegError: If the run has no record of its settings.
    """
    entries = read_record(run / RUN_FILE, dict[str, Any])
    settings = entries.get("settings")
    if not isinstance(settings, dict):
        raise LiverSegError(f"Expected the settings of the training in {run}. Received none.")
    arguments = ["train", str(files.store), str(files.run(version)), "--from", str(run)]
    arguments += _length_arguments(minutes, steps)
    arguments += _region_arguments(Regions.from_json(settings["regions"]))
    rate = settings.get("learning_rate") or _LEARNING_RATES[settings.get("optimizer", "adamw")]
    arguments += ["--learning-rate", str(rate / _CALMER)]
    for name in _KEPT:
        value = settings.get(name)
        if value is not None and not (name == "depth" and settings.get("encoder")):
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return arguments + [f"--{name}" for name in _FLAGS if settings.get(name)]


def _length_arguments(minutes: float, steps: int | None) -> list[str]:
    if steps is None:
        return ["--minutes", str(minutes)]
    epochs = max(1, steps // _EPOCH)
    return ["--epochs", str(epochs), "--steps-per-epoch", str(-(-steps // epochs))]


def predict_arguments(
    files: FineTuningFolder, model: Path, version: int, cases: Sequence[str]
) -> list[str]:
    """Return the arguments of `liverseg` that predict the validation cases."""
    images = files.data / "images"
    found = {path.name: path for path in images.iterdir()}
    inputs = [
        str(path)
        for case in cases
        for name, path in sorted(found.items())
        if name == case or image_stem(path) == case
    ]
    return [
        "predict",
        *inputs,
        "--model",
        str(model),
        "--out",
        str(files.masks(version)),
        "--force",
    ]


def _region_arguments(regions: Regions) -> list[str]:
    return [
        argument
        for name, labels in regions.items
        for argument in ("--region", f"{name}={','.join(map(str, labels))}")
    ]


def mean_dice(masks: Path, truths: Path, cases: Sequence[str], regions: Regions) -> float:
    """Return the mean Dice over the regions, each of them over the cases that contain it.

    Args:
        masks: Folder of predicted masks.
        truths: Folder of corrected masks.
        cases: Names of the cases.
        regions: Regions that are compared.

    Returns:
        Mean Dice; 0 if no case contains a region.
    """
    by_region: dict[str, list[float]] = {name: [] for name in regions.names}
    for case in cases:
        predicted = read_labels(masks / f"{case}.nii.gz").array
        truth = read_labels(truths / f"{case}.nii.gz").array
        for name, values in by_region.items():
            one, other = regions.mask(predicted, name), regions.mask(truth, name)
            total = np.count_nonzero(one) + np.count_nonzero(other)
            if total:
                values.append(2 * np.count_nonzero(one & other) / total)
    means = [float(np.mean(values)) for values in by_region.values() if values]
    return float(np.mean(means)) if means else 0.0
