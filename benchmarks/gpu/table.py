"""The results of benchmarks/gpu.sh as one JSON and one table."""

from collections.abc import Mapping
from pathlib import Path

from plan import GROUPS, PRESETS, TRAINING_MINUTES, find_result
from results import read_results

from liverseg_tf.atomic import replacing, write_json

DRY_RUN = "dry run"  # in place of the name of a card
HEADER = ("what", "liverseg_tf", "peer, same call", "ratio", "target")


def write_tables(folder: Path, card: str) -> str:
    """Write `results.json` and `table.md` into a folder of results, and return the table."""
    results = read_results(folder)
    write_json(folder / "results.json", {"card": card, "results": results})
    note = "A dry run on tiny sizes: its figures mean nothing." if card == DRY_RUN else card
    text = f"{note}\n\n{make_table(results)}"
    with replacing(folder / "table.md") as partial:
        partial.write_text(text)
    return text


def make_table(results: list[dict]) -> str:
    """Return a Markdown table with a line for each row; see `plan.find_result`."""
    lines = [HEADER, ("---",) * len(HEADER)]
    for row in (row for group in GROUPS if "peer" not in group.name for row in group.rows):
        found, peer = find_result(results, row)
        matrix = find_result(results, f"matrix_{row.split('_')[1]}")[0] if "step" in row else None
        lines.append(_make_line(row, found, peer, matrix))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _make_line(
    row: str, found: Mapping | None, peer: Mapping | None, matrix: Mapping | None
) -> tuple[str, ...]:
    values = (found or {}).get("values")
    what, target = _describe(row, values or {})
    if found is None or values is None:
        reason = "not measured" if found is None else f"not measured: {found['error']}"
        return what, reason.replace("|", "/"), _tell_peer(peer), "", target
    ratio = ""
    if peer is not None and "values" in peer:
        ratio = f"{values['rate'] / peer['values']['rate']:.2f}"
    matrix_rate = None if matrix is None else matrix.get("values", {}).get("rate")
    return what, _tell(row, values, matrix_rate), _tell_peer(peer), ratio, target


def _describe(row: str, values: Mapping) -> tuple[str, str]:
    """Return the description of a row, and its target."""
    kind, *rest = row.split("_")
    backend = {"jax": "JAX", "torch": "PyTorch"}.get(rest[0] if rest else "", "")
    if kind == "matrix":
        return f"product of large bfloat16 matrices, {backend}", ""
    if kind == "step":
        side, batch = (values.get(name, rest[n]) for n, name in ((1, "side"), (2, "batch")))
        return f"training step on {backend}, bfloat16, {side}², batch {batch}", "1.0"
    if kind == "input":
        source, waiting = ("device", 5) if rest == ["cache"] else ("host", 10)
        return (
            f"training with augmentation, JAX, tiles on the {source}",
            f"5, waiting at most {waiting} %",
        )
    if kind == "memory":
        return f"GPU memory of `--preset {rest[0]}`, JAX", f"at most {PRESETS[rest[0]]} GB"
    if kind == "prediction":
        shape = " x ".join(map(str, reversed(values.get("shape", (200, 512, 512)))))
        return f"prediction of {shape} voxels, .nii.gz to .nii.gz, JAX", ""
    seconds = values.get("seconds", 60 * TRAINING_MINUTES)
    return f"training of {seconds:.0f} s, its start included, JAX", ""


def _tell(row: str, values: Mapping, matrix_rate: float | None) -> str:
    """Return the figures of a row as text."""
    kind = row.split("_")[0]
    if kind == "matrix":
        return f"{values['rate'] / 1e12:.3g} TFLOP/s"
    if kind == "memory":
        return f"{_memory(values) or 'unknown'}, batch {values['batch']}, {values['precision']}"
    if kind == "prediction":
        share = 100 * (1 - values["network_seconds"] / values["seconds"])
        first = f"{values['first_seconds']:.1f} s with compilation"
        parts = [f"{values['seconds']:.2f} s", f"{share:.0f} % outside the network", first]
        return ", ".join(filter(None, [*parts, _memory(values)]))
    if kind == "training":
        dice = ", ".join(f"{name} {value:.3f}" for name, value in values["dice"].items())
        cases = f"{values['training_cases']} training and {values['validation_cases']} validation"
        return f"Dice: {dice}; `{values['preset']}`, steps: {values['steps']}, {cases} cases"
    parts = [f"{values['rate']:,.4g} images/s"]
    if kind == "step":
        if matrix_rate:
            share = values["rate"] * values["flops_per_image"] / matrix_rate
            parts.append(f"{100 * share:.0f} % of the matrix rate")
        parts.append(f"first step after {values['start_seconds']:.0f} s")
    else:
        parts.append(f"waiting {100 * values['waiting']:.1f} %")
        if values["utilisation"] is not None:
            parts.append(f"GPU {100 * values['utilisation']:.0f} % busy")
    return ", ".join(filter(None, [*parts, _memory(values)]))


def _tell_peer(peer: Mapping | None) -> str:
    if peer is None:
        return ""
    if "values" not in peer:
        return str(peer["error"]).replace("|", "/")
    values = peer["values"]
    parts = [f"{values['rate']:,.4g} images/s", _memory(values)]
    if "start_seconds" in values:
        parts.append(f"first step after {values['start_seconds']:.0f} s")
    if "waiting" in values:
        parts.append(f"waiting {100 * values['waiting']:.1f} %")
    return f"{values['what']}: {', '.join(filter(None, parts))}"


def _memory(values: Mapping) -> str:
    gigabytes = values.get("gigabytes")
    return "" if gigabytes is None else f"{gigabytes:.2f} GB"
