"""Scores of an evaluation as files: CSV and JSON."""

import dataclasses
import math
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.atomic import nan_to_none, write_csv, write_json
from liverseg_tf.bootstrap import DEFINITION_OF_SCORES as INTERVAL
from liverseg_tf.evaluate.evaluation import CONVENTIONS, Evaluation
from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.evaluate.metrics.overlap import DEFINITIONS, Overlap
from liverseg_tf.evaluate.metrics.reliability import DEFINITION as RELIABILITY
from liverseg_tf.evaluate.metrics.surface_distances import SURFACES
from liverseg_tf.evaluate.protocols.scoring import PROTOCOLS
from liverseg_tf.evaluate.report.earlier_results import SCORES, clear_earlier_results
from liverseg_tf.evaluate.report.lesion_tables import lesions_json
from liverseg_tf.evaluate.report.lits_tables import lits_json, write_lits_csv
from liverseg_tf.evaluate.report.nnunet_summary import write_summary
from liverseg_tf.evaluate.report.reliability_plot import reliability_curves
from liverseg_tf.evaluate.report.trust_table import trust_json
from liverseg_tf.evaluate.score_case import RegionResult
from liverseg_tf.printable import printable, spreadsheet_text

DEFINITIONS_VERSION = 1  # increased when a formula changes
_COUNTS = [field.name for field in dataclasses.fields(Overlap)]


def write_tables(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write the tables of an evaluation into a folder, each atomically.

    The results of an earlier evaluation are removed before, its report and viewer pages included.

    These are scores.csv and scores.json; with the protocol lits also lits.csv and the section
    `lits` of scores.json, with nnunet also summary.json.

    Args:
        evaluation: Result to write.
        out: Folder, created if it is missing.

    Returns:
        Paths of the files.

    Raises:
        LiverSegError: If a file cannot be written, or the folder contains files with the names of
            results that no earlier evaluation has written.
    """
    out = Path(out)
    clear_earlier_results(out)
    names = evaluation.score_names
    rows = [
        _row(result, names) | {"case": spreadsheet_text(result.case)}
        for result in evaluation.results
    ]
    # the first file marks the folder as one of an evaluation
    write_json(out / SCORES, scores_json(evaluation))
    write_csv(out / "scores.csv", ["case", "region", *names, *_COUNTS], rows)
    written = [out / "scores.csv", out / SCORES]
    if evaluation.scoring.protocol == "lits":
        write_lits_csv(out / "lits.csv", evaluation)
        written.append(out / "lits.csv")
    if evaluation.scoring.protocol == "nnunet" and evaluation.pairs:
        write_summary(out / "summary.json", evaluation)
        written.append(out / "summary.json")
    return written


def scores_json(evaluation: Evaluation) -> dict:
    """Return the evaluation, its definitions and its statistics as strict JSON (null for NaN)."""
    scoring = evaluation.scoring
    distance_names = [name for name in evaluation.score_names if name in distances.DEFINITIONS]
    lits = {"lits": lits_json(evaluation)} if evaluation.lits else {}
    lesions = {"lesions": lesions_json(evaluation)} if evaluation.lesion_regions else {}
    subject = {} if evaluation.subject is None else {"subject": evaluation.subject.to_json()}
    value = {
        "liverseg_tf": __version__,
        **subject,
        "cases": _coverage_json(evaluation),
        "warnings": list(map(printable, evaluation.warnings)),
        "protocol": scoring.protocol,
        "protocol_text": PROTOCOLS[scoring.protocol].description,
        "surface": scoring.surface,
        "tolerance_mm": scoring.tolerance_mm,
        "definitions_version": DEFINITIONS_VERSION,
        "definitions": {
            "T, P": "voxels of the region in the truth and in the prediction",
            **DEFINITIONS,
            **({"surface": SURFACES[scoring.surface]} if scoring.surface else {}),
            **{name: distances.DEFINITIONS[name] for name in distance_names},
            "interval": INTERVAL,
            "std": "population standard deviation (divided by n)",
            "n": "number of cases in which the score is defined",
            "means_with_zeros": "means in which the cases that could not be scored count as 0",
        },
        "conventions": dict(CONVENTIONS),
        "regions": evaluation.regions.to_json(),
        "summary": {
            convention: {
                region: {
                    score: dataclasses.asdict(statistics) for score, statistics in scores.items()
                }
                for region, scores in evaluation.summary(convention).items()
            }
            for convention in CONVENTIONS
        },
        "intervals": {
            convention: {
                region: {score: list(ends) for score, ends in scores.items()}
                for region, scores in evaluation.intervals(convention).items()
            }
            for convention in CONVENTIONS
        },
        "means_with_zeros": {
            region: evaluation.means_with_zeros(region) for region in evaluation.regions.names
        },
        **lesions,
        **_trust_json(evaluation),
        **lits,
        "rows": [_row(result, evaluation.score_names) for result in evaluation.results],
        "failures": [
            {"case": failure.case, "message": printable(failure.message)}
            for failure in evaluation.failures
        ],
        "notes": list(map(printable, evaluation.notes)),
    }
    return nan_to_none(value)


def _trust_json(evaluation: Evaluation) -> dict:
    """The masks that the model judged, and the reliability of its probabilities, if known."""
    value: dict = {}
    if judged := trust_json(evaluation):
        value["trust"] = judged
    if curves := reliability_curves(evaluation):
        value["reliability"] = {
            "definition": RELIABILITY,
            "regions": {
                region: {
                    "ece": curve.calibration_error,
                    **dataclasses.asdict(curve),
                }
                for region, curve in curves.items()
            },
        }
    return value


def _coverage_json(evaluation: Evaluation) -> dict:
    coverage = evaluation.coverage
    return {
        "expected": coverage.expected,
        "scored": coverage.scored,
        "without_prediction": list(coverage.missing),
        "failed": list(coverage.failed),
        "without_truth": list(coverage.without_truth),
        "counted_as_empty": list(coverage.as_empty),
    }


def _row(result: RegionResult, names: tuple[str, ...]) -> dict:
    """Result as a row of scores.csv and scores.json."""
    return {
        "case": result.case,
        "region": result.region,
        **{name: result.scores.get(name, math.nan) for name in names},
        **dataclasses.asdict(result.overlap),
    }
