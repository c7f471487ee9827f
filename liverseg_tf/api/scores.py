"""Scores of masks."""

from pathlib import Path

from liverseg_tf.api.stores import RegionsLike, as_regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.coverage import Coverage
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import score_masks


def evaluate_masks(
    truth: Volume | Path | str,
    prediction: Volume | Path | str,
    regions: RegionsLike | None = None,
    distances: bool = True,
) -> Evaluation:
    """Compare masks with the ground truth, as `liverseg evaluate` does without writing files.

    Args:
        truth: Ground truth: a mask as a volume or a file, a folder of masks, or a data set.
        prediction: A mask as a volume or a file, or a folder of masks with the names of the cases.
        regions: Regions to compare. None compares liver and tumours.
        distances: Whether surface distances in mm are computed, too.

    Returns:
        Scores of each case and region, with `summary()` over the cases. A case that cannot be
        scored is in `failures` and does not stop the others.

    Raises:
        SettingsError: If one of the masks is a volume and the other one is not.
        LiverSegError: If nothing can be paired, or two volumes are on different grids.

    Example:
        >>> import liverseg_tf as ls
        >>> truth = ls.read_volume("mask.nii.gz")
        >>> scores = ls.evaluate_masks(truth, truth.with_array((truth.array == 1).astype("uint8")))
        >>> [round(result.scores["dice"], 2) for result in scores.results]
        [1.0, 0.0]
        >>> ls.evaluate_masks("mask.nii.gz", "mask.nii.gz").summary()["liver"]["dice"].mean
        1.0
    """
    scoring = Scoring(regions=None if regions is None else as_regions(regions), distances=distances)
    if isinstance(truth, Volume) and isinstance(prediction, Volume):
        results = score_masks("mask", truth, prediction, scoring.regions, scoring)
        coverage = Coverage(scored=1)
        return Evaluation(scoring.regions, tuple(results), scoring=scoring, coverage=coverage)
    if isinstance(truth, Volume) or isinstance(prediction, Volume):
        raise SettingsError(
            "Expected two volumes, or two paths. Received one of each: read the other one with "
            "read_volume."
        )
    return evaluate_folder(Path(truth), Path(prediction), scoring)
