"""Tables of the contest, in Markdown: scores, paired differences, ablations and organs."""

import math
import statistics
from collections.abc import Iterable

from contest.folds import FOLDS
from liverseg_tf.bootstrap import bootstrap_interval

TITLES = {"ours": "liverseg_tf", "monai": "MONAI's 2D U-Net", "nnunet": "nnU-Net v2, 2D"}
Key = tuple[int, str]  # fold, case: an external case occurs in every fold


def by_case(rows: Iterable[dict], region: str, score: str = "dice") -> dict[Key, float]:
    """Collect a score of a region by fold and case; undefined scores are left out."""
    return {
        (row["fold"], case["case"]): case[score]
        for row in rows
        for case in row["cases"]
        if case["region"] == region and case[score] is not None
    }


def select(rows: list[dict], **identity) -> list[dict]:
    return [row for row in rows if all(row[name] == value for name, value in identity.items())]


def score_table(rows: list[dict], sources: dict[str, str], region: str = "liver") -> str:
    """Scores of each contestant in the cases of the folds and in each external case.

    Args:
        rows: Trainings of one task and one length.
        sources: Source of each case: the data set of the folds, or an external one.
        region: Region that is scored.
    """
    lines = [
        "| cases | | folds | images/s | Dice: mean | median | lowest | NSD 2 mm | HD95, median | "
        "volume error, mean | ",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for source in dict.fromkeys(sources.values()):
        for name in TITLES:
            chosen = _of_source(select(rows, contestant=name, variant="default"), sources, source)
            dice = by_case(chosen, region)
            if not dice:
                continue
            worst = min(dice, key=dice.__getitem__)
            nsd = statistics.mean(by_case(chosen, region, "nsd").values())
            # an empty mask has no distance: it counts as an infinite one
            known = by_case(chosen, region, "hd95")
            hd95 = statistics.median(known.get(key, math.inf) for key in dice)
            error = statistics.mean(
                abs(value) for value in by_case(chosen, region, "difference_percent").values()
            )
            values = dice.values()
            rate = statistics.mean(row["images_per_second"] for row in chosen)
            lines.append(
                f"| {source} | {TITLES[name]} | {len(chosen)} of {FOLDS} | {rate:.1f} | "
                f"{_dice(statistics.mean(values))} | {_dice(statistics.median(values))} | "
                f"{_dice(dice[worst])} ({worst[1]}) | {_dice(nsd)} | {hd95:.1f} mm | "
                f"{error:.1f} % |"
            )
    return "\n".join(lines)


def difference_table(rows: list[dict], sources: dict[str, str], region: str = "liver") -> str:
    """Ours beside each peer in the cases that both have: ratio of the errors and differences."""
    lines = [
        "| cases | peer | n | error (1 - Dice): ours, peer | ratio | mean difference of Dice, 95 % "
        "interval | better in | lowest Dice: ours, peer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for source in dict.fromkeys(sources.values()):
        own = _of_source(select(rows, contestant="ours", variant="default"), sources, source)
        for name in ("monai", "nnunet"):
            other = _of_source(select(rows, contestant=name), sources, source)
            line = compare(by_case(own, region), by_case(other, region))
            if line:
                lines.append(f"| {source} | {TITLES[name]} | {line} |")
    return "\n".join(lines)


def compare(ours: dict[Key, float], other: dict[Key, float]) -> str:
    """Cells of a line that compares two contestants in the cases that both have."""
    keys = sorted(ours.keys() & other.keys())
    if not keys:
        return ""
    mine, theirs = ([scores[key] for key in keys] for scores in (ours, other))
    errors = [1 - statistics.mean(values) for values in (mine, theirs)]
    ratio = errors[0] / errors[1] if errors[1] else math.nan
    difference, interval = paired(ours, other)
    better = sum(a > b for a, b in zip(mine, theirs, strict=True))
    return (
        f"{len(keys)} | {_dice(errors[0])}, {_dice(errors[1])} | {ratio:.2f} | "
        f"{difference:+.4f}{interval} | {better} of {len(keys)} | "
        f"{_dice(min(mine))}, {_dice(min(theirs))}"
    )


def paired(ours: dict[Key, float], other: dict[Key, float]) -> tuple[float, str]:
    """Mean difference, and its bootstrap interval over patients.

    An external case that was predicted in several folds counts once, with its mean difference:
    only patients are drawn, so that repeated predictions do not narrow the interval.
    """
    of_case: dict[str, list[float]] = {}
    for key in sorted(ours.keys() & other.keys()):
        of_case.setdefault(key[1], []).append(ours[key] - other[key])
    differences = [statistics.mean(values) for values in of_case.values()]
    low, high = bootstrap_interval(differences)
    interval = "" if math.isnan(low) else f" ({low:+.4f} to {high:+.4f})"
    return statistics.mean(differences), interval


def ablation_table(rows: list[dict], sources: dict[str, str], region: str = "liver") -> str:
    """Variants of ours beside the default in the same folds and minutes."""
    lines = [
        "| variant | cases | n | images/s | Dice: mean | lowest | difference to the default, "
        "95 % interval | better in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    own = select(rows, contestant="ours")
    for minutes in sorted({row["minutes"] for row in own if row["variant"] != "default"}):
        chosen = select(own, minutes=minutes)
        folds = {row["fold"] for row in chosen if row["variant"] != "default"}
        for variant in sorted(
            {row["variant"] for row in chosen}, key=lambda name: (name != "default", name)
        ):
            for source in dict.fromkeys(sources.values()):
                runs = [row for row in select(chosen, variant=variant) if row["fold"] in folds]
                cases = _of_source(runs, sources, source)
                scores = by_case(cases, region)
                if not scores:
                    continue
                base = by_case(
                    _of_source(select(chosen, variant="default"), sources, source), region
                )
                text, better = "", ""
                if variant != "default" and scores.keys() & base.keys():
                    difference, interval = paired(scores, base)
                    common = scores.keys() & base.keys()
                    text = f"{difference:+.4f}{interval}"
                    better = f"{sum(scores[key] > base[key] for key in common)} of {len(common)}"
                rate = statistics.mean(row["images_per_second"] for row in cases)
                lines.append(
                    f"| {variant}, {minutes:g} min | {source} | {len(scores)} | {rate:.1f} | "
                    f"{_dice(statistics.mean(scores.values()))} | {_dice(min(scores.values()))} | "
                    f"{text} | {better} |"
                )
    return "\n".join(lines)


def organ_table(rows: list[dict], sources: dict[str, str]) -> str:
    """Mean Dice of each organ in the cases of the folds, and the paired differences."""
    first = next(iter(sources.values()), "")
    runs = {
        name: _of_source(select(rows, contestant=name, variant="default"), sources, first)
        for name in TITLES
    }
    names = [name for name in TITLES if runs[name]]
    regions = dict.fromkeys(case["region"] for row in rows for case in row["cases"])
    lines = [
        f"| organ | n | {' | '.join(TITLES[name] for name in names)} | "
        "difference to MONAI, 95 % interval |",
        "|---|---|" + "---|" * (len(names) + 1),
    ]
    for region in regions:
        scores = {name: by_case(runs[name], region) for name in names}
        common = set.intersection(*(set(one) for one in scores.values())) if scores else set()
        if not common:
            continue
        means = [_dice(statistics.mean(scores[name][key] for key in common)) for name in names]
        text = ""
        if {"ours", "monai"} <= scores.keys():
            difference, interval = paired(scores["ours"], scores["monai"])
            text = f"{difference:+.3f}{interval}"
        lines.append(f"| {region} | {len(common)} | {' | '.join(means)} | {text} |")
    return "\n".join(lines)


def _of_source(rows: list[dict], sources: dict[str, str], source: str) -> list[dict]:
    """Keep the cases of a source."""
    kept = [
        {**row, "cases": [case for case in row["cases"] if sources.get(case["case"]) == source]}
        for row in rows
    ]
    return [row for row in kept if row["cases"]]


def _dice(value: float) -> str:
    return f"{value:.3f}"
