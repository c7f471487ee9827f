"""Estimate of what preprocessing takes: disk space, memory of a process, and time."""

import math
import time
from dataclasses import dataclass

from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.check_cases import CheckResult
from liverseg_tf.dataset.check.issues import ERROR
from liverseg_tf.dataset.check.measurements import CaseMeasurements
from liverseg_tf.dataset.reading import read_case
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.memory import cutting_memory_bytes, tile_bytes
from liverseg_tf.tiles.spec import TileSpec

_RECORD_BYTES = 4096  # headers of an HDF5 file and the record of a case
_PROCESS_BYTES = 110e6  # Python with its libraries
_START_SECONDS = 2  # start of the worker processes


@dataclass(frozen=True)
class StoreEstimate:
    """What preprocessing takes.

    Args:
        store_bytes: Size of the tiles on the disk; compressed tiles and PNG take less.
        process_bytes: Memory of the largest process.
        seconds: Computing time of a single process: measured reading times, plus cutting at the
            speed that was measured on one case.
    """

    store_bytes: int
    process_bytes: int
    seconds: float

    def seconds_with(self, processes: int) -> float:
        """Wall-clock time with a number of processes, each on its own core."""
        return _START_SECONDS + self.seconds / processes


def estimate_store(cases: list[Case], checked: CheckResult, spec: TileSpec) -> StoreEstimate | None:
    """Estimate what preprocessing takes, with the time measured on one case of medium size.

    Args:
        cases: Cases of the data set.
        checked: Result of their check; cases with errors are left out, as `preprocess` refuses
            them.
        spec: Settings of the tiles.

    Returns:
        None if no case can be cut.
    """
    bad = {issue.case for issue in checked.issues if issue.severity == ERROR}
    if None in bad:  # the data set as a whole is refused
        return None
    usable = [case for case in cases if case.name in checked.measurements.keys() - bad]
    if not usable:
        return None
    measured = [checked.measurements[case.name] for case in usable]
    usable.sort(key=lambda case: math.prod(checked.measurements[case.name].shape))
    try:
        seconds_per_voxel = _time_cutting(usable[len(usable) // 2], spec)
    except LiverSegError:
        return None
    return StoreEstimate(
        store_bytes=sum(
            tile_bytes(case.shape, case.spacing_mm, spec) + _RECORD_BYTES for case in measured
        ),
        process_bytes=int(_PROCESS_BYTES + max(_memory(case, spec) for case in measured)),
        seconds=sum(case.seconds + math.prod(case.shape) * seconds_per_voxel for case in measured),
    )


def _time_cutting(case: Case, spec: TileSpec) -> float:
    """Cut the tiles of a case and return the seconds per voxel."""
    image, mask = read_case(case, spec.channel)
    started = time.perf_counter()
    cut_tiles(image, mask, spec)
    return (time.perf_counter() - started) / image.array.size


def _memory(case: CaseMeasurements, spec: TileSpec) -> float:
    return cutting_memory_bytes(case.shape, case.spacing_mm, case.voxel_bytes, spec)
