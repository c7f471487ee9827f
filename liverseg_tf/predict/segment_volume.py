"""Inference for one volume: slices to tiles, through the network, and back to the image's grid."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import THRESHOLD
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.agreement import PassAgreement
from liverseg_tf.predict.calibrated import CalibratedProbabilities
from liverseg_tf.predict.confidence import PassConfidence
from liverseg_tf.predict.inference_region import InferenceRegion
from liverseg_tf.predict.models.predictor import Predictor, average_passes

_MAX_BATCH_PIXELS = 8 * 1024**2
_MAX_TILE_VALUES = 2**28  # 1 GB in float32; more comes from the record of a foreign model


@dataclass(frozen=True)
class Inference:
    """Options of the inference.

    Args:
        batch_size: Number of slices per batch. Slices wider than 1024 pixels use smaller batches.
        crop: Whether slices and margins without body are left out.
        thresholds: Probability above which a voxel belongs to each region. An empty tuple sets
            0.5 for all regions.
    """

    batch_size: int = 8
    crop: bool = True
    thresholds: tuple[float, ...] = ()


def find_regions(
    image: Volume,
    predictor: Predictor,
    inference: Inference = Inference(),
    on_slices: Callable[[int], None] = lambda count: None,
    probabilities: np.ndarray | None = None,
    calibrated: CalibratedProbabilities | None = None,
) -> RegionMasks:
    """Predict the mask of each region in a volume, slab by slab.

    The network is fully convolutional: it sees the whole box around the body in each slice, and
    all batches of a volume have the same shape. While the network predicts one batch, a thread
    cuts the tiles of the next one and restores the previous one to the grid of the image. Only
    the masks of the whole volume are kept in memory, and its probabilities if an array for them
    is given.

    Args:
        image: Volume (z, row, col) in HU or MR units, in any axis order.
        predictor: Model that predicts the probabilities of tiles.
        inference: Options of the inference.
        on_slices: Function that is called with the number of slices in each predicted slab.
        probabilities: (regions, z, row, col) uint8 array of zeros in the axis order of the image.
            It is filled with the probabilities, where 255 is a probability of 1.
        calibrated: Array that is filled with calibrated probabilities. The masks do not depend on
            them.

    Returns:
        The masks, without post-processing, on the grid of the image.

    Raises:
        LiverSegError: If `inference.crop` is set and the image contains no body, or the input of
            the model for one slice would not fit into memory.
    """
    network = predictor.network
    canonical = to_canonical(image)
    create_region = InferenceRegion.around_body if inference.crop else InferenceRegion.whole_volume
    inference_region = create_region(canonical, network)
    tile_shape = inference_region.transform.shape
    masks = RegionMasks.empty(image, network.regions, probabilities)
    thresholds = inference.thresholds or (THRESHOLD,) * len(network.regions)
    agreement = PassAgreement(network.regions.names, thresholds)
    confidence = PassConfidence(network.regions.names, thresholds)
    # large slices at a fine spacing use smaller batches instead of more memory
    pixels = tile_shape[0] * tile_shape[1]
    values = pixels * network.channels
    if values > _MAX_TILE_VALUES:
        raise LiverSegError(
            f"Expected a model whose input for one slice has at most {_MAX_TILE_VALUES} values. "
            f"Received {tile_shape[0]} x {tile_shape[1]} pixels and {network.channels} channels: "
            "its spacing is too fine, or its context too large, for this image."
        )
    limit = min(_MAX_BATCH_PIXELS // pixels, _MAX_TILE_VALUES // values)
    batch_size = max(1, min(inference.batch_size, limit))
    slabs = _split_into_slabs(inference_region.slices, batch_size)

    def cut(slab: range) -> np.ndarray:
        # the last batch is padded, so that all batches have one shape and use one compiled function
        batch = np.zeros((batch_size, *tile_shape, network.channels), np.uint8)
        batch[: len(slab)] = _cut_tiles(canonical, slab, inference_region, network)
        return batch

    def restore(passes: list[np.ndarray], slab: range) -> None:
        if len(passes) > 1:
            agreement.update(np.stack(passes))
        confidence.update(passes)
        average = average_passes(passes)
        _restore_masks(average, slab, inference_region, masks, thresholds)
        if calibrated is not None:
            calibrated.restore(average, slab, inference_region.transform)

    with ThreadPoolExecutor(1) as thread, _PendingBatches(predictor) as pending:
        next_tiles, last_restore = thread.submit(cut, slabs[0]), _finished_future()
        for slab, next_slab in zip(slabs, [*slabs[1:], None], strict=True):
            tiles = next_tiles.result()
            if next_slab is not None:
                next_tiles = thread.submit(cut, next_slab)
            pending.submit(slab, tiles)
            for predicted_slab, passes in pending.results(wait_for_all=next_slab is None):
                last_restore.result()
                passes = [output[: len(predicted_slab)] for output in passes]
                last_restore = thread.submit(restore, passes, predicted_slab)
                on_slices(len(predicted_slab))
        last_restore.result()
    return replace(masks, agreement=agreement.result(), confidence=confidence.result())


class _PendingBatches:
    """Batches that were submitted to a predictor and whose results are not yet used.

    A predictor with a `submit` method works on one batch while the next one is prepared. Other
    predictors are called immediately.

    Args:
        predictor: Model that predicts the probabilities of tiles.
    """

    def __init__(self, predictor: Predictor):
        self._submit = getattr(predictor, "submit", None)
        self._passes = getattr(predictor, "passes", lambda tiles: [predictor.probabilities(tiles)])
        self._pending: deque = deque()

    def submit(self, slab: range, tiles: np.ndarray) -> None:
        if self._submit is not None:
            self._pending.append((slab, self._submit(tiles)))
        else:
            self._pending.append((slab, _finished_future(self._passes(tiles))))

    def results(self, wait_for_all: bool) -> Iterator[tuple[range, list[np.ndarray]]]:
        """Yield slabs and their passes, except the latest one if it may still be in progress."""
        in_progress = 0 if wait_for_all or self._submit is None else 1
        while len(self._pending) > in_progress:
            slab, future = self._pending.popleft()
            yield slab, future.result() if self._submit is None else [future.result()]

    def __enter__(self) -> "_PendingBatches":
        return self

    def __exit__(self, *exception) -> None:
        for _, future in self._pending:
            future.cancel()


def _split_into_slabs(slices: range, batch_size: int) -> list[range]:
    return [slices[start : start + batch_size] for start in range(0, len(slices), batch_size)]


def _finished_future(result: object = None) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future


def _cut_tiles(
    canonical: Volume, slab: range, inference_region: InferenceRegion, network: NetworkSpec
) -> np.ndarray:
    """Return the tiles of a slab with their context slices, (batch, h, w, channels) uint8."""
    array, slice_step = canonical.array, network.slice_step(canonical.spacing_mm[0])
    reach = network.context // 2 * slice_step
    first, last = max(slab.start - reach, 0), min(slab.stop + reach, len(array))
    tiles = inference_region.transform.image_to_tiles(array[first:last])
    # beyond the ends of the volume, `stack` repeats its first or last slice, which `tiles` contains
    return np.stack([network.stack(tiles, z - first, slice_step) for z in slab])


def _restore_masks(
    outputs: np.ndarray,
    slab: range,
    inference_region: InferenceRegion,
    masks: RegionMasks,
    thresholds: Sequence[float],
) -> None:
    """Restore probabilities, (batch, h, w, regions), to the native grid and write the masks."""
    transform = inference_region.transform
    target = masks.canonical_bits[slab.start : slab.stop]
    for region, threshold in enumerate(thresholds):
        tiles = outputs[..., region]
        if masks.probabilities is not None:
            values = transform.values_to_native(tiles)
            scaled = np.rint(values * 255).astype(np.uint8)
            masks.canonical_probabilities(region)[slab.start : slab.stop] = scaled
            slices = np.arange(len(tiles))
        else:
            # resampling averages with weights that sum to 1, so that it never exceeds the maximum
            # of the tile: slices whose maximum is below the threshold can be skipped
            slices = np.flatnonzero(tiles.max(axis=(1, 2)) > threshold)
            if not len(slices):
                continue
            values = transform.values_to_native(tiles[slices])
        bit = target.dtype.type(1 << region)
        for z, plane in zip(slices, values, strict=True):
            target[z] |= np.multiply(plane > threshold, bit, dtype=target.dtype)
