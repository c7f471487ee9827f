"""Stage 3 for one volume: slices through the network, masks back on the scanner's grid."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import THRESHOLD
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.agreement import PassAgreement
from liverseg_tf.predict.inference_region import InferenceRegion
from liverseg_tf.predict.models.predictor import Predictor, mean_of

_MOST_PIXELS = 8 * 1024**2  # of a batch


@dataclass(frozen=True)
class Inference:
    """How the slices of a volume go through the network.

    Args:
        batch_size: slices at a time, fewer where they are wider than 1024 pixels.
        crop: whether slices and edges without body are left out.
        thresholds: probability above which a voxel is in each region; empty: 0.5 for all.
    """

    batch_size: int = 8
    crop: bool = True
    thresholds: tuple[float, ...] = ()


def predict_volume(
    image: Volume,
    predictor: Predictor,
    inference: Inference = Inference(),
    on_slices: Callable[[int], None] = lambda count: None,
) -> Volume:
    """Segment a volume, without post-processing.

    Args:
        image: HU or MR units, any axis order.
        predictor: of the slices.
        inference: how.
        on_slices: called with the number of slices that a slab held.

    Returns:
        uint8 labels on the image's grid, with its header.

    Raises:
        LiverSegError: when there is no body in a CT that is to be cropped to it.
    """
    return find_regions(image, predictor, inference, on_slices).labels()


def find_regions(
    image: Volume,
    predictor: Predictor,
    inference: Inference = Inference(),
    on_slices: Callable[[int], None] = lambda count: None,
    probabilities: np.ndarray | None = None,
) -> RegionMasks:
    """Find each region in a volume, slab by slab.

    The network is fully convolutional: it sees the box around the body in each slice at once,
    and every batch of a volume has one shape. While it works on one, a thread cuts the tiles of
    the next and takes the probabilities of the one before to the native grid. Only the masks of
    the whole volume are held, and its probabilities where an array for them is given.

    Args:
        image: HU or MR units, any axis order.
        predictor: of the slices.
        inference: how.
        on_slices: called with the number of slices that a slab held.
        probabilities: zeros of (regions, z, row, col) uint8 in the image's order; filled.

    Raises:
        LiverSegError: when there is no body in a CT that is to be cropped to it.
    """
    network = predictor.network
    canonical = to_canonical(image)
    field = (InferenceRegion.of_body if inference.crop else InferenceRegion.whole)(
        canonical, network
    )
    found = RegionMasks.empty(image, network.regions, probabilities)
    disagreement = PassAgreement(network.regions.names)
    thresholds = inference.thresholds or (THRESHOLD,) * len(network.regions)
    # wide fields of view at a fine spacing: fewer slices at a time, not more memory
    pixels = field.grid.shape[0] * field.grid.shape[1]
    batch_size = max(1, min(inference.batch_size, _MOST_PIXELS // pixels))
    slabs = _slabs(field.slices, batch_size)

    def cut(slab: range) -> np.ndarray:
        # the last batch is filled up: one shape, one compiled function
        filled = np.zeros((batch_size, *field.grid.shape, network.channels), np.uint8)
        filled[: len(slab)] = _tiles(canonical, slab, field, network)
        return filled

    def restore(passes: list[np.ndarray], slab: range) -> None:
        if len(passes) > 1:
            disagreement.add(np.stack(passes))
        _restore(mean_of(passes), slab, field, found, thresholds)

    with ThreadPoolExecutor(1) as background, _PendingBatches(predictor) as answers:
        ahead, behind = background.submit(cut, slabs[0]), _done()
        for slab, following in pairwise([*slabs, None]):
            tiles = ahead.result()
            if following is not None:
                ahead = background.submit(cut, following)
            answers.ask(slab, tiles)
            for answered, passes in answers.ready(all_of_them=following is None):
                behind.result()
                passes = [output[: len(answered)] for output in passes]
                behind = background.submit(restore, passes, answered)
                on_slices(len(answered))
        behind.result()
    return replace(found, agreement=disagreement.agreement())


class _PendingBatches:
    """Batches that are with the predictor: one more than it has answered, if it can `submit`."""

    def __init__(self, predictor: Predictor):
        self._submit = getattr(predictor, "submit", None)
        self._passes = getattr(predictor, "passes", lambda tiles: [predictor.probabilities(tiles)])
        self._asked: deque = deque()

    def ask(self, slab: range, tiles: np.ndarray) -> None:
        if self._submit is not None:
            self._asked.append((slab, self._submit(tiles)))
        else:
            self._asked.append((slab, _done(self._passes(tiles))))

    def ready(self, all_of_them: bool) -> Iterator[tuple[range, list[np.ndarray]]]:
        """Slabs and their passes, but the newest one's while that is under way."""
        left = 0 if all_of_them or self._submit is None else 1
        while len(self._asked) > left:
            slab, answer = self._asked.popleft()
            yield slab, answer.result() if self._submit is None else [answer.result()]

    def __enter__(self) -> "_PendingBatches":
        return self

    def __exit__(self, *exception) -> None:
        for _, answer in self._asked:
            answer.cancel()


def _slabs(slices: range, batch_size: int) -> list[range]:
    return [slices[start : start + batch_size] for start in range(0, len(slices), batch_size)]


def _done(result: object = None) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future


def _tiles(
    canonical: Volume, chosen: range, field: InferenceRegion, network: NetworkSpec
) -> np.ndarray:
    """(batch, h, w, channels) uint8 of the chosen slices with their neighbours."""
    array, slice_step = canonical.array, network.slice_step(canonical.spacing_mm[0])
    reach = network.context // 2 * slice_step
    first, last = max(chosen.start - reach, 0), min(chosen.stop + reach, len(array))
    cut = field.grid.cut_image(array[first:last])
    # beyond the volume's ends its last slice is repeated, which is where `cut` ends as well
    return np.stack([network.stack(cut, z - first, slice_step) for z in chosen])


def _restore(
    outputs: np.ndarray,
    slab: range,
    field: InferenceRegion,
    found: RegionMasks,
    thresholds: Sequence[float],
) -> None:
    """Write the masks of probabilities (batch, h, w, regions) into `found`."""
    target = found.canonical_bits[slab.start : slab.stop]
    for region, threshold in enumerate(thresholds):
        tiles = outputs[..., region]
        if found.probabilities is not None:
            values = field.grid.restore_values(tiles)
            scaled = np.rint(values * 255).astype(np.uint8)
            found.canonical_probabilities(region)[slab.start : slab.stop] = scaled
            busy = range(len(tiles))
        else:
            # the way back averages with weights that sum to 1: it never exceeds the tile's maximum
            busy = np.flatnonzero(tiles.max(axis=(1, 2)) > threshold)
            values = field.grid.restore_values(tiles[busy]) if len(busy) else ()
        bit = target.dtype.type(1 << region)
        for z, plane in zip(busy, values, strict=True):
            target[z] |= np.multiply(plane > threshold, bit, dtype=target.dtype)
