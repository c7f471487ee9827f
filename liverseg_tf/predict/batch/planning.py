"""Planning of a prediction run: which cases write the same files, and how many fit into memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


def find_shared_outputs(outputs: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """Find cases that would write the same file.

    Args:
        outputs: Paths of the output files by case name.

    Returns:
        Error message, one line, by case name.
    """
    owners: dict[Path, str] = {}
    failures = {}
    for name, paths in outputs.items():
        for path in paths:
            other = owners.setdefault(path, name)
            if other != name:
                for case in (other, name):
                    failures[case] = (
                        f"Expected different files for each case. Received {path} for {other} and "
                        f"for {name}: predict them into different folders. (case {case})"
                    )
    return failures


def split_by_memory(
    items: Sequence[Item], gigabytes: Callable[[Item], float], limit_gb: float
) -> Iterator[list[Item]]:
    """Split cases into groups in which two neighbours fit into memory together.

    Args:
        items: Cases in their order, which is kept.
        gigabytes: Function that returns the memory of a case.
        limit_gb: Memory for two cases.

    Yields:
        Cases that may run one after another with reading and writing in the background.
    """
    group: list[Item] = []
    for item in items:
        if group and gigabytes(group[-1]) + gigabytes(item) > limit_gb:
            yield group
            group = []
        group.append(item)
    if group:
        yield group
