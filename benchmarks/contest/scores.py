"""Scores of the masks of a contestant, on the native grid of each case."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from contest.task import Task
from liverseg_tf.ct.components import Components, filter_components
from liverseg_tf.ct.images import read_label_image
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import score_masks

SCORES = ("dice", "nsd", "hd95", "truth_ml", "prediction_ml", "difference_percent")
TOLERANCE_MM = 2.0


def score_test_cases(fold: Path, masks: Path, task: Task) -> list[dict]:
    """Score all regions of all test cases; a region that no mask of the truth has is left out.

    Args:
        fold: Folder with `test`.
        masks: Folder with the mask of each test case.
        task: The regions.
    """
    scoring = Scoring(regions=task.regions, tolerance_mm=TOLERANCE_MM)
    rows = []
    for case in find_cases(fold / "test"):
        truth = to_canonical(read_label_image(case.mask))
        found = to_canonical(read_label_image(masks / f"{case.name}.nii.gz"))
        for result in score_masks(
            case.name, truth, keep_largest(found, task), task.regions, scoring
        ):
            if result.scores["truth_ml"]:
                scores = {name: round(float(result.scores[name]), 5) for name in SCORES}
                rows.append({"case": case.name, "region": result.region, **scores})
    return rows


def keep_largest(labels: Volume, task: Task) -> Volume:
    """Keep the largest connected component of each region, for every contestant alike."""
    array = np.zeros_like(labels.array)
    for name, region_labels in task.regions.items:
        kept = filter_components(task.regions.mask(labels.array, name), Components.largest)
        array[kept] = region_labels[0]
    return replace(labels, array=array)
