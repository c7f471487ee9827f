"""The scores, the Dice and the voxels of unseen cases, with each kind of passes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.region_masks import RegionMasks, labels_to_bits
from liverseg_tf.model.trust_record import AGREEMENT, CONFIDENCE, SINGLE
from liverseg_tf.predict.agreement import PassAgreement
from liverseg_tf.predict.confidence import PassConfidence
from liverseg_tf.predict.models.predictor import Predictor, average_passes
from liverseg_tf.predict.trust.temperature import LOGIT_BINS, count_logits
from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.store import TileStore

_BATCH_SIZE = 8


@dataclass(frozen=True, eq=False)
class MeasuredRegion:
    """A region of a case that the model has not seen, with one kind of passes.

    Args:
        region: Name of the region.
        score: Name of the score.
        value: Score; None if no pass found the region.
        dice: Dice of the mask, after post-processing, in 3D on the tile grid; NaN if the region
            is empty both in the mask and in the ground truth.
        is_present: Whether the ground truth contains the region.
        counts: Voxels by logit and ground truth; see `count_logits`.
        case: Name of the case.
        fold: Number of the fold, from 1; 0 if there are none.
        passes: Kind of the passes.
    """

    region: str
    score: str
    value: float | None
    dice: float
    is_present: bool
    counts: np.ndarray
    case: str = ""
    fold: int = 0
    passes: str = SINGLE


def measure_cases(
    predictor: Predictor,
    kinds: Sequence[str],
    store: TileStore,
    names: Sequence[str],
    fold: int = 0,
    on_case: Callable[[str], None] = lambda name: None,
) -> Iterator[MeasuredRegion]:
    """Predict cases of a store and compare them with their ground truth.

    Args:
        predictor: Model that has not seen the cases.
        kinds: Kinds of passes that are measured. `single` takes the first pass of the model, any
            other kind takes all of them.
        store: Store with tiles of the model's specification.
        names: Names of the cases.
        fold: Number of the fold of the cases.
        on_case: Function that is called with the name of each case when it is done.

    Yields:
        One result for each kind, case and region that the case labels.

    Raises:
        LiverSegError: If a case is missing or damaged, or the tiles differ from those of the
            model.
    """
    store.check_spec(predictor.network.tiles)
    for name in names:
        case = store.read(name)
        meters = {kind: _Meter(predictor, kind, case) for kind in kinds}
        for slab, passes in _predict(predictor, case):
            for kind, meter in meters.items():
                meter.update(slab, passes[:1] if kind == SINGLE else passes)
        for kind, meter in meters.items():
            yield from (replace(one, case=name, fold=fold, passes=kind) for one in meter.results())
        on_case(name)


def _predict(predictor: Predictor, case: CaseTiles) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Yield slabs and the probabilities of each pass, (z, h, w, regions) float32."""
    network, (depth, rows, cols) = predictor.network, case.mask.shape
    slice_step = network.slice_step(case.slice_mm)
    predict = getattr(predictor, "passes", lambda tiles: [predictor.probabilities(tiles)])
    tiles = np.zeros((_BATCH_SIZE, *network.padded((rows, cols)), network.channels), np.uint8)
    for start in range(0, depth, _BATCH_SIZE):
        slices = range(start, min(start + _BATCH_SIZE, depth))
        for position, z in enumerate(slices):
            tiles[position, :rows, :cols] = network.stack(case.image, z, slice_step)
        passes = [output[: len(slices), :rows, :cols] for output in predict(tiles)]
        yield slice(slices.start, slices.stop), passes


class _Meter:
    """Measures a case with one kind of passes, slab by slab, and keeps only its masks.

    Args:
        predictor: Model of the passes.
        kind: Kind of the passes.
        case: Tiles of the case.
    """

    def __init__(self, predictor: Predictor, kind: str, case: CaseTiles):
        self._regions, self._steps = predictor.network.regions, predictor.postprocessing
        self._thresholds = self._steps.thresholds(self._regions)
        self._is_single = kind == SINGLE
        measured = (self._regions.names, self._thresholds)
        self._score: PassConfidence | PassAgreement = (
            PassConfidence(*measured) if self._is_single else PassAgreement(*measured)
        )
        self._mask, self._annotation = np.asarray(case.mask), read_annotation(case.record)
        self._known = np.ones(self._mask.shape, bool)
        if self._annotation.ignored is not None:
            self._known = self._mask != self._annotation.ignored
        row_mm, col_mm = case.transform.spacing_mm
        affine = np.diag([-col_mm, -row_mm, case.slice_mm, 1.0])  # canonical, with any origin
        grid = Volume(np.broadcast_to(np.uint8(0), self._mask.shape), affine)
        probabilities = None
        if self._steps.needs_probabilities:
            probabilities = np.zeros((len(self._regions), *self._mask.shape), np.uint8)
        self._masks = RegionMasks.empty(grid, self._regions, probabilities)
        self._counts = np.zeros((len(self._regions), 2, LOGIT_BINS), np.int64)

    def update(self, slab: slice, passes: list[np.ndarray]) -> None:
        self._score.update(np.stack(passes))
        average, known = average_passes(passes), self._known[slab]
        reference = labels_to_bits(self._mask[slab], self._regions)
        bits = self._masks.bits[slab]
        for region, threshold in enumerate(self._thresholds):
            values = average[..., region]
            bits |= np.multiply(values > np.float32(threshold), 1 << region, dtype=bits.dtype)
            if self._masks.probabilities is not None:
                self._masks.probabilities[region, slab] = np.rint(values * 255).astype(np.uint8)
            truth = reference >> region & 1 == 1
            self._counts[region] += count_logits(values[known], truth[known])

    def results(self) -> Iterator[MeasuredRegion]:
        """Yield one result for each region that the case labels."""
        labels = self._steps.apply(self._masks).labels().array
        found = labels_to_bits(labels, self._regions)[self._known]
        truth = labels_to_bits(self._mask, self._regions)[self._known]
        scores = self._score.result()
        for region, labelled in enumerate(self._annotation.known_regions(self._regions)):
            if not labelled:
                continue
            name = self._regions.names[region]
            one, two = found >> region & 1 == 1, truth >> region & 1 == 1
            size = np.count_nonzero(one) + np.count_nonzero(two)
            yield MeasuredRegion(
                region=name,
                score=CONFIDENCE if self._is_single else AGREEMENT,
                value=scores[name],
                dice=2 * np.count_nonzero(one & two) / size if size else math.nan,
                is_present=bool(two.any()),
                counts=self._counts[region],
            )
