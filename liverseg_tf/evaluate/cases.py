"""Score predicted masks against the truth, case by case."""

from collections.abc import Callable
from pathlib import Path

from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation, Failure, Row
from liverseg_tf.evaluate.pairs import Pair, find_pairs
from liverseg_tf.evaluate.scores import count_overlap, score_overlap
from liverseg_tf.evaluate.tables import write_tables

OnCase = Callable[[str, int, int], None]


def evaluate_folder(
    truth: Path,
    prediction: Path,
    out: Path,
    regions: Regions = LIVER_REGIONS,
    on_case: OnCase | None = None,
) -> Evaluation:
    """Score every pair of masks and write scores.csv and scores.json.

    A case that can't be scored, or has no prediction, is a failure of the evaluation; all
    others are scored and written. A prediction without a truth is noted.

    Args:
        truth: a mask, a folder of masks, or a data set.
        prediction: a mask or a folder of masks.
        out: folder of the tables.
        regions: what is compared.
        on_case: called with (case, number of cases done, number of cases) after each case.

    Raises:
        LiverSegError: when nothing can be paired, or the tables can't be written.

    Example:
        >>> evaluation = evaluate_folder("labelsTr", "predictions", "scores")  # doctest: +SKIP
        >>> evaluation.summary()["liver"]["dice"].mean  # doctest: +SKIP
        0.953
    """
    return evaluate_pairs(find_pairs(truth, prediction), out, regions, on_case)


def evaluate_pairs(
    pairs: list[Pair],
    out: Path,
    regions: Regions = LIVER_REGIONS,
    on_case: OnCase | None = None,
) -> Evaluation:
    """Score pairs that are known; see `evaluate_folder`."""
    _make_folder(Path(out))
    rows, scored, failures, notes = [], [], [], []
    for done, pair in enumerate(pairs, start=1):
        if pair.truth is None:
            notes.append(f"Not scored: {pair.prediction} (no truth of that name).")
        else:
            try:
                rows += score_pair(pair, regions)
                scored.append(pair)
            except LiverSegError as error:
                failures.append(Failure(pair.case, str(error.about(pair.case))))
        if on_case is not None:
            on_case(pair.case, done, len(pairs))
    evaluation = Evaluation(regions, *map(tuple, (rows, scored, failures, notes)))
    write_tables(evaluation, Path(out))
    return evaluation


def score_pair(pair: Pair, regions: Regions) -> list[Row]:
    """Read the masks of a case and score each region.

    Raises:
        LiverSegError: without a prediction, when a file can't be read as a label map, or the
            masks are on different grids.
    """
    if pair.prediction is None:
        raise LiverSegError(f"Expected a prediction for {pair.truth}. Received none.")
    return score_masks(pair.case, read_labels(pair.truth), read_labels(pair.prediction), regions)


def score_masks(case: str, truth: Volume, prediction: Volume, regions: Regions) -> list[Row]:
    """Score each region of two label maps.

    The same voxels in another axis order (a tool that writes RAS) are compared exactly.

    Args:
        case: its name.
        truth: array (z, row, col) uint8; its spacing gives the volumes.
        prediction: array uint8, on the truth's grid.
        regions: what is compared.

    Raises:
        LiverSegError: when the masks are on different grids.
    """
    truth, prediction = to_canonical(truth), to_canonical(prediction)
    check_same_grid(truth, prediction)
    rows = []
    for region in regions.names:
        masks = (regions.mask(volume.array, region) for volume in (truth, prediction))
        overlap = count_overlap(*masks)
        rows.append(Row(case, region, overlap, score_overlap(overlap, truth.voxel_volume_ml)))
    return rows


def _make_folder(folder: Path) -> None:
    """Make it before the work rather than fail after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LiverSegError(
            f"Expected to write into {folder}. Received: {error.strerror}."
        ) from error
