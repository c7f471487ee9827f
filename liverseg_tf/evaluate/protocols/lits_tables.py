"""The LiTS challenge's figures as files and as a table for the terminal."""

import csv
import math
from pathlib import Path

from rich import box
from rich.table import Table

from liverseg_tf.atomic import replacing
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.protocols.lits import (
    DEFINITIONS,
    LEAST_OVERLAPS,
    LitsCase,
    summarise_lits,
)

SOURCE = "PatrickChrist/lits-challenge-scoring"


def lits_json(evaluation: Evaluation) -> dict:
    """The figures under the names of the scorer's scores.txt, and of each case."""
    compat = evaluation.scoring.compat
    figures = summarise_lits(evaluation.lits, compat)
    return {
        "source": SOURCE,
        "compat": compat,
        "definitions": DEFINITIONS,
        "figures": {name: _null(value) for name, value in figures.items()},
        "cases": [
            {
                **{name: _null(value) for name, value in _case_values(case).items()},
                "lesions": [
                    {name: _null(value) for name, value in lesion.items()}
                    for lesion in case.lesion_scores
                ],
            }
            for case in evaluation.lits
        ],
    }


def write_lits_csv(path: Path, evaluation: Evaluation) -> None:
    """Write one line a case; an undefined figure is an empty field."""
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        rows = [_case_values(case) for case in evaluation.lits]
        if rows:
            writer.writerow(rows[0])
        for row in rows:
            writer.writerow(["" if _null(value) is None else value for value in row.values()])


def lits_table(evaluation: Evaluation) -> Table:
    """The figures of liver, lesions, detection and tumour burden, for 80 columns."""
    figures = summarise_lits(evaluation.lits, evaluation.scoring.compat)
    title = "LiTS figures" + (" as the public scorer counts" if evaluation.scoring.compat else "")
    table = Table(title=title, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    for heading in ("Dice/case", "global", "VOE", "RVD", "ASSD mm", "RMSD mm", "MSD mm"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in ("liver", "lesion"):
        keys = ("dice_per_case", "dice_global", "voe", "rvd", "assd", "rmsd", "msd")
        table.add_row(name, *(_text(figures[f"{name}_{key}"]) for key in keys))
    table.caption = (
        f"detected at > 0.5: precision {_text(figures['lesion_precision'])}, "
        f"recall {_text(figures['lesion_recall'])}\n"
        f"detected at > 0:   precision {_text(figures['lesion_precision_greater_zero'])}, "
        f"recall {_text(figures['lesion_recall_greater_zero'])}\n"
        f"tumour burden: RMSE {_text(figures['RMSE_Tumorburden'])}, "
        f"largest difference {_text(figures['MAXERROR_Tumorburden'])}"
    )
    table.caption_justify = "left"
    return table


def _case_values(case: LitsCase) -> dict:
    counts = {}
    for least, suffix in zip(LEAST_OVERLAPS, ("", "_greater_zero"), strict=True):
        found = case.detections[least]
        counts |= {f"{name}{suffix}": getattr(found, name) for name in ("tp", "fp", "fn")}
    return {
        "case": case.case,
        "missing": case.missing,
        **{f"liver_{name}": value for name, value in case.liver_scores.items()},
        "lesion_dice": case.lesion_dice,
        **counts,
        "burden_truth": case.burden_truth,
        "burden_prediction": case.burden_prediction,
    }


def _null(value):
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(value: float) -> str:
    if math.isnan(value):
        return "–"  # noqa: RUF001
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
