"""Tables of the scores of `abdomen-ct`, in Markdown. They name no case: cards show them, too."""

import math
import statistics
from collections.abc import Iterable

MIN_LESION_MM = 10.0
_SIZES = ((0.0, 10.0, "below 10 mm"), (10.0, 20.0, "10 to 20 mm"), (20.0, math.inf, "above 20 mm"))


def organ_table(rows: Iterable[dict]) -> str:
    """Return the scores of each region over cases; cases without the region do not count."""
    lines = [
        "| region | cases | Dice: mean | median | lowest | NSD at 2 mm | HD95, median | "
        "volume error, mean |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found = [score for row in rows for score in row["regions"] if score["truth_ml"]]
    for region in dict.fromkeys(score["region"] for score in found):
        own = [score for score in found if score["region"] == region]
        dice = [score["dice"] for score in own]
        # an empty mask has no distance: it counts as an infinite one
        hd95 = [math.inf if score["hd95"] is None else score["hd95"] for score in own]
        errors = [abs(one["prediction_ml"] / one["truth_ml"] - 1) * 100 for one in own]
        lines.append(
            f"| {region} | {len(own)} | {statistics.mean(dice):.3f} | "
            f"{statistics.median(dice):.3f} | {min(dice):.3f} | "
            f"{statistics.mean(one['nsd'] or 0 for one in own):.3f} | "
            f"{statistics.median(hd95):.1f} mm | {statistics.mean(errors):.1f} % |"
        )
    return "\n".join(lines)


def lesion_table(rows: Iterable[dict]) -> str:
    """Return the detection of tumours, in cases that label them, by source.

    A lesion is found if a predicted one overlaps it, and a predicted one is false if it overlaps
    none.
    """
    lines = [
        f"| cases | n | {' | '.join(f'found, {name}' for *_, name in _SIZES)} | "
        f"recall above {MIN_LESION_MM:.0f} mm | precision above {MIN_LESION_MM:.0f} mm | "
        "false ones a case |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = [row for row in rows if row["lesions"] is not None]
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        truths = [one for row in own for one in row["lesions"]["truths"]]
        predictions = [
            one
            for row in own
            for one in row["lesions"]["predictions"]
            if one["mm"] >= MIN_LESION_MM
        ]
        large = [one["found"] for one in truths if one["mm"] >= MIN_LESION_MM]
        false = sum(not one["true"] for one in predictions)
        cells = []
        for low, high, _ in _SIZES:
            sized = [one["found"] for one in truths if low <= one["mm"] < high]
            cells.append(f"{sum(sized)} of {len(sized)}")
        lines.append(
            f"| {source} | {len(own)} | {' | '.join(cells)} | {_share(sum(large), len(large))} | "
            f"{_share(len(predictions) - false, len(predictions))} | {false / len(own):.1f} |"
        )
    return "\n".join(lines)


def stress_table(rows: Iterable[dict], plain: Iterable[dict]) -> str:
    """Return the answers to altered and unsuitable images, with the warnings of the program.

    Args:
        rows: Scores of such images.
        plain: Scores of the cases from which they were made, as they are. Warnings of these are not
            counted.
    """
    plain = list(plain)
    before = {row["case"]: liver_dice(row) for row in plain}
    usual = {row["case"]: row["warnings"] for row in plain}  # they are not about the alteration
    lines = [
        "| image | cases | Dice of the liver | lowest | of the same cases as they are | "
        "liver where none is, median | with a warning |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = list(rows)
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        scored = [row for row in own if liver_dice(row) is not None]
        dice = [liver_dice(row) for row in scored]
        same = [before[row["case"]] for row in scored if before.get(row["case"]) is not None]
        empty = [row for row in own if row not in scored and not row["failure"]]
        refused = sum(bool(row["failure"]) for row in own)
        warned = sum(bool({*row["warnings"]} - {*usual.get(row["case"], ())}) for row in own)
        cells = [
            f"{statistics.mean(dice):.3f}" if dice else "",
            f"{min(dice):.3f}" if dice else "",
            f"{statistics.mean(same):.3f}" if len(same) == len(dice) and dice else "",
            f"{statistics.median(_volume_of(row, 'liver') for row in empty):.0f} ml"
            if empty
            else "",
            f"{warned} of {len(own)}" + (f", {refused} refused" if refused else ""),
        ]
        lines.append(f"| {kind} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def warning_list(rows: Iterable[dict]) -> str:
    """Return what the program said about each kind of image."""
    lines = []
    for row in rows:
        for text in (*row["warnings"], *filter(None, [row["failure"]])):
            lines.append(f"{row['kind']} ({row['case']}): {text}")
    return "\n".join(dict.fromkeys(lines))


def worst_cases(rows: Iterable[dict], count: int = 3) -> str:
    """Return the cases with the lowest Dice of each region."""
    rows, lines = list(rows), []
    for region in dict.fromkeys(score["region"] for row in rows for score in row["regions"]):
        found = [(_dice_of(row, region), row["case"]) for row in rows]
        lowest = sorted(one for one in found if one[0] is not None)[:count]
        if not lowest:
            continue
        lines.append(f"{region}: " + ", ".join(f"{case} {dice:.3f}" for dice, case in lowest))
    return "\n".join(lines)


def liver_dice(row: dict) -> float | None:
    """Return the Dice of the liver; None if the image has none, or no mask was written."""
    return _dice_of(row, "liver")


def _dice_of(row: dict, region: str) -> float | None:
    found = (one for one in row["regions"] if one["region"] == region and one["truth_ml"])
    return next((one["dice"] for one in found), None)


def _volume_of(row: dict, region: str) -> float:
    return next((one["prediction_ml"] for one in row["regions"] if one["region"] == region), 0.0)


def _share(part: int, total: int) -> str:
    return f"{part / total:.2f} ({part} of {total})" if total else ""
