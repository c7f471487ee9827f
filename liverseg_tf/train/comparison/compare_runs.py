"""What differs between runs, and whether their scores can be compared."""

from collections.abc import Sequence

from liverseg_tf.plural import count
from liverseg_tf.train.comparison.found_run import FoundRun

_UNKNOWN = "unknown"
_LONGEST = 60  # characters of a value


def find_differences(runs: Sequence[FoundRun]) -> list[str]:
    """Return the names of the facts that are not the same for all runs.

    Args:
        runs: Runs to compare.
    """
    names = dict.fromkeys(name for run in runs for name in run.facts)
    first = runs[0].facts
    return [
        name
        for name in names
        if any(_value(run, name) != first.get(name, _UNKNOWN) for run in runs)
    ]


def describe_facts(run: FoundRun, names: Sequence[str]) -> list[str]:
    """Describe some of the facts of a run, each as a text such as "context = 3"."""
    return [f"{name} = {_describe(_value(run, name))}" for name in names]


def find_obstacles(runs: Sequence[FoundRun]) -> list[str]:
    """Say why the Dice of runs cannot be compared; nothing is said if it can.

    Args:
        runs: Runs to compare.

    Returns:
        Sentences, the runs that are concerned by name.
    """
    trained = [run.name for run in runs if not run.has_validation_cases]
    notes = [
        f"{', '.join(trained)}: there were no validation cases; the Dice was measured on training "
        "cases."
    ] * bool(trained)
    cases = {run.name: frozenset(run.checksums) for run in runs}
    if len(set(cases.values())) > 1:
        sizes = ", ".join(f"{name}: {count(len(some), 'case')}" for name, some in cases.items())
        return [
            *notes,
            f"The runs were validated on different cases ({sizes}), so that their Dice cannot be "
            "compared.",
        ]
    if len({tuple(run.checksums.values()) for run in runs}) > 1:
        notes.append(
            "The validation cases have the same names, but other tiles or masks (spacing, window, "
            "labels), so that the Dice is not measured alike: compare masks with `liverseg "
            "evaluate`."
        )
    if len({tuple(sorted(run.dice)) for run in runs}) > 1:
        notes.append("The runs have different regions, so that their mean Dice is not comparable.")
    return notes


def _value(run: FoundRun, name: str) -> object:
    """Return a fact of a run; one that the run has not recorded is unknown."""
    return run.facts.get(name, _UNKNOWN)


def _describe(value: object) -> str:
    if isinstance(value, dict):
        items = (f"{name}={_describe(one).replace(', ', ',')}" for name, one in value.items())
        text = " ".join(items)
    elif isinstance(value, list):
        text = ", ".join(map(_describe, value))
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
