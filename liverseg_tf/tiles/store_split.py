"""The split of a store, in which patients keep their sides when cases are added."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, replace

from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.split import SplitRule, find_sides, split_cases
from liverseg_tf.tiles.case_patients import patients_of
from liverseg_tf.tiles.store import TileStore


def draw_split(
    store: TileStore,
    earlier: TileStore,
    cases: Iterable[Case],
    failed: Collection[str],
    rule: SplitRule,
) -> TileStore:
    """Split the cases of a store; patients of an earlier split by the same rule keep their sides.

    Cases that other runs are still to cut take part, so that it does not matter which run ends
    first.

    Args:
        store: Store with the records of all complete cases.
        earlier: The same store before.
        cases: Cases of the data set.
        failed: Names of the cases that could not be cut.
        rule: Settings of the split.

    Returns:
        The store with its split and the sides of its patients.
    """
    patients = {case.name: case.patient for case in cases if case.patient is not None}
    patients |= patients_of(store.cases)
    names = {case.name for case in cases} - set(failed) | store.cases.keys()
    settings, known = asdict(rule), {}
    if earlier.split_rule == settings:
        known = earlier.sides | find_sides(earlier.split, rule, patients)
    drawn = split_cases(sorted(names), rule, patients, known)
    complete = {side: [n for n in names if n in store.cases] for side, names in drawn.items()}
    sides = known | find_sides(drawn, rule, patients)
    return replace(store, split=complete, split_rule=settings, sides=sides)
