"""Train, validation and test: by patient, never by slice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.dataset.cases import natural_order
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class SplitRule:
    """How cases are divided.

    Args:
        validation: share of the patients to validate on, 0 to < 1.
        test: share of the patients kept for the test, 0 to < 1.
        seed: of the draw.
        patient: regular expression whose first group (or whole match) in a case's name is the
            patient; None where every case is a patient of its own.
    """

    validation: float = 0.15
    test: float = 0.15
    seed: int = 0
    patient: str | None = None

    def __post_init__(self) -> None:
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise SettingsError(
                "Expected shares for validation and test of at least 0 and less than 1 together. "
                f"Received {self.validation:g} and {self.test:g}."
            )
        if self.patient is not None:
            try:
                re.compile(self.patient)
            except re.error as error:
                raise SettingsError(
                    f"Expected a regular expression for the patient. "
                    f"Received {self.patient!r} ({error})."
                ) from error


def split_cases(names: Sequence[str], rule: SplitRule) -> dict[str, list[str]]:
    """Divide cases so that no patient stands on two sides.

    Shares are rounded to whole patients. A share above 0 gets at least one patient where that
    leaves one to train on, the test before the validation.

    Args:
        names: of the cases.
        rule: the shares, the seed and what a patient is.

    Returns:
        'train', 'val' and 'test', each a list of names in natural order. The same names and
        rule give the same split, whatever the order of `names`.

    Raises:
        SettingsError: when the patient's expression does not match a name.
    """
    patients, order = _patients(names, rule)
    n_test = _count(rule.test, len(order), len(order) - 1)
    n_val = _count(rule.validation, len(order), len(order) - 1 - n_test)
    groups = {
        "test": order[:n_test],
        "val": order[n_test : n_test + n_val],
        "train": order[n_test + n_val :],
    }
    return {
        side: sorted((n for p in groups[side] for n in patients[p]), key=natural_order)
        for side in ("train", "val", "test")
    }


def fold_split(
    split: dict[str, list[str]], rule: SplitRule, fold: int, count: int
) -> dict[str, list[str]]:
    """Divide training and validation cases anew, for one of several folds.

    Over all folds each case is validated once, by a model that has seen none of its patient's.

    Args:
        split: 'train', 'val' and 'test'; the test side stays.
        rule: the seed and what a patient is.
        fold: from 1.
        count: of the folds.

    Raises:
        SettingsError: when there is no such fold, or there are fewer patients than folds.
    """
    patients, order = _patients([*split["train"], *split["val"]], rule)
    if not 1 <= fold <= count or not 2 <= count <= len(order):
        raise SettingsError(
            f"Expected a fold of 2 to {len(order)}, as many as there are patients. "
            f"Received {fold} of {count}."
        )
    held = {name for patient in order[fold - 1 :: count] for name in patients[patient]}
    sides = {"train": [], "val": [], "test": split["test"]}
    for name in sorted((n for of in patients.values() for n in of), key=natural_order):
        sides["val" if name in held else "train"].append(name)
    return sides


def _patients(names: Sequence[str], rule: SplitRule) -> tuple[dict[str, list[str]], list[str]]:
    """Cases by patient, and the patients in the order of the draw."""
    patients: dict[str, list[str]] = {}
    for name in sorted(names, key=natural_order):
        patients.setdefault(_patient(name, rule.patient), []).append(name)
    order = list(patients)
    np.random.default_rng(rule.seed).shuffle(order)
    return patients, order


def _count(share: float, total: int, at_most: int) -> int:
    wanted = max(1, round(share * total)) if share > 0 else 0
    return max(0, min(wanted, at_most))


def _patient(name: str, pattern: str | None) -> str:
    if pattern is None:
        return name
    match = re.search(pattern, name)
    patient = match and match[min(1, match.re.groups)]
    if patient is None:
        raise SettingsError(
            f"Expected the patient expression {pattern!r} to match every case name. "
            f"Received {name}."
        )
    return patient
