"""Masks that the model itself flagged, beside their scores."""

import math
from collections.abc import Iterator

from liverseg_tf.dataset.provenance import MaskCheck
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.origin import read_mask_record
from liverseg_tf.evaluate.report.html_tables import html_table
from liverseg_tf.evaluate.report.score_text import UNDEFINED, format_score
from liverseg_tf.html_page import escape


def find_checks(evaluation: Evaluation) -> Iterator[tuple[str, MaskCheck, float]]:
    """Yield the case, the check and the Dice of each mask that the model judged.

    The checks are those in the records beside the masks.
    """
    for pair in evaluation.pairs:
        record = read_mask_record(pair)
        for check in () if record is None else record.checks:
            for result in evaluation.select(case=pair.case, region=check.region):
                yield pair.case, check, result.scores["dice"]


def trust_json(evaluation: Evaluation) -> list[dict]:
    """Return the judged masks as JSON values."""
    return [
        {
            "case": case,
            "region": check.region,
            "score": check.score,
            "value": check.value,
            "threshold": check.threshold,
            "check": check.flagged,
            "dice": dice,
        }
        for case, check, dice in find_checks(evaluation)
    ]


def trust_table(evaluation: Evaluation) -> str:
    """Return the flagged masks, and how many there are; no text if the model judged none."""
    judged = list(find_checks(evaluation))
    if not judged:
        return ""
    lines = []
    for region in evaluation.regions.names:
        of_region = [(check, dice) for _, check, dice in judged if check.region == region]
        if of_region:
            flagged = [dice for check, dice in of_region if check.flagged]
            others = [dice for check, dice in of_region if not check.flagged]
            lines.append(
                f"<li>{escape(region)}: {len(flagged)} of {len(of_region)} masks flagged; mean "
                f"Dice {_mean(flagged)} of these, {_mean(others)} of the others.</li>\n"
            )
    rows = [
        [case, check.region, format_score("dice", dice), check.line]
        for case, check, dice in judged
        if check.flagged
    ]
    table = html_table(["Case", "Region", "Dice", "Flagged because"], rows) if rows else ""
    return (
        f"<h2>Masks that the model flagged</h2>\n<ul>\n{''.join(lines)}</ul>\n{table}"
        '<p class="small">Flagged without the ground truth, by the threshold that liverseg trust '
        "measured for the model on other cases.</p>\n"
    )


def _mean(dice: list[float]) -> str:
    known = [value for value in dice if not math.isnan(value)]
    return format_score("dice", sum(known) / len(known)) if known else UNDEFINED
