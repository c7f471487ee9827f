"""The split into training, validation and test cases: by patient, never by slice."""

import re
from collections.abc import Sequence
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
            group, or the whole match. None if every case is a patient.

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


def split_cases(names: Sequence[str], rule: SplitRule) -> dict[str, list[str]]:
    """Split cases so that all cases of a patient are on the same side.

    Fractions are rounded to whole patients. A side with a fraction above 0 gets at least one
    patient if one is left for training; the test side comes first.

    Args:
        names: Names of the cases.
        rule: Settings of the split.

    Returns:
        Names in 'train', 'val' and 'test', in natural order. The same names and rule give the same
        split, whatever the order of `names`.

    Raises:
        SettingsError: If the expression for the patient does not match a name.
    """
    patients, order = _shuffle_patients(names, rule)
    n_test = _round_count(rule.test, len(order), len(order) - 1)
    n_val = _round_count(rule.validation, len(order), len(order) - 1 - n_test)
    groups = {
        "test": order[:n_test],
        "val": order[n_test : n_test + n_val],
        "train": order[n_test + n_val :],
    }
    return {
        side: sorted(
            (name for patient in groups[side] for name in patients[patient]), key=natural_sort_key
        )
        for side in SIDES
    }


def split_for_fold(
    split: dict[str, list[str]], rule: SplitRule, fold: int, count: int
) -> dict[str, list[str]]:
    """Split training and validation cases again, for one fold of a cross-validation.

    Over all folds, each case is used for validation once.

    Args:
        split: Names in 'train', 'val' and 'test'; the test side does not change.
        rule: Settings of the split; its fractions are ignored.
        fold: Number of the fold, from 1.
        count: Number of folds.

    Raises:
        SettingsError: If there is no such fold, or there are fewer patients than folds.
    """
    patients, order = _shuffle_patients([*split["train"], *split["val"]], rule)
    if not 1 <= fold <= count or not 2 <= count <= len(order):
        raise SettingsError(
            f"Expected a fold of 2 to {len(order)} folds (the number of patients). "
            f"Received {fold} of {count}."
        )
    validated = {name for patient in order[fold - 1 :: count] for name in patients[patient]}
    sides = {"train": [], "val": [], "test": split["test"]}
    for name in sorted((n for names in patients.values() for n in names), key=natural_sort_key):
        sides["val" if name in validated else "train"].append(name)
    return sides


def _shuffle_patients(
    names: Sequence[str], rule: SplitRule
) -> tuple[dict[str, list[str]], list[str]]:
    """Cases by patient, and the patients in random order."""
    patients: dict[str, list[str]] = {}
    for name in sorted(names, key=natural_sort_key):
        patients.setdefault(_find_patient(name, rule.patient), []).append(name)
    order = list(patients)
    np.random.default_rng(rule.seed).shuffle(order)
    return patients, order


def _round_count(fraction: float, total: int, at_most: int) -> int:
    count = max(1, round(fraction * total)) if fraction > 0 else 0
    return max(0, min(count, at_most))


def _find_patient(name: str, pattern: str | None) -> str:
    if pattern is None:
        return name
    match = re.search(pattern, name)
    patient = match and match[min(1, match.re.groups)]
    if patient is None:
        raise SettingsError(
            f"Expected the patient expression '{pattern}' to match the name of every case. "
            f"Received {name}, which it does not match."
        )
    return patient
