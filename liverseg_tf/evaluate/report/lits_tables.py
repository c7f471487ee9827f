"""The scores of the LiTS challenge as files and as a table for the terminal."""

import math
from pathlib import Path

from rich import box
from rich.table import Table

from liverseg_tf.atomic import nan_to_none, write_csv
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.protocols.lits import (
    DEFINITIONS,
    IOU_THRESHOLDS,
    LitsCase,
    summarise_lits,
)
from liverseg_tf.evaluate.report.score_text import UNDEFINED
from liverseg_tf.printable import spreadsheet_text

SOURCE = "PatrickChrist/lits-challenge-scoring"


def lits_json(evaluation: Evaluation) -> dict:
    """Return the scores of all cases, by the names in the scorer's scores.txt, and of each case."""
    compat = evaluation.scoring.compat
    value = {
        "source": SOURCE,
        "compat": compat,
        "definitions": DEFINITIONS,
        "figures": summarise_lits(evaluation.lits, compat),
        "cases": [
            {**_case_values(case), "lesions": list(case.lesion_scores)} for case in evaluation.lits
        ],
    }
    return nan_to_none(value)


def write_lits_csv(path: Path, evaluation: Evaluation) -> None:
    """Write one line per case; an undefined score is an empty field."""
    rows = [_case_values(case) | {"case": spreadsheet_text(case.case)} for case in evaluation.lits]
    write_csv(path, list(rows[0]) if rows else [], rows)


def lits_table(evaluation: Evaluation) -> Table:
    """Return a table of 80 columns: liver, lesions, lesion detection and tumour burden."""
    compat = evaluation.scoring.compat
    summary = summarise_lits(evaluation.lits, compat)
    title = "LiTS scores" + (" as computed by the public scorer" if compat else "")
    table = Table(title=title, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    for heading in ("Dice/case", "global", "VOE", "RVD", "ASSD mm", "RMSD mm", "MSD mm"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in ("liver", "lesion"):
        keys = ("dice_per_case", "dice_global", "voe", "rvd", "assd", "rmsd", "msd")
        table.add_row(name, *(_text(summary[f"{name}_{key}"]) for key in keys))
    table.caption = (
        f"detected at > 0.5: precision {_text(summary['lesion_precision'])}, "
        f"recall {_text(summary['lesion_recall'])}\n"
        f"detected at > 0:   precision {_text(summary['lesion_precision_greater_zero'])}, "
        f"recall {_text(summary['lesion_recall_greater_zero'])}\n"
        f"tumour burden: RMSE {_text(summary['RMSE_Tumorburden'])}, "
        f"largest difference {_text(summary['MAXERROR_Tumorburden'])}"
    )
    table.caption_justify = "left"
    return table


def _case_values(case: LitsCase) -> dict:
    counts: dict[str, int] = {}
    for threshold, suffix in zip(IOU_THRESHOLDS, ("", "_greater_zero"), strict=True):
        detection = case.detections[threshold]
        counts |= {f"{name}{suffix}": getattr(detection, name) for name in ("tp", "fp", "fn")}
    return {
        "case": case.case,
        "missing": case.missing,
        **{f"liver_{name}": value for name, value in case.liver_scores.items()},
        "lesion_dice": case.lesion_dice,
        **counts,
        "burden_truth": case.burden_truth,
        "burden_prediction": case.burden_prediction,
    }


def _text(value: float) -> str:
    if math.isnan(value):
        return UNDEFINED
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
