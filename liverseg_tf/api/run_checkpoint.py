"""A callback of Keras that writes the folder of a run, for models that `Model.fit` trains."""

import math
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from liverseg_tf.api.stores import RegionsLike, as_regions, as_store
from liverseg_tf.api.training import make_chooser
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.custom_code import describe_code, to_json
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_cases import describe_training_cases
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CUSTOM_LOSS
from liverseg_tf.train.network.custom_model import (
    check_outputs,
    copy_model,
    find_stride,
    weights_of,
    with_probabilities,
)
from liverseg_tf.train.session.checkpoint import CHECKPOINT_FILE
from liverseg_tf.train.session.run_folder import RunFolder
from liverseg_tf.train.session.validation import Validator


class RunCheckpoint(keras.callbacks.Callback):
    """Writes what `liverseg train` writes, so that the model goes on to `segment` and `export`.

    After each epoch, it computes the Dice of the validation cases in 3D, adds `val_dice` and
    `val_dice_REGION` to the logs, and saves the model if it is the best so far. At the end, it
    chooses thresholds and post-processing, and writes the result, which marks a finished run.
    Callbacks that use these logs, such as `EarlyStopping(monitor="val_dice", mode="max")`, come
    after it, and `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` before it.

    Args:
        folder: New folder of the run.
        store: Store on which the model is trained, or its folder.
        regions: Regions of the model's outputs.
        context: Number of neighbouring slices in the channels of the model's input, odd.
        from_logits: Whether the model returns logits instead of probabilities.
        batch_size: Number of tiles in a batch of the validation.
        tune: Whether to choose thresholds and post-processing at the end.

    Raises:
        SettingsError: When the training begins: if the folder holds a run, or the model does not
            map tiles of the store's channels to one probability for each region.

    Example:
        >>> import liverseg_tf as ls
        >>> model = ls.build_unet(base_filters=2, depth=2)
        >>> model.compile("adam", ls.losses.DiceAndCrossEntropy())
        >>> history = model.fit(
        ...     ls.tile_dataset("store", batch_size=2, augment=0),
        ...     steps_per_epoch=1,
        ...     shuffle=False,
        ...     callbacks=[ls.RunCheckpoint("fitted", "store")],
        ...     verbose=0,
        ... )
        >>> sorted(history.history)
        ['loss', 'val_dice', 'val_dice_liver', 'val_dice_tumour']
        >>> ls.segment("ct.nii.gz", "fitted").array.shape
        (8, 64, 64)
    """

    def __init__(
        self,
        folder: Path | str,
        store: TileStore | Path | str,
        regions: RegionsLike = LIVER_REGIONS,
        context: int = 1,
        from_logits: bool = False,
        batch_size: int = 8,
        tune: bool = True,
    ):
        super().__init__()
        self.store, self.from_logits, self.tune = as_store(store), from_logits, tune
        self.batch_size, self._folder = batch_size, Path(folder)
        self._network = NetworkSpec(self.store.spec, as_regions(regions), context)
        self._rows: list[dict] = []
        self._validation_rows: list[dict] = []
        self._best, self._best_dice = -math.inf, dict[str, float]()
        self._steps, self._started = 0, 0.0

    def on_train_begin(self, logs=None) -> None:
        """Check the model and write the record of an unfinished run."""
        if (self._folder / CHECKPOINT_FILE).exists():
            raise SettingsError(
                f"Expected a new folder for the run. Received {self._folder}, which holds an "
                "interrupted run of train."
            )
        network, tiles = self._network, self.store.spec
        copied = copy_model(self.model, network.channels, len(network.regions))
        self._copy = with_probabilities(copied, self.from_logits)
        stride = find_stride(copied)
        self._network = network = NetworkSpec(tiles, network.regions, network.context, stride)
        names = tuple(self.store.split["val"] or self.store.split["train"])
        if not self.store.split["val"]:
            warnings.warn(
                "There are no validation cases; Dice is measured on training cases.", stacklevel=2
            )
        self._validator = Validator(self.store, names, network, self.batch_size)
        check_outputs(self._copy.predict_on_batch, self._some_tiles(names[0]))
        self._run = RunFolder.create(self._folder)
        with self._run.locked():
            self._run.write_record(network, **self._sections())
        self._started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Count the steps."""
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Validate, save the model if it is the best so far, and write the logs and curves."""
        logs = {} if logs is None else logs
        self._copy.set_weights(weights_of(self.model))
        scores = self._validator.score(self._copy.predict_on_batch)
        dice = 0.0 if math.isnan(scores.mean_dice) else scores.mean_dice
        logs["val_dice"] = scores.mean_dice
        logs |= {f"val_dice_{name}": value for name, value in scores.region_dice.items()}
        self._rows.append(
            {
                "epoch": epoch + 1,
                "step": self._steps,
                "seconds": round(time.monotonic() - self._started, 2),
                "learning_rate": float(
                    keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
                ),
                "loss": float(logs.get("loss", math.nan)),
                **{f"dice_{name}": value for name, value in scores.region_dice.items()},
            }
        )
        self._validation_rows += [
            {"epoch": epoch + 1, "case": name, "region": region, "dice": value}
            for name, by_region in scores.case_dice.items()
            for region, value in by_region.items()
        ]
        with self._run.locked():
            if dice > self._best:
                self._best, self._best_dice = dice, scores.region_dice
                self._run.save_model(self._copy)
            self._run.write_log(self._rows, self._validation_rows)

    def on_train_end(self, logs=None) -> None:
        """Choose the post-processing and write the result."""
        if not self._rows:  # no epoch was completed, so there is no model
            return
        sections = self._sections()
        if self.tune:
            choose = make_chooser(self.store, self._network.regions)
            sections["postprocessing"] = choose(self._folder).to_json()
        result = {
            "dice": self._best_dice,
            "validated_on": list(self._validator.case_names),
            "steps": self._steps,
            "seconds": round(time.monotonic() - self._started, 1),
        }
        with self._run.locked():
            self._run.write_result(self._network, sections, result)

    def _some_tiles(self, name: str) -> np.ndarray:
        """Return the middle slice of a case, (1, h, w, channels) uint8, as the network takes it."""
        case = self.store.read(name, compare=False)
        middle = self._network.stack(case.image, len(case.mask) // 2)
        rows, columns = middle.shape[:2]
        tiles = np.zeros((1, *self._network.padded((rows, columns)), middle.shape[2]), np.uint8)
        tiles[0, :rows, :columns] = middle
        return tiles

    def _sections(self) -> dict[str, Any]:
        """Return the sections of run.json besides the result."""
        model = self.model
        return {
            "settings": {
                "regions": self._network.regions.to_json(),
                "context": self._network.context,
                "loss": CUSTOM_LOSS,
            },
            "training_range": describe_training_cases(
                self.store, self.store.split["train"], self._network.regions
            ).to_json(),
            "fit": {
                "optimizer": describe_code(model.optimizer).import_path,
                "loss": str(getattr(model.loss, "name", model.loss)),
                "epochs": (self.params or {}).get("epochs"),
            },
            "custom": to_json({"model": describe_code(model)}),
            "parameters": model.count_params(),
            "hardware": {"precision": "float32", "compiled": bool(model.jit_compile)},
            "store": {"split": self.store.split, "checksums": self.store.checksums},
        }
