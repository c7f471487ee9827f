"""Dice of `Model.fit` beside that of `train`, on the same store in equal steps.

    python benchmarks/keras_fit.py --epochs 6 --steps 50 --seeds 3

The batches of both are the same. The code of `fit` is that of docs/coming-from-keras.md.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from click.testing import CliRunner
from measure import print_hardware

import liverseg_tf as ls
from liverseg_tf.cli.main import liverseg

REGIONS = ("liver", "tumour")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=50, help="Steps of an epoch.")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print_hardware()
    with tempfile.TemporaryDirectory() as folder:
        store, rows = make_store(Path(folder)), []
        for seed in range(options.seeds):
            for name, train in (("train", train_run), ("fit", fit_model)):
                run = Path(folder) / f"{name}-{seed}"
                train(store, run, seed, options.epochs, options.steps)
                rows.append((name, seed, *score(Path(folder), store, run)))
                print(*rows[-1][:2], *(f"{value:.3f}" for value in rows[-1][2:]))
    for name in ("train", "fit"):
        chosen = [row[2:] for row in rows if row[0] == name]
        print(name, *(f"{median(values):.3f}" for values in zip(*chosen, strict=True)))


def make_store(folder: Path):
    words = f"phantom {folder}/raw --count 12 --shape 24 128 128 --spacing 8 3.2 3.2"
    done = CliRunner().invoke(liverseg, words.split())
    if done.exit_code:
        sys.exit(done.output)
    spec = ls.TileSpec(spacing_mm=3.2, tile_shape=(128, 128))
    return ls.cut_tiles(folder / "raw", folder / "store", spec)


def train_run(store, run: Path, seed: int, epochs: int, steps: int) -> None:
    ls.train_model(store, run, seed=seed, epochs=epochs, steps_per_epoch=steps)


def fit_model(store, run: Path, seed: int, epochs: int, steps: int) -> None:
    keras.utils.set_random_seed(seed)
    model = ls.build_unet()
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, 0.97 * epochs * steps, warmup_target=2e-3, warmup_steps=int(0.03 * epochs * steps)
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-4, global_clipnorm=1.0),
        ls.losses.DiceAndTopCrossEntropy(),
    )
    model.fit(
        ls.tile_dataset(store, "train", batch_size=8, augment=1.0, seed=seed),
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[ls.RunCheckpoint(run, store)],
        shuffle=False,
        verbose=0,
    )


def score(folder: Path, store, run: Path) -> list[float]:
    """Return the mean Dice of each region over the test cases."""
    predictor, dice = ls.load_model(run), []
    for case in store.split["test"]:
        ct, truth = (
            ls.read_volume(folder / "raw" / f"{kind}Tr" / f"{case}.nii.gz")
            for kind in ("images", "labels")
        )
        scores = ls.evaluate_masks(truth, ls.segment(ct, predictor), distances=False)
        dice.append([scores.summary()[name]["dice"].mean for name in REGIONS])
    return [sum(values) / len(values) for values in zip(*dice, strict=True)]


if __name__ == "__main__":
    main()
