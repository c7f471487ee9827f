"""The cases that `liverseg evaluate` scores: all, or those of one side of a split."""

from pathlib import Path

import click

from liverseg_tf.choices import SIDES
from liverseg_tf.cli.shared.models import resolve_models
from liverseg_tf.cli.shared.options import ANY_PATH, combine_options
from liverseg_tf.cli.shared.terminal import say
from liverseg_tf.plural import count

split_options = combine_options(
    click.option(
        "--split",
        "split_source",
        type=ANY_PATH,
        metavar="RUN",
        help="Run, cross-validation or store whose split tells training, validation and test "
        "cases apart. A warning names scored cases from which the model has learnt.",
    ),
    click.option(
        "--side",
        type=click.Choice(SIDES),
        help="Score only the training, validation or test cases of --split. Test cases without a "
        "mask are counted.",
    ),
)


def read_split(path: Path | None, side: str | None):
    """Read the split of a run, a cross-validation or a store.

    Args:
        path: Value of --split.
        side: Value of --side.

    Returns:
        A `SplitSides`; None without a path.

    Raises:
        click.UsageError: If a side is chosen, but no split.
        LiverSegError: If there is no run and no store.
    """
    from liverseg_tf.evaluate.split_sides import SplitSides
    from liverseg_tf.model.run_record import read_record
    from liverseg_tf.tiles.store import TileStore
    from liverseg_tf.tiles.store_record import STORE_FILE

    if path is None:
        if side is not None:
            raise click.UsageError(
                f"Expected --split together with --side {side}. Received no --split: name the run "
                "or the store whose split is meant."
            )
        return None
    if (path / STORE_FILE).is_file():
        return SplitSides.combine(str(path), [TileStore.open(path).split])
    runs = resolve_models((str(path),))
    return SplitSides.combine(str(path), [read_record(Path(run)).split for run in runs])


def find_selected_pairs(truth, selection, form, annotations, segments, prediction):
    """Pair masks by name, and select those of one side of a split.

    Args:
        truth: Path of the ground truth.
        selection: The split and the side; both are None for all cases.
        form: Value of --form.
        annotations: What the masks label.
        segments: Names of the segments of regions.
        prediction: Path of the predictions.
    """
    from dataclasses import replace

    from liverseg_tf.evaluate.pairs import find_pairs

    pairs = [
        replace(pair, form=form, annotation=annotations.of(pair.case), segments=segments)
        for pair in find_pairs(truth, prediction)
    ]
    annotations.check_cases(pair.case for pair in pairs)
    if annotations.slices is not None:
        for name in annotations.slices.unmatched(pair.case for pair in pairs):
            say(f"Warning: {annotations.slices.source} names {name}: no such mask.", err=True)
    split, side = selection
    if side is None:
        return pairs
    selected = split.select(pairs, side)
    if left_out := len({pair.case for pair in pairs} - {pair.case for pair in selected}):
        say(f"Note: {count(left_out, 'case')} on no or another side left out.", err=True)
    return selected
