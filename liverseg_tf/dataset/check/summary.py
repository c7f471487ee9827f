"""Summary of a checked data set, as a table and as JSON values."""

from dataclasses import asdict, dataclass
from statistics import median

from rich import box
from rich.table import Table
from rich.text import Text

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.dataset.check.check_cases import CheckResult
from liverseg_tf.dataset.check.intensities import PERCENTILES
from liverseg_tf.dataset.check.measurements import CaseMeasurements
from liverseg_tf.dataset.check.rules import CheckSettings


@dataclass(frozen=True)
class SummaryRow:
    """Range of one quantity over the cases.

    Args:
        name: Name of the quantity with its unit.
        cases: Number of cases that have the quantity.
        minimum: Lowest value.
        median: Median.
        maximum: Highest value.
    """

    name: str
    cases: int
    minimum: float
    median: float
    maximum: float


def summarise_check(checked: CheckResult, settings: CheckSettings) -> list[SummaryRow]:
    """Summarise slices, spacing, intensities and volumes of the cases that could be read.

    Args:
        checked: Result of the check.
        settings: Settings of the check. A case that has no such region, or does not label it, is
            left out of its rows; and of the volumes, a case that is not labelled everywhere.
    """
    unit = "HU" if settings.has_hu else "value"
    cases = list(checked.measurements.values())
    percentiles = [c.intensities.percentiles for c in cases if c.intensities.percentiles]
    rows: dict[str, list[float]] = {
        "slices": [case.shape[0] for case in cases],
        "labelled slices": [case.slices.listed for case in cases if case.slices is not None],
        "slice spacing, mm": [case.spacing_mm[0] for case in cases],
        "in-plane spacing, mm": [max(case.spacing_mm[1:]) for case in cases],
    }
    for index, percent in enumerate(PERCENTILES):
        rows[f"{unit} at {percent:g} %"] = [values[index] for values in percentiles]
    annotation = settings.annotations.of
    for region, labels in settings.regions.items:
        named = [
            (annotation(name), case)
            for name, case in checked.measurements.items()
            if annotation(name).knows(labels)
        ]
        known = [case for _, case in named]
        whole = [case for one, case in named if _is_whole(case, one)]
        rows[f"{region}, ml"] = [ml for case in whole if (ml := _volume_ml(case, labels))]
        medians = [_median_intensity(case, labels) for case in known]
        rows[f"{region}, median {unit}"] = [value for value in medians if value is not None]
    return [
        SummaryRow(name, len(values), min(values), median(values), max(values))
        for name, values in rows.items()
        if values
    ]


def summary_table(rows: list[SummaryRow]) -> Table:
    """Make a table of the summary for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    for heading in ("cases", "minimum", "median", "maximum"):
        table.add_column(heading, justify="right")
    for row in rows:
        values = (row.minimum, row.median, row.maximum)
        table.add_row(Text(row.name), str(row.cases), *map(_format_number, values))
    return table


def check_to_json(checked: CheckResult, rows: list[SummaryRow]) -> dict:
    """Return issues, summary and measurements as plain JSON values."""
    return {
        "issues": [asdict(issue) for issue in checked.issues],
        "summary": [asdict(row) for row in rows],
        "cases": {name: asdict(case) for name, case in checked.measurements.items()},
    }


def _is_whole(case: CaseMeasurements, annotation: Annotation) -> bool:
    """Whether no voxel of the mask is unknown, so that it shows the volumes of its regions."""
    return annotation.ignored is None or annotation.ignored not in (case.labels or {})


def _volume_ml(case: CaseMeasurements, labels: tuple[int, ...]) -> float:
    return sum((case.labels or {}).get(label, 0) for label in labels) * case.voxel_ml


def _median_intensity(case: CaseMeasurements, labels: tuple[int, ...]) -> float | None:
    """Median intensity of the label with the most voxels."""
    counts = {label: (case.labels or {}).get(label, 0) for label in labels}
    largest = max(counts, key=counts.__getitem__)
    percentiles = case.intensities.label_percentiles.get(largest)
    return percentiles[PERCENTILES.index(50)] if percentiles else None


def _format_number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"
