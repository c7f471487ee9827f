"""The split into training, validation and test cases: by patient, never by slice."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.choices import SIDES
from liverseg_tf.dataset.cases import natural_sort_key
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class SplitRule:
    """Settings of the split.

    Args:
        validation: Fraction of the patients used for validation, from 0 to below 1.
        test: Fraction of the patients used for the test, from 0 to below 1.
        seed: Seed of the random order of the patients.
        patient: Regular expression that finds the patient in the name of a case: its first
            group, or the whole match. None takes the patient that the files name (the PatientID
            of DICOM series); without one, every case is a patient.

    Raises:
        SettingsError: If the fractions are out of range or the expression is invalid.
    """

    validation: float = 0.15
    test: float = 0.15
    seed: int = 0
    patient: str | None = None

    def __post_init__(self) -> None:
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise SettingsError(
                "Expected fractions for validation and test of at least 0 each and less than 1 in "
                f"total. Received {self.validation:g} and {self.test:g}."
            )
        if self.patient is not None:
            try:
                re.compile(self.patient)
            except re.error as error:
                raise SettingsError(
                    f"Expected a regular expression for the patient. "
                    f"Received '{self.patient}' ({error})."
                ) from error


def split_cases(
    names: Sequence[str],
    rule: SplitRule,
    patients: Mapping[str, str] | None = None,
    known_sides: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Split cases so that all cases of a patient are on the same side.

    Fractions are rounded to whole patients. A side with a fraction above 0 gets at least one
    patient if one is left for training; the test side comes first. Patients whose side is known
    keep it; new patients first fill the test side, then the validation side, up to their fractions
    of all patients.

    Args:
        names: Names of the cases.
        rule: Settings of the split.
        patients: Patients by case name, as far as the files name them.
        known_sides: Sides of patients in an earlier split; see `find_sides`.

    Returns:
        Names in 'train', 'val' and 'test', in natural order. The same names and rule give the same
        split, whatever the order of `names`.

    Raises:
        SettingsError: If the expression for the patient does not match a name.
    """
    cases, order = _shuffle_patients(names, rule, patients or {})
    known = known_sides or {}
    groups = {side: [p for p in order if known.get(p) == side] for side in SIDES}
    new = [patient for patient in order if known.get(patient) not in SIDES]
    left = len(new) if groups["train"] else len(new) - 1  # one patient is needed for training
    total = len(order)
    wanted_test = _round_count(rule.test, total, total - 1)
    wanted_val = _round_count(rule.validation, total, total - 1 - wanted_test)
    n_test = max(0, min(wanted_test - len(groups["test"]), left))
    n_val = max(0, min(wanted_val - len(groups["val"]), left - n_test))
    groups["test"] += new[:n_test]
    groups["val"] += new[n_test : n_test + n_val]
    groups["train"] += new[n_test + n_val :]
    return {
        side: sorted(
            (name for patient in groups[side] for name in cases[patient]), key=natural_sort_key
        )
        for side in SIDES
    }


def find_sides(
    split: Mapping[str, Sequence[str]], rule: SplitRule, patients: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Find the side of each patient in a split.

    A patient whose cases are on several sides, as in splits that did not know the patients, is on
    the training side: a network may have learnt from some of the cases.

    Args:
        split: Names in 'train', 'val' and 'test'.
        rule: Settings of the split.
        patients: Patients by case name, as far as the files name them.
    """
    sides: dict[str, str] = {}
    for side in SIDES:
        for name in split.get(side, ()):
            patient = _find_patient(name, rule.patient, patients or {})
            sides[patient] = side if sides.get(patient, side) == side else "train"
    return sides


def combine_splits(splits: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, str]:
    """Find the side of each case in the splits of several runs, as in a cross-validation.

    A case from which one of the runs has learnt is a training case, and one on which one of them
    was validated is a validation case. Test cases are test cases in all splits that name them.

    Args:
        splits: Names in 'train', 'val' and 'test' of each run.

    Example:
        >>> combine_splits([{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}])
        {'a': 'train', 'b': 'train'}
    """
    sides: dict[str, str] = {}
    for split in splits:
        for side in SIDES:
            for name in split.get(side, ()):
                sides[name] = min(side, sides.get(name, side), key=SIDES.index)
    return sides


def split_for_fold(
    split: dict[str, list[str]],
    rule: SplitRule,
    fold: int,
    count: int,
    patients: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Split training and validation cases again, for one fold of a cross-validation.

    Over all folds, each case is used for validation once.

    Args:
        split: Names in 'train', 'val' and 'test'; the test side does not change.
        rule: Settings of the split; its fractions are ignored.
        fold: Number of the fold, from 1.
        count: Number of folds.
        patients: Patients by case name, as far as the files name them.

    Raises:
        SettingsError: If there is no such fold, or there are fewer patients than folds.
    """
    cases, order = _shuffle_patients([*split["train"], *split["val"]], rule, patients or {})
    if not 1 <= fold <= count or not 2 <= count <= len(order):
        raise SettingsError(
            f"Expected a fold of 2 to {len(order)} folds (the number of patients). "
            f"Received {fold} of {count}."
        )
    validated = {name for patient in order[fold - 1 :: count] for name in cases[patient]}
    sides = {"train": [], "val": [], "test": split["test"]}
    for name in sorted((n for names in cases.values() for n in names), key=natural_sort_key):
        sides["val" if name in validated else "train"].append(name)
    return sides


def _shuffle_patients(
    names: Sequence[str], rule: SplitRule, patients: Mapping[str, str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Cases by patient, and the patients in random order."""
    cases: dict[str, list[str]] = {}
    for name in sorted(names, key=natural_sort_key):
        cases.setdefault(_find_patient(name, rule.patient, patients), []).append(name)
    order = list(cases)
    np.random.default_rng(rule.seed).shuffle(order)
    return cases, order


def _round_count(fraction: float, total: int, at_most: int) -> int:
    count = max(1, round(fraction * total)) if fraction > 0 else 0
    return max(0, min(count, at_most))


def _find_patient(name: str, pattern: str | None, patients: Mapping[str, str]) -> str:
    if pattern is None:
        return patients.get(name, name)
    match = re.search(pattern, name)
    patient = match and match[min(1, match.re.groups)]
    if patient is None:
        raise SettingsError(
            f"Expected the patient expression '{pattern}' to match the name of every case. "
            f"Received {name}, which it does not match."
        )
    return patient
