"""Metrics of Keras for the regions of a store, for `Model.compile`."""

from pathlib import Path

import keras
from keras import ops

from liverseg_tf.api.stores import RegionsLike, as_regions, as_store
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.model.postprocessing import THRESHOLD
from liverseg_tf.tiles.store import TileStore

__all__ = ["CaseDice", "Dice"]


class Dice(keras.metrics.Metric):
    """Dice of all tiles together, mean over the regions; it suits batches of the training side.

    Masks are those of the label map that prediction writes with thresholds of 0.5. A region that is
    in no tile and nowhere predicted is left out of the mean.

    Args:
        regions: Regions of the channels.
        region: Name of the only region to measure. None averages over all.
        name: Name of the metric.

    Example:
        >>> import numpy as np
        >>> import liverseg_tf as ls
        >>> dice = ls.metrics.Dice({"liver": [1, 2], "tumour": [2]}, region="liver")
        >>> truth = np.zeros((2, 8, 8, 2), "float32")
        >>> truth[:, :4, :, 0] = 1
        >>> found = np.zeros((2, 8, 8, 2), "float32")
        >>> found[:, :2, :, 0] = 0.9
        >>> round(float(dice(truth, found)), 3)
        0.667
    """

    def __init__(
        self,
        regions: RegionsLike = LIVER_REGIONS,
        region: str | None = None,
        name: str = "dice",
    ):
        super().__init__(name=name)
        self.regions, self.region = as_regions(regions), region
        if region is not None:
            self.regions.check_names([region])
        self._counts = self.add_weight(
            shape=(2, 1, len(self.regions)), initializer="zeros", name="counts"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the voxels of a batch; weights of samples are not used.

        Args:
            y_true: Ground truth (batch, h, w, regions), 0 or 1.
            y_pred: Probabilities (batch, h, w, regions).
            sample_weight: Not used.
        """
        counts = _count_voxels(y_true, y_pred, self.regions)
        self._counts.assign(self._counts + ops.sum(counts, axis=1, keepdims=True))

    def result(self):
        """Return the mean Dice, a scalar; NaN before the first region was seen."""
        return _mean_dice(self._counts.value, self.regions, self.region)


class CaseDice(keras.metrics.Metric):
    """Dice of each case in 3D, mean over the cases and then over the regions, as in `train`.

    It knows the case of a slice by its place, so that it belongs to all slices in their order:
    `tile_dataset` of the validation or test side, in `validation_data` or `Model.evaluate`. Its
    value is NaN until it has seen each slice once, and so during training, on other slices.

    Args:
        store: Store, or its folder.
        side: Side of the split that is evaluated.
        regions: Regions of the channels.
        region: Name of the only region to measure. None averages over all.
        name: Name of the metric.

    Example:
        >>> import liverseg_tf as ls
        >>> model = ls.build_unet(base_filters=2, depth=2)
        >>> model.compile(loss=ls.losses.Dice(), metrics=[ls.metrics.CaseDice("store")])
        >>> scores = model.evaluate(ls.tile_dataset("store", "val"), verbose=0, return_dict=True)
        >>> 0 <= scores["dice"] <= 1
        True
    """

    def __init__(
        self,
        store: TileStore | Path | str,
        side: str = "val",
        regions: RegionsLike = LIVER_REGIONS,
        region: str | None = None,
        name: str = "dice",
    ):
        super().__init__(name=name)
        store, self.regions, self.region = as_store(store), as_regions(regions), region
        if region is not None:
            self.regions.check_names([region])
        slices = [store.cases[name]["slices"] for name in store.split.get(side, ())]
        self._ends = [sum(slices[: number + 1]) for number in range(len(slices))]
        self._counts = self.add_weight(
            shape=(2, len(slices), len(self.regions)), initializer="zeros", name="counts"
        )
        self._seen = self.add_weight(shape=(), dtype="int32", initializer="zeros", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the voxels of a batch in their cases; see `Dice.update_state`."""
        counts = _count_voxels(y_true, y_pred, self.regions)
        batch = ops.shape(y_pred)[0]
        places = self._seen + ops.arange(batch, dtype="int32")
        ends = ops.convert_to_tensor(self._ends, "int32")
        case = ops.sum(ops.cast(places[:, None] >= ends[None], "int32"), axis=1)
        chosen = ops.one_hot(case, len(self._ends), dtype="float32")  # beyond the last: none
        added = ops.stack([ops.matmul(ops.transpose(chosen), counts[part]) for part in (0, 1)])
        self._counts.assign(self._counts + added)
        self._seen.assign(self._seen + batch)

    def result(self):
        """Return the mean Dice, a scalar; NaN unless each slice was seen once."""
        dice = _mean_dice(self._counts.value, self.regions, self.region)
        is_complete = ops.equal(self._seen, self._ends[-1] if self._ends else -1)
        return ops.where(is_complete, dice, float("nan"))


def _count_voxels(truth, probabilities, regions: Regions):
    """Count voxels of each tile: (2, batch, regions), those of the overlap and of both masks."""
    truth, found = ops.cast(truth, "float32"), _written_masks(probabilities, regions)
    overlap = ops.sum(truth * found, axis=(1, 2))
    return ops.stack([overlap, ops.sum(truth, axis=(1, 2)) + ops.sum(found, axis=(1, 2))])


def _written_masks(probabilities, regions: Regions):
    """Return the masks as the label map has them: 0 or 1, float32; as `written_masks` in NumPy."""
    labels = ops.zeros_like(probabilities[..., 0])
    for channel, label in enumerate(regions.written_labels):
        labels = ops.where(probabilities[..., channel] > THRESHOLD, float(label), labels)
    masks = [
        sum(ops.cast(ops.equal(labels, float(label)), "float32") for label in set(members))
        for _, members in regions.items
    ]
    return ops.stack(masks, axis=-1)


def _mean_dice(counts, regions: Regions, region: str | None):
    """Return the mean over regions of the mean over cases, of counts (2, cases, regions)."""
    overlap, total = counts[0], counts[1]
    dice = 2 * overlap / ops.maximum(total, 1.0)
    known = ops.cast(total > 0, "float32")
    cases = ops.sum(known, axis=0)
    by_region = ops.sum(dice * known, axis=0) / ops.maximum(cases, 1.0)
    if region is not None:
        index = regions.names.index(region)
        return ops.where(cases[index] > 0, by_region[index], float("nan"))
    is_known = ops.cast(cases > 0, "float32")
    count = ops.sum(is_known)
    mean = ops.sum(by_region * is_known) / ops.maximum(count, 1.0)
    return ops.where(count > 0, mean, float("nan"))
