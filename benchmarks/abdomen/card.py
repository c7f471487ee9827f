"""The text of the model card of `abdomen-ct`: a template and the tables of measured scores."""

from pathlib import Path
from string import Template

from abdomen.tables import lesion_table, organ_table, stress_table

TEMPLATE = Path(__file__).with_name("card.md")
PARTS = ("folds", "external", "lesions", "stress")
_NOT_MEASURED = "This has not been measured yet."


def write_card(path: Path, rows: list[dict]) -> None:
    """Write the card; what has not been measured is said to be so.

    Args:
        path: Markdown file.
        rows: All measured scores; see `abdomen_ct.py`.
    """
    parts = by_part(rows)
    folds, external = parts["folds"], parts["external"]
    scored = [row for row in (*parts["lesions"], *external) if row["lesions"] is not None]
    values = {
        "folds": organ_table(folds) if folds else _NOT_MEASURED,
        "folds_steps": _steps(folds),
        "external": "\n\n".join(
            f"{source}:\n\n{organ_table(row for row in external if row['source'] == source)}"
            for source in dict.fromkeys(row["source"] for row in external)
        )
        or _NOT_MEASURED,
        "external_steps": _steps(external),
        "lesions": lesion_table(scored) if scored else _NOT_MEASURED,
        "stress": stress_table(parts["stress"], (*folds, *external))
        if parts["stress"]
        else _NOT_MEASURED,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(TEMPLATE.read_text("utf-8")).substitute(values), "utf-8")


def by_part(rows: list[dict]) -> dict[str, list[dict]]:
    """Return the rows of each part; parts without rows are empty."""
    return {name: [row for row in rows if row["part"] == name] for name in PARTS}


def _steps(rows: list[dict]) -> str:
    if not rows:
        return "not measured yet"
    networks = len({row["model"] for row in rows})
    steps = ", ".join(f"{one:,}" for one in sorted({row["steps"] for row in rows}))
    if networks == 1:
        return f"one network, {steps} steps"
    return f"{networks} networks, {steps} steps each"
