"""The plan: every setting with its reason, as a function of fingerprint and machine."""

from collections.abc import Callable
from dataclasses import dataclass

from liverseg_tf.plan.duration_rules import plan_duration
from liverseg_tf.plan.fingerprint import Fingerprint, RegionSummary
from liverseg_tf.plan.machine import Machine
from liverseg_tf.plan.network_rules import plan_network
from liverseg_tf.plan.setting import REGION_SECTIONS, TILE_SECTIONS, Plan, Setting
from liverseg_tf.plan.tile_rules import plan_tiles, tile_spec_of
from liverseg_tf.plural import count
from liverseg_tf.tiles.memory import cutting_memory_bytes
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.settings import TrainSettings

_PROCESS_BYTES = 110e6  # Python with its libraries
_USABLE = 0.5  # of the memory of the machine, for all processes together
_MIN_CASES = 7  # so that 15 % of them are a case


@dataclass(frozen=True)
class Host:
    """What cuts the tiles.

    Args:
        cores: Number of worker processes that `preprocess` starts by default.
        memory_bytes: Memory of the machine; infinity if it is unknown.
    """

    cores: int
    memory_bytes: float


def make_plan(
    fingerprint: Fingerprint,
    machine: Machine,
    host: Host,
    estimate: Callable[[TileSpec, TrainSettings], float],
    minutes: float | None = None,
    channel: int | None = None,
) -> Plan:
    """Choose every setting.

    The result depends on the arguments only.

    Args:
        fingerprint: Fingerprint of the data set.
        machine: What trains.
        host: What cuts the tiles.
        estimate: Function from tiles and settings to the memory of a training step in bytes.
        minutes: Minutes of the training; None chooses epochs.
        channel: Volume to read from 4D images.
    """
    regions = [f"{name}={','.join(map(str, of))}" for name, of in fingerprint.regions.items]
    described = "; ".join(_describe(region, fingerprint) for region in fingerprint.summaries())
    tiles = plan_tiles(fingerprint, channel)
    spec = tile_spec_of(tiles, channel)
    assert spec.tile_shape is not None, "a plan has tiles of one shape"
    network = plan_network(
        fingerprint, machine, spec.tile_shape, minutes, lambda settings: estimate(spec, settings)
    )
    batch_size = int(network.value("batch-size"))  # type: ignore[arg-type]
    settings = (
        Setting("region", regions, described, REGION_SECTIONS),
        *tiles,
        *_limit_workers(fingerprint, spec, host),
        *network.settings,
        *plan_duration(fingerprint, machine.has_gpu, batch_size, minutes),
    )
    notes = list(network.notes)
    if len(fingerprint.cases) < _MIN_CASES:
        notes.append(
            f"{count(len(fingerprint.cases), 'case')} give hardly any for validation and test; "
            "see --val and --test of preprocess, and crossval."
        )
    return Plan(settings, tuple(notes))


def _describe(region: RegionSummary, fingerprint: Fingerprint) -> str:
    """Say which regions a region includes, and how many cases contain and label it."""
    inside = fingerprint.regions.nested_in(region.name)
    words = f"{region.name} with {', '.join(inside)}" if inside else region.name
    missing = f"{region.cases} of " if region.cases < region.labelled else ""
    words += f" in {missing}{count(region.labelled, 'case')}"
    total = len(fingerprint.cases)
    return words if region.labelled == total else f"{words} that label it, of {total}"


def _limit_workers(fingerprint: Fingerprint, spec: TileSpec, host: Host) -> list[Setting]:
    """Start fewer processes than usual if all of them together would not fit into the memory."""
    largest = _PROCESS_BYTES + max(
        cutting_memory_bytes(case.shape, case.spacing_mm, case.voxel_bytes, spec)
        for case in fingerprint.cases
    )
    if host.cores * largest <= _USABLE * host.memory_bytes:
        return []
    workers = max(1, int(_USABLE * host.memory_bytes / largest))
    if workers >= host.cores:
        return []
    reason = f"a process needs up to {largest / 1e9:.1f} GB for the largest case"
    return [Setting("workers", workers, reason, TILE_SECTIONS)]
