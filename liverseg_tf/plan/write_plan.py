"""A plan as a TOML file for `--config`, as a table, and as JSON values."""

import json
from dataclasses import asdict

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.errors import SettingsError
from liverseg_tf.plan.fingerprint import Fingerprint
from liverseg_tf.plan.setting import Plan, Value
from liverseg_tf.printable import printable

_SECTIONS = ("check", "preprocess", "train", "predict", "evaluate", "view")


def plan_to_toml(plan: Plan, title: str) -> str:
    """Return the plan as TOML: a section for each command, and a reason behind each value.

    Args:
        plan: Plan.
        title: First line, a comment.
    """
    lines = [f"# {printable(title)}"]
    lines += [f"# {printable(note)}" for note in plan.notes]
    for section in _SECTIONS:
        settings = [one for one in plan.settings if section in one.sections]
        if settings:
            lines += ["", f"[{section}]"]
        for one in settings:
            lines.append(f"{one.key} = {_toml(one.value)}  # {printable(one.reason)}")
    return "\n".join(lines) + "\n"


def plan_table(plan: Plan) -> Table:
    """Make a table of settings, values and reasons for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", max_width=22, overflow="fold")
    table.add_column("reason", overflow="fold")
    for one in plan.settings:
        table.add_row(Text(one.key), Text(_describe_value(one.value)), Text(printable(one.reason)))
    return table


def fingerprint_table(fingerprint: Fingerprint) -> Table:
    """Make a table of the data set for a terminal of 80 columns: images, and then each region."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("region", overflow="fold")
    unit = "HU" if fingerprint.has_hu else "value"
    for heading in ("cases", "ml", "size, mm", "width", "parts", "slices", f"{unit}, 5-95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for region in fingerprint.summaries():
        size = "x".join(f"{mm:.0f}" for mm in region.extent_mm)
        values = region.percentiles
        table.add_row(
            Text(printable(region.name)),
            f"{region.cases}/{region.labelled}"
            if region.cases < region.labelled
            else f"{region.cases}",
            _format_number(region.volume_ml),
            size,
            f"{region.width_mm:.0f}",
            f"{region.components:g}",
            f"{100 * region.slice_share:.2g} %",
            f"{values[1]:.0f} to {values[3]:.0f}" if values else "-",
        )
    return table


def _format_number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def describe_images(fingerprint: Fingerprint) -> str:
    """Describe number, pixels and distance of the slices in one line."""
    pixels = [mm for case in fingerprint.cases for mm in case.spacing_mm[1:]]
    nearest, middle, farthest = fingerprint.slice_mm
    apart = _format_range(nearest, farthest)
    middle_of = f" (median {middle:.3g})" if nearest < farthest else ""
    return (
        f"{fingerprint.slices} slices, {apart} apart{middle_of}, "
        f"pixels of {_format_range(min(pixels), max(pixels))}"
    )


def _format_range(low: float, high: float) -> str:
    same = f"{low:.3g}" == f"{high:.3g}"
    return f"{low:.3g} mm" if same else f"{low:.3g} to {high:.3g} mm"


def plan_to_json(plan: Plan, fingerprint: Fingerprint) -> dict:
    """Return the plan and the fingerprint as plain JSON values."""
    return {
        "settings": [asdict(one) for one in plan.settings],
        "notes": list(plan.notes),
        "fingerprint": {
            "has_hu": fingerprint.has_hu,
            "regions": [asdict(region) for region in fingerprint.summaries()],
            "cases": [asdict(case) for case in fingerprint.cases],
        },
    }


def _toml(value: Value) -> str:
    """Write a value as TOML. Strings of JSON are strings of TOML, but for one character."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        if not value.isascii() and printable(value) != value:
            raise SettingsError(
                "Expected text that a TOML file can hold. Received "
                f"{printable(value)}: rename it, or leave this option out."
            )
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return json.dumps(value)


def _describe_value(value: Value) -> str:
    """Write a value as it is given on the command line."""
    if isinstance(value, list):
        joint = "\n" if all(isinstance(item, str) for item in value) else " "
        return joint.join(map(_describe_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(f"{value:g}" if isinstance(value, float) else value)
