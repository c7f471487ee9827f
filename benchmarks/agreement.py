"""Measure how well the agreement of mirrored passes correlates with the Dice of a mask.

    python benchmarks/agreement.py --run RUN
    python benchmarks/agreement.py --minutes 4

RUN is a run that was trained with mirroring (`liverseg train --mirror`). Without --run, a network
is trained on phantoms for some minutes. The test images are other phantoms, most of which are made
harder by noise, blur, contrast or a shift of HU that do not occur in training.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage, stats

from liverseg_tf.cli.shared.tensorflow import import_tensorflow
from liverseg_tf.ct.intensity import BODY_HU

SEED = 5000  # seed of the first test phantom
HARDER = {
    "unchanged": lambda hu, rng: hu,
    "noise of 40 HU": lambda hu, rng: hu + rng.normal(0, 40, hu.shape),
    "noise of 80 HU": lambda hu, rng: hu + rng.normal(0, 80, hu.shape),
    "noise of 140 HU": lambda hu, rng: hu + rng.normal(0, 140, hu.shape),
    "60 HU less": lambda hu, rng: hu - 60,
    "60 HU more": lambda hu, rng: hu + 60,
    "120 HU more": lambda hu, rng: hu + 120,
    "contrast x 0.6": lambda hu, rng: np.where(hu > BODY_HU, (hu - 40) * 0.6 + 40, hu),
    "contrast x 0.3": lambda hu, rng: np.where(hu > BODY_HU, (hu - 40) * 0.3 + 40, hu),
    "contrast x 1.8": lambda hu, rng: np.where(hu > BODY_HU, (hu - 40) * 1.8 + 40, hu),
    "blur of 2 pixels": lambda hu, rng: ndimage.gaussian_filter(hu, (0, 2, 2)),
    "blur of 4 pixels": lambda hu, rng: ndimage.gaussian_filter(hu, (0, 4, 4)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="Trained run; trained first if not given.")
    parser.add_argument("--minutes", type=float, default=4, help="Training time without --run.")
    parser.add_argument("--cases", type=int, default=36, help="Number of test phantoms.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        run = options.run or train(Path(work), options.minutes)
        import_tensorflow()
        from liverseg_tf.predict.models.run import RunPredictor

        predictor = RunPredictor(run)
        rows = [row for case in range(options.cases) for row in measure_case(case, predictor)]
    print(f"\n{options.cases} phantoms; agreement: Dice between the plain and the mirrored pass")
    for region in predictor.network.regions.names:
        print_correlation(region, [row for row in rows if row[0] == region])


def train(work: Path, minutes: float) -> Path:
    from liverseg_tf.cli.main import liverseg

    for arguments in (
        f"phantom {work}/phantoms --count 16",
        f"preprocess {work}/phantoms {work}/store --spacing 3 --tile 128 --test 0 --val 0.1",
        f"train {work}/store {work}/run --minutes {minutes} --base-filters 8 --augment 0.5 "
        "--mirror",
    ):
        liverseg(arguments.split(), standalone_mode=False)
    return work / "run"


def measure_case(case: int, predictor) -> list[tuple[str, float, float, float | None]]:
    """Return region, Dice of the plain pass, Dice of the mean of both passes, and agreement."""
    from liverseg_tf.ct.orientation import Orientation, to_canonical
    from liverseg_tf.model.postprocessing import THRESHOLD
    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.predict.agreement import PassAgreement
    from liverseg_tf.tiles.transform import TileTransform

    network = predictor.network
    image, labels = make_phantom(SEED + case)
    how = list(HARDER)[case % len(HARDER)]
    canonical = to_canonical(image)
    harder = HARDER[how](canonical.array.astype(np.float32), np.random.default_rng(case))
    transform = TileTransform.for_volume(canonical, replace(network.tiles, tile_shape=None))
    tiles = transform.image_to_tiles(harder)
    truth = Orientation.of(image.affine).to_canonical(labels.array)
    truth = network.regions.masks(transform.mask_to_tiles(truth))
    rows, cols = transform.shape
    inputs = np.zeros((len(tiles), *network.padded(transform.shape), network.channels), np.uint8)
    inputs[:, :rows, :cols] = [network.stack(tiles, z) for z in range(len(tiles))]
    pass_agreement = PassAgreement(network.regions.names)
    found = np.zeros((2, *truth.shape), bool)
    for start in range(0, len(inputs), 8):
        slab = inputs[start : start + 8]
        passes = [
            predictor.probabilities(slab),
            predictor.probabilities(slab[:, :, ::-1])[:, :, ::-1],
        ]
        passes = np.stack(passes)[:, :, :rows, :cols]
        pass_agreement.update(passes)
        found[0, start : start + 8] = passes[0] > THRESHOLD
        found[1, start : start + 8] = passes.mean(axis=0) > THRESHOLD
    result = []
    for channel, (region, agreement) in enumerate(pass_agreement.result().items()):
        plain, mean = (dice(mask[..., channel], truth[..., channel]) for mask in found)
        result.append((region, plain, mean, agreement))
        shown = "none" if agreement is None else f"{agreement:.3f}"
        print(
            f"{case:3} {how:17} {region:8} agreement {shown}  "
            f"Dice of the plain pass {plain:.3f}, of the mean {mean:.3f}"
        )
    return result


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice of two masks; NaN if both are empty."""
    both = one.sum() + other.sum()
    return float(2 * (one & other).sum() / both) if both else float("nan")


def print_correlation(region: str, rows: list[tuple]) -> None:
    for name, place in (("plain pass", 1), ("mean of both passes", 2)):
        pairs = [(row[3], row[place]) for row in rows if row[3] is not None]
        pairs = np.array([pair for pair in pairs if np.isfinite(pair).all()])
        pearson = stats.pearsonr(*pairs.T).statistic
        spearman = stats.spearmanr(*pairs.T).statistic
        print(
            f"{region:8} agreement and Dice of the {name:19}: Spearman {spearman:.2f}, "
            f"Pearson {pearson:.2f} ({len(pairs)} of {len(rows)} cases; the others are empty)"
        )


if __name__ == "__main__":
    main()
