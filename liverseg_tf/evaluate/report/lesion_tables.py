"""Detection of lesions as a table for the terminal and as JSON."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.bootstrap import FEWEST_CASES
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.froc import DEFINITION as FROC
from liverseg_tf.evaluate.metrics.froc import RATES, FrocCurve, compute_froc, usable_scores
from liverseg_tf.evaluate.metrics.lesion_detection import (
    DEFINITIONS,
    IOU_THRESHOLDS,
    SIZE_CLASSES,
    LesionSummary,
    RegionLesions,
    summarise_lesions,
)
from liverseg_tf.evaluate.report.score_text import format_number

FOUND_IF: Mapping[float, str] = {0.5: "IoU > 0.5", 0.0: "overlap"}
SIZES: Mapping[str, str] = dict(zip(SIZE_CLASSES, ("<10 mm", "10-20 mm", ">20 mm"), strict=True))
_KEYS = {0.5: "iou_above_0.5", 0.0: "any_overlap"}


def lesion_table(evaluation: Evaluation) -> Table | None:
    """Return a table of 80 columns for the regions that consist of lesions; None without any."""
    regions = evaluation.lesion_regions
    if not regions:
        return None
    table = Table(
        title="Detection of connected components (lesions)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("Region", overflow="fold")
    table.add_column("Found if", no_wrap=True)
    sizes = (name.replace(" ", "\n") for name in SIZES.values())
    for heading in ("TP", "FP", "FN", "Prec.", "Recall", "FP per\ncase", *sizes):
        table.add_column(heading, justify="right", no_wrap=True)
    lines = []
    for region in regions:
        cases = evaluation.lesions(region)
        for threshold in IOU_THRESHOLDS:
            summary = summarise_lesions(cases, threshold)
            name = region if threshold == IOU_THRESHOLDS[0] else ""
            table.add_row(Text(name), FOUND_IF[threshold], *lesion_texts(summary))
        lines += describe_region(evaluation, region)
    table.caption = "\n".join(
        ["sizes: found / all true lesions, by the diameter of a sphere of equal volume", *lines]
    )
    table.caption_justify = "left"
    return table


def lesion_texts(summary: LesionSummary) -> list[str]:
    """Return the cells of a row: TP, FP, FN, precision, recall, FP per case, and each size."""
    return [
        *(str(number) for number in (summary.tp, summary.fp, summary.fn)),
        format_number(summary.precision),
        format_number(summary.recall),
        format_number(summary.fp_per_case, "{:.2f}"),
        *(f"{found}/{total}" for found, total in summary.by_size.values()),
    ]


def describe_region(evaluation: Evaluation, region: str) -> list[str]:
    """Return remarks on the lesions of a region, one line each."""
    cases = evaluation.lesions(region)
    n_scored = len(evaluation.select(region=region))
    summary = summarise_lesions(cases, IOU_THRESHOLDS[-1])
    lines = [_describe_cases(region, summary)]
    if summary.cases_with_lesions:
        lines.append(_describe_sizes(region, summary))
    if left_out := n_scored - len(cases):
        lines.append(
            f"{region}: lesions of {left_out} of {n_scored} cases are not counted, since unknown "
            "voxels may cut them"
        )
    return lines + _describe_froc(region, cases)


def _describe_cases(region: str, summary: LesionSummary) -> str:
    """In how many cases a lesion was found, and in how many without one something was predicted."""
    return (
        f"{region}: found in {summary.cases_found} of {summary.cases_with_lesions} cases that have "
        f"any, predicted in {summary.cases_without_lesions - summary.cases_clear} of "
        f"{summary.cases_without_lesions} that have none"
    )


def _describe_sizes(region: str, summary: LesionSummary) -> str:
    """In how many of the cases that have a lesion of a size one was found."""
    sizes = (
        f"{SIZES[name]} {found}/{total}"
        for name, (found, total) in summary.cases_by_size.items()
        if total
    )
    return f"{region}: cases in which one was found, of those with one: {', '.join(sizes)}"


def _describe_froc(region: str, cases: list[RegionLesions]) -> list[str]:
    """Sensitivities of the FROC curve in one line; none for too few cases."""
    curve = compute_froc(cases)
    if curve is None or len(cases) < FEWEST_CASES:
        return []
    at_rates = ", ".join(f"{curve.sensitivity_at(rate):.2f} at {rate:g}" for rate in RATES)
    return [f"{region}: FROC sensitivity {at_rates} FP per case ({curve.score})"]


def lesions_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the definitions, the sums of each region, and the lesions of each case."""
    return {
        "definitions": DEFINITIONS | {"froc": FROC},
        "regions": {
            region: _region_json(evaluation, region) for region in evaluation.lesion_regions
        },
    }


def _region_json(evaluation: Evaluation, region: str) -> dict[str, Any]:
    cases = evaluation.lesions(region)
    curve = compute_froc(cases)
    return {
        "froc": None if curve is None else _froc_json(curve),
        "froc_of_other_scores": [
            _froc_json(other)
            for score in usable_scores(cases)[1:]
            if (other := compute_froc(cases, score)) is not None
        ],
        **{
            _KEYS[threshold]: _summary_json(summarise_lesions(cases, threshold))
            for threshold in IOU_THRESHOLDS
        },
        "cases": [
            {"case": result.case, **_case_json(result.lesions)}
            for result in evaluation.select(region=region)
            if result.lesions is not None
        ],
    }


def _froc_json(curve: FrocCurve) -> dict[str, Any]:
    at_rates = {f"{rate:g}": curve.sensitivity_at(rate) for rate in RATES}
    return dataclasses.asdict(curve) | {"sensitivity_at_fp_per_case": at_rates}


def _summary_json(summary: LesionSummary) -> dict[str, Any]:
    value = dataclasses.asdict(summary)
    for key in ("by_size", "cases_by_size"):
        counts = getattr(summary, key).items()
        value[key] = {name: {"found": found, "all": total} for name, (found, total) in counts}
    return value


def _case_json(lesions: RegionLesions) -> dict[str, Any]:
    return {
        "truths": [
            {
                "volume_ml": one.volume_ml,
                "diameter_mm": one.diameter_mm,
                **{_KEYS[threshold]: found for threshold, found in one.detected.items()},
            }
            for one in lesions.truths
        ],
        "predictions": [
            {
                "volume_ml": one.volume_ml,
                "probability": one.probability,
                "peak_probability": one.peak_probability,
                "is_false_positive": not one.overlapped,
            }
            for one in lesions.predictions
        ],
    }
