"""The figures of a data set: as a table, and as JSON values."""

from dataclasses import asdict, dataclass
from statistics import median

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.dataset.check.checks import CheckResult
from liverseg_tf.dataset.check.measurements import PERCENTILES, CaseMeasures
from liverseg_tf.dataset.check.rules import Expectation


@dataclass(frozen=True)
class Figure:
    """A quantity over the cases that have it.

    Args:
        name: with its unit.
        cases: how many have it.
        lowest, middle, highest: of these; the middle is the median.
    """

    name: str
    cases: int
    lowest: float
    middle: float
    highest: float


def summarise(checked: CheckResult, expected: Expectation) -> list[Figure]:
    """Slices, spacing, values and volumes of the cases that could be read.

    Args:
        checked: what a check found.
        expected: its regions' volumes and values are told; a case without one is left out of
            its row.
    """
    unit = "HU" if expected.has_hu else "value"
    cases = list(checked.measures.values())
    percentiles = [case.values.percentiles for case in cases if case.values.percentiles]
    rows = {
        "slices": [case.shape[0] for case in cases],
        "slice spacing, mm": [case.spacing_mm[0] for case in cases],
        "in-plane spacing, mm": [max(case.spacing_mm[1:]) for case in cases],
    }
    for place, percent in enumerate(PERCENTILES):
        rows[f"{unit} at {percent:g} %"] = [values[place] for values in percentiles]
    for region, labels in expected.regions.items:
        rows[f"{region}, ml"] = [ml for case in cases if (ml := _volume_ml(case, labels))]
        medians = [_median_value(case, labels) for case in cases]
        rows[f"{region}, median {unit}"] = [value for value in medians if value is not None]
    return [
        Figure(name, len(values), min(values), median(values), max(values))
        for name, values in rows.items()
        if values
    ]


def summary_table(figures: list[Figure]) -> Table:
    """The figures, for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    for heading in ("cases", "lowest", "median", "highest"):
        table.add_column(heading, justify="right")
    for figure in figures:
        values = (figure.lowest, figure.middle, figure.highest)
        table.add_row(Text(figure.name), str(figure.cases), *map(_short, values))
    return table


def check_to_json(checked: CheckResult, figures: list[Figure]) -> dict:
    """Everything that was found, as plain JSON values."""
    return {
        "findings": [asdict(remark) for remark in checked.remarks],
        "summary": [asdict(figure) for figure in figures],
        "cases": {name: asdict(case) for name, case in checked.measures.items()},
    }


def _volume_ml(case: CaseMeasures, labels: tuple[int, ...]) -> float:
    return sum((case.labels or {}).get(label, 0) for label in labels) * case.voxel_ml


def _median_value(case: CaseMeasures, labels: tuple[int, ...]) -> float | None:
    """Of the region's largest label."""
    counted = {label: (case.labels or {}).get(label, 0) for label in labels}
    largest = max(counted, key=counted.get)
    found = case.values.of_labels.get(largest)
    return found[PERCENTILES.index(50)] if found else None


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"
