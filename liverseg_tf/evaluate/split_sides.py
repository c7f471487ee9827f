"""The sides of the split to which scored cases belong: which of them a model has learnt from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from liverseg_tf.dataset.split import combine_splits
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.plural import count, name_some
from liverseg_tf.printable import printable


@dataclass(frozen=True)
class SplitSides:
    """The split of a store, a run or several runs.

    Args:
        source: Path of the store or the runs, for people.
        sides: Side of each case: train, val or test.
    """

    source: str
    sides: Mapping[str, str]

    @classmethod
    def combine(cls, source: str, splits: Iterable[Mapping[str, Sequence[str]]]) -> "SplitSides":
        """Combine the splits of one or several runs; see `dataset.split.combine_splits`.

        Args:
            source: Path of the runs or the store, for people.
            splits: Names of cases by side.
        """
        sides = combine_splits(splits)
        return cls(source, {printable(name): side for name, side in sides.items()})

    def select(self, pairs: list[Pair], side: str) -> list[Pair]:
        """Select the pairs of the cases on one side.

        Args:
            pairs: Pairs from `find_pairs`.
            side: train, val or test.

        Returns:
            One pair for each case on this side. A case without a ground truth has a pair without
            files, so that it is counted.

        Raises:
            SettingsError: If no case with a ground truth is on this side.
        """
        names = [name for name, other in self.sides.items() if other == side]
        known = {pair.case: pair for pair in pairs}
        with_truth = {name for name in names if name in known and known[name].truth is not None}
        if not with_truth:
            raise SettingsError(
                f"Expected a ground truth for the {side} cases of {self.source} "
                f"({name_some(names) or 'it has none'}). Received {name_some(known)}."
            )
        return [known[name] if name in with_truth else Pair(name) for name in names]


def describe_learnt_cases(cases: Mapping[str, str], source: str) -> list[str]:
    """Warn of scores that say nothing about new patients.

    Args:
        cases: Side of each scored case, as far as it is known; an empty text if it is not.
        source: The model, for people.

    Returns:
        Warnings, one line each.
    """
    texts = {
        "train": ("training case", "a model that has learnt from them"),
        "val": ("validation case", "a model whose epoch and thresholds were chosen on them"),
    }
    warnings = []
    for side, (noun, model) in texts.items():
        names = [name for name, other in cases.items() if other == side]
        if names:
            what = f"is a {noun}" if len(names) == 1 else f"are {noun}s"
            warnings.append(
                f"{len(names)} of {count(len(cases), 'scored case')} {what} of {source} "
                f"({name_some(names)}): {model} has higher scores there than on new patients. "
                "Score test cases only (--side test --split RUN)."
            )
    return warnings
