"""nnU-Net's summary.json, so that the results can be compared with those of nnU-Net.

Source: MIC-DKFZ/nnUNet, nnunetv2/evaluation/evaluate_predictions.py.
"""

import math
import statistics
from pathlib import Path
from typing import Any

from liverseg_tf.atomic import write_json
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.score_case import RegionResult
from liverseg_tf.printable import printable

METRICS = ("Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref")


def write_summary(path: Path, evaluation: Evaluation) -> None:
    """Write summary.json; undefined scores are written as NaN, as in nnU-Net."""
    write_json(path, summarise_nnunet(evaluation), keep_nan=True)


def summarise_nnunet(evaluation: Evaluation) -> dict:
    """Return scores of the cases, means over cases and the mean over regions, as in nnU-Net.

    If a region is empty in truth and prediction, its Dice and IoU are NaN, and the mean over
    cases ignores them. If they are NaN in every case, the mean of the region and the foreground
    mean are NaN, too. Cases without a prediction are not included, nor are regions that the ground
    truth of a case does not label.
    """
    cases: list[dict[str, Any]] = []
    for pair in evaluation.pairs:
        results = {result.region: result for result in evaluation.select(case=pair.case)}
        cases.append(
            {
                "metrics": {
                    key: _metrics(results[region])
                    for region, key in _label_keys(evaluation).items()
                    if region in results
                },
                "prediction_file": printable(pair.prediction),
                "reference_file": printable(pair.truth),
            }
        )
    mean = {
        key: {
            name: _nanmean([case["metrics"][key][name] for case in cases if key in case["metrics"]])
            for name in METRICS
        }
        for key in _label_keys(evaluation).values()
    }
    foreground = {
        name: statistics.fmean(metrics[name] for metrics in mean.values()) for name in METRICS
    }
    return {"foreground_mean": foreground, "mean": mean, "metric_per_case": cases}


def _label_keys(evaluation: Evaluation) -> dict[str, str]:
    """nnU-Net's key of each region: '1' for a region of one label, '(1, 2)' for two labels."""
    return {
        name: str(labels[0]) if len(labels) == 1 else str(tuple(labels))
        for name, labels in evaluation.regions.items
    }


def _metrics(result: RegionResult) -> dict[str, float]:
    overlap = result.overlap
    union = overlap.truth_voxels + overlap.prediction_voxels - overlap.both_voxels
    empty = overlap.both_empty
    return {
        "Dice": math.nan if empty else overlap.dice,
        "FN": overlap.truth_voxels - overlap.both_voxels,
        "FP": overlap.prediction_voxels - overlap.both_voxels,
        "IoU": math.nan if empty else overlap.jaccard,
        "TN": result.grid_voxels - union,
        "TP": overlap.both_voxels,
        "n_pred": overlap.prediction_voxels,
        "n_ref": overlap.truth_voxels,
    }


def _nanmean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
