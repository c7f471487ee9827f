"""Text in tables and plots: headings and values of scores."""

import math
from collections.abc import Mapping

from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.printable import printable

UNDEFINED = "–"  # noqa: RUF001
MAIN_SCORES: Mapping[str, tuple[str, str]] = {  # score: heading, format
    "dice": ("Dice", "{:.3f}"),
    "assd": ("ASSD mm", "{:.2f}"),
    "hd95": ("HD95 mm", "{:.1f}"),
    "nsd": ("NSD", "{:.3f}"),
    "truth_ml": ("Truth ml", "{:.1f}"),
    "difference_ml": ("Diff. ml", "{:+.1f}"),
}
_FORMATS = {"_ml": "{:.1f}", "_percent": "{:+.1f}"}  # by the suffix of a score's name


def heading(score: str, tolerance_mm: float | None = None) -> str:
    """Return the heading of a score: its name and unit.

    Args:
        score: Name of the score.
        tolerance_mm: Tolerance of the surface Dice (NSD), which is shown with it.

    Example:
        >>> heading("hd95_pooled"), heading("difference_percent")
        ('HD95 pooled mm', 'Difference %')
    """
    if score == "nsd" and tolerance_mm is not None:
        return f"NSD {tolerance_mm:g} mm"
    if score in MAIN_SCORES:
        return MAIN_SCORES[score][0]
    first, *others = score.split("_")
    first = first.upper() if score in distances.DEFINITIONS and len(first) < 5 else first.title()
    unit = ["mm"] if _is_distance(score) else []
    return " ".join([first, *others, *unit]).replace("percent", "%")


def format_score(score: str, value: float) -> str:
    """Return a value with the decimal places of its score; a dash if it is undefined (NaN)."""
    if math.isnan(value):
        return UNDEFINED
    if score in MAIN_SCORES:
        return MAIN_SCORES[score][1].format(value)
    formats = (form for suffix, form in _FORMATS.items() if score.endswith(suffix))
    return next(formats, "{:.2f}" if _is_distance(score) else "{:.3f}").format(value)


def format_number(value: float, form: str = "{:.3f}") -> str:
    """Return a number, or a dash if it is undefined (NaN)."""
    return UNDEFINED if math.isnan(value) else form.format(value)


def escape_mathtext(text: str) -> str:
    """Escape what matplotlib does not draw as it is.

    These are dollar signs, which begin a formula, control characters, and an underscore at the
    beginning, which hides a line from the legend.
    """
    text = printable(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _is_distance(score: str) -> bool:
    return score in distances.DEFINITIONS and score != "nsd"
