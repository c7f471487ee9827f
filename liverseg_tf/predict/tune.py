"""Post-processing chosen on a run's validation cases."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.found import Found, bits_of
from liverseg_tf.predict.postprocess import PostProcessing
from liverseg_tf.predict.volume import THRESHOLD, Predictor
from liverseg_tf.tiles.case import CaseTiles
from liverseg_tf.tiles.store import TileStore

_BATCH = 8


@dataclass(frozen=True)
class Tuned:
    """What was chosen.

    Args:
        chosen: the steps that help.
        before: mean Dice of each region without them; NaN where no case holds one.
        after: with them.
    """

    chosen: PostProcessing
    before: dict[str, float]
    after: dict[str, float]


def tune_run(folder: Path, store: TileStore) -> Tuned:
    """Choose a run's post-processing and write it into its `run.json`; loads the model.

    Args:
        folder: of the run.
        store: of the run.

    Raises:
        LiverSegError: as `tune_postprocessing`, or when the run can't be used.
    """
    from liverseg_tf.predict.run import RunPredictor

    tuned = tune_postprocessing(RunPredictor(folder), store)
    write_postprocessing(folder, tuned.chosen)
    return tuned


def tune_postprocessing(predictor: Predictor, store: TileStore) -> Tuned:
    """Choose post-processing by nnU-Net's rule: what lowers no region's Dice, and raises its own.

    For each region, from the outside in, the largest component alone is tried. Dice is that of
    whole cases in 3D on the tile grid.

    Args:
        predictor: of the slices.
        store: of the run; its validation cases are looked at.

    Raises:
        LiverSegError: when the store has no validation cases, or other tiles than the network.
    """
    if store.spec != predictor.network.tiles:
        raise LiverSegError(
            f"Expected the store of the run's tiles, {predictor.network.tiles}. "
            f"Received {store.folder} with {store.spec}."
        )
    names = store.split["val"]
    if not names:
        raise LiverSegError(f"Expected validation cases in {store.folder}. Received none.")
    regions = predictor.network.regions
    cases = []
    for name in names:
        case = store.read(name)
        cases.append((_find(case, predictor), bits_of(np.asarray(case.mask), regions)))
    chosen = PostProcessing()
    before = scores = _dice(cases, chosen, regions)
    for name in regions.names:
        candidate = replace(chosen, largest=(*chosen.largest, name))
        tried = _dice(cases, candidate, regions)
        worse = [region for region in regions.names if tried[region] < scores[region] - 1e-9]
        if tried[name] > scores[name] + 1e-9 and not worse:
            chosen, scores = candidate, tried
    return Tuned(chosen, before, scores)


def write_postprocessing(run: Path, chosen: PostProcessing) -> None:
    """Put the steps into a run's `run.json`."""
    path = Path(run) / "run.json"
    write_json(path, read_json(path) | {"postprocessing": chosen.to_json()})


def _find(case: CaseTiles, predictor: Predictor) -> Found:
    """The masks of a case's tiles."""
    network = predictor.network
    depth, rows, cols = case.mask.shape
    grid = Volume(np.broadcast_to(np.uint8(0), case.mask.shape), _tile_affine(case))
    found = Found.empty(grid, network.regions)
    tiles = np.zeros((_BATCH, *network.padded((rows, cols)), network.channels), np.uint8)
    for start in range(0, depth, _BATCH):
        slices = range(start, min(start + _BATCH, depth))
        for place, z in enumerate(slices):
            tiles[place, :rows, :cols] = network.stack(case.image, z)
        outputs = predictor.probabilities(tiles)[: len(slices), :rows, :cols] > THRESHOLD
        for region in range(outputs.shape[-1]):
            found.bits[start : slices.stop] |= np.multiply(
                outputs[..., region], 1 << region, dtype=found.bits.dtype
            )
    return found


def _tile_affine(case: CaseTiles) -> np.ndarray:
    """Tiles are in canonical order; where they lie doesn't matter here."""
    row_mm, col_mm = case.grid.spacing_mm
    z_mm = np.linalg.norm(np.array(case.record["affine"])[:3, :3], axis=0)
    axes = case.record["orientation"]["axes"]
    return np.diag([-col_mm, -row_mm, float(z_mm[2 - axes[0]]), 1.0])


def _dice(cases: list, steps: PostProcessing, regions: Regions) -> dict[str, float]:
    """Mean Dice over cases; those in which a region is neither there nor found are left out."""
    scores = np.full((len(cases), len(regions)), np.nan)
    for row, (found, truth) in enumerate(cases):
        bits = bits_of(steps.apply(found).labels().array, regions)
        for region in range(len(regions)):
            a, b = bits >> region & 1, truth >> region & 1
            size = int(a.sum(dtype=np.int64)) + int(b.sum(dtype=np.int64))
            if size:
                scores[row, region] = 2 * int((a & b).sum(dtype=np.int64)) / size
    return {
        name: float(np.nanmean(column)) if np.isfinite(column).any() else float("nan")
        for name, column in zip(regions.names, scores.T, strict=True)
    }
