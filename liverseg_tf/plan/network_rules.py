"""Rules for context, network and batch, from the fingerprint and the memory of the machine.

They start from the training presets: `accurate` on a GPU and `fast` elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

from liverseg_tf.plan.fingerprint import Fingerprint, RegionSummary
from liverseg_tf.plan.machine import Machine
from liverseg_tf.plan.setting import Plan, Setting
from liverseg_tf.train.settings import TrainSettings

_MIN_SLICES = 3  # of a volume with context
_MAX_NEIGHBOUR_MM = 10.0  # farther slices show other anatomy
_RARE_SHARE = 0.25  # of the slices
_MANY_FOREGROUND = 0.67
_MIN_GPU_MINUTES = 15.0  # below, compiling a large network takes too much of the time
_MIN_BOTTLENECK = 3  # pixels of the shorter side of the tile at the lowest level
_DEPTH = 4

_ACCURATE: dict[str, Any] = {
    "context": 5,
    "context_spacing_mm": 3.0,
    "patch": 1,
    "base_filters": 32,
    "residual": True,
    "deep_supervision": 3,
    "batch_size": 12,
}
_FAST: dict[str, Any] = {
    "context": 3,
    "context_spacing_mm": 4.0,
    "patch": 2,
    "base_filters": 16,
    "batch_size": 8,
}
# from the largest to the smallest; each is tried until one fits into the memory
_SMALLER_FAST = (
    _FAST,
    _FAST | {"batch_size": 4},
    _FAST | {"batch_size": 2},
    _FAST | {"batch_size": 2, "base_filters": 8},
)
_SMALLER_ACCURATE = (
    _ACCURATE,
    _ACCURATE | {"batch_size": 8},
    _ACCURATE | {"batch_size": 4},
    _ACCURATE | {"batch_size": 4, "base_filters": 16},
)


def plan_network(
    fingerprint: Fingerprint,
    machine: Machine,
    tile: tuple[int, int],
    minutes: float | None,
    estimate: Callable[[TrainSettings], float],
) -> Plan:
    """Choose context, network, batch and sampling.

    Args:
        fingerprint: Fingerprint of the data set.
        machine: What trains.
        tile: Shape (rows, cols) of the tiles.
        minutes: Minutes of the training; None if they are not limited.
        estimate: Function from settings to the memory of a training step in bytes.

    Returns:
        The settings, and a note if even the smallest network may not fit.
    """
    is_accurate = machine.has_gpu and (minutes is None or minutes >= _MIN_GPU_MINUTES)
    recipes = [*_SMALLER_ACCURATE, *_SMALLER_FAST] if is_accurate else list(_SMALLER_FAST)
    preset = "accurate" if is_accurate else "fast"
    context, reason_of_context = _choose_context(fingerprint, recipes[0])
    for recipe in recipes:
        values = {**recipe, "context": context}
        if context == 1:
            del values["context_spacing_mm"]
        values["depth"] = _choose_depth(tile, recipe["patch"])
        needed = estimate(TrainSettings(regions=fingerprint.regions, **values))
        if needed <= machine.usable_bytes:
            break
    notes = []
    if needed > machine.usable_bytes:
        notes.append(
            f"A training step needs about {needed / 1e9:.1f} GB, more than "
            f"{machine.usable_bytes / 1e9:.1f} GB of {machine}: use a larger --spacing."
        )
    settings = [Setting("context", context, reason_of_context)]
    if context > 1:
        settings.append(_explain_context_spacing(fingerprint, values["context_spacing_mm"]))
    settings += _explain_network(values, recipes[0], preset, needed, machine)
    if values["depth"] != _DEPTH:
        settings.append(
            Setting("depth", values["depth"], f"tiles of {tile[0]} x {tile[1]} pixels are small")
        )
    foreground = _choose_foreground(fingerprint, is_accurate)
    return Plan((*settings, *foreground), tuple(notes))


def _choose_context(fingerprint: Fingerprint, recipe: Mapping[str, Any]) -> tuple[int, str]:
    _, middle, _ = fingerprint.slice_mm
    if all(case.shape[0] < _MIN_SLICES for case in fingerprint.cases):
        return 1, "the volumes have one or two slices"
    if middle > _MAX_NEIGHBOUR_MM:
        return 1, f"slices are {middle:.3g} mm apart: neighbours show other anatomy"
    context = recipe["context"]
    return context, f"the slice and its neighbours; slices are {middle:.3g} mm apart"


def _explain_context_spacing(fingerprint: Fingerprint, spacing_mm: float) -> Setting:
    nearest, _, farthest = fingerprint.slice_mm
    apart = f"{nearest:.3g} to {farthest:.3g} mm" if nearest < farthest else f"{nearest:.3g} mm"
    steps = sorted({max(1, round(spacing_mm / case.spacing_mm[0])) for case in fingerprint.cases})
    taken = "adjacent slices" if steps == [1] else f"up to every {_ordinal(steps[-1])} slice"
    reason = f"the same distance in every scan: slices are {apart} apart, so {taken}"
    return Setting("context-spacing-mm", spacing_mm, reason)


def _ordinal(number: int) -> str:
    endings = {2: "2nd", 3: "3rd"}
    return endings.get(number, f"{number}th")


def _choose_depth(tile: tuple[int, int], patch: int) -> int:
    depth = _DEPTH
    while depth > 1 and min(tile) < _MIN_BOTTLENECK * patch * 2**depth:
        depth -= 1
    return depth


def _explain_network(
    values: dict[str, Any],
    wanted: dict[str, Any],
    preset: str,
    needed: float,
    machine: Machine,
) -> list[Setting]:
    """Return the settings of the network and the batch with their reasons."""
    memory = f"about {needed / 1e9:.1f} of {machine.usable_bytes / 1e9:.1f} usable GB"
    why = (
        f"as in the preset {preset}, which was measured" if preset == "fast" else "preset accurate"
    )
    less = f"less than in the preset {preset}, so that it fits into the memory"
    reasons = {
        "patch": (
            f"{why}; three times as many slices per second"
            if values["patch"] > 1
            else "full resolution: a GPU has the time"
        ),
        "base_filters": why if values["base_filters"] == wanted["base_filters"] else less,
        "residual": why,
        "deep_supervision": why,
        "batch_size": memory
        if values["batch_size"] == wanted["batch_size"]
        else f"{memory}; {less}",
    }
    return [
        Setting(name.replace("_", "-"), values[name], reason)
        for name, reason in reasons.items()
        if name in values
    ]


def _choose_foreground(fingerprint: Fingerprint, is_accurate: bool) -> list[Setting]:
    """Draw more slices with regions if one of them is rare; `fast` does so in any case."""
    rarest = min(fingerprint.summaries(), key=lambda region: region.slice_share)
    if rarest.slice_share < _RARE_SHARE:
        reason = f"{_describe_share(rarest)}; two thirds of a batch contain a region"
    elif is_accurate:
        return []
    else:
        reason = "as in the preset fast: small regions are found sooner"
    return [Setting("foreground-fraction", _MANY_FOREGROUND, reason)]


def _describe_share(region: RegionSummary) -> str:
    percent = 100 * region.slice_share
    return f"{region.name} is in {f'{percent:.0f}' if percent >= 1 else 'less than 1'} % of slices"
