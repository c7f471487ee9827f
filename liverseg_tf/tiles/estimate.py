"""What preprocessing will take: bytes on the disk, memory of a process, and time."""

import time
from dataclasses import dataclass

from liverseg_tf.ct.resample import PlaneResampler
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.checks import CheckResult
from liverseg_tf.dataset.check.measurements import CaseMeasures
from liverseg_tf.dataset.check.remarks import ERROR
from liverseg_tf.dataset.reading import read_case
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec

_RECORD_BYTES = 4096  # headers of an HDF5 file, and a case's record
_PROCESS_BYTES = 110e6  # Python with its libraries
_START_SECONDS = 2  # of the processes
_SLAB_SLICES = 32
_SLAB_PIXEL_BYTES = 8  # copies of a slab: lifted padding, float32


@dataclass(frozen=True)
class Estimate:
    """What preprocessing will take.

    Args:
        store_bytes: of the tiles; compressed ones and PNG take less.
        process_bytes: memory of the largest process.
        seconds: of one process's work: reading as it was measured, cutting as one case took.
    """

    store_bytes: int
    process_bytes: int
    seconds: float

    def seconds_with(self, processes: int) -> float:
        """Wall clock with so many processes on cores of their own."""
        return _START_SECONDS + self.seconds / processes


def estimate_store(cases: list[Case], checked: CheckResult, spec: TileSpec) -> Estimate | None:
    """Add up what the cases will take, cutting one of middle size to see how long that takes.

    Args:
        cases: of the data set.
        checked: what a check of them found; cases with errors are left out.
        spec: of the tiles.

    Returns:
        None where no case can be cut.
    """
    bad = {remark.case for remark in checked.remarks if remark.severity == ERROR}
    usable = [case for case in cases if case.name in checked.measures.keys() - bad]
    if not usable:
        return None
    measures = [checked.measures[case.name] for case in usable]
    usable.sort(key=lambda case: _voxels(checked.measures[case.name]))
    try:
        cut_seconds = time_cut(usable[len(usable) // 2], spec)
    except LiverSegError:
        return None
    return Estimate(
        store_bytes=sum(_tile_bytes(case, spec) + _RECORD_BYTES for case in measures),
        process_bytes=int(_PROCESS_BYTES + max(_memory(case, spec) for case in measures)),
        seconds=sum(case.seconds + _voxels(case) * cut_seconds for case in measures),
    )


def time_cut(case: Case, spec: TileSpec) -> float:
    """Seconds that cutting takes for each voxel, measured on one case.

    Raises:
        LiverSegError: when the case can't be cut.
    """
    image, mask = read_case(case, spec.channel)
    started = time.perf_counter()
    cut_tiles(image, mask, spec)
    return (time.perf_counter() - started) / image.array.size


def _tile_bytes(case: CaseMeasures, spec: TileSpec) -> int:
    rows, cols = spec.tile_shape or _resampled_shape(case, spec)
    return case.shape[0] * rows * cols * (spec.channels + 1)


def _resampled_shape(case: CaseMeasures, spec: TileSpec) -> tuple[int, int]:
    native = case.spacing_mm[1:]
    target = native if spec.spacing_mm is None else (spec.spacing_mm,) * 2
    return PlaneResampler.to_spacing(case.shape[1:], native, target).target_shape


def _memory(case: CaseMeasures, spec: TileSpec) -> float:
    """Image (read into a buffer that grows by an eighth), mask and where it is labelled, slab
    copies, and the tiles twice: as arrays and as the file that is written."""
    slab = min(case.shape[0], _SLAB_SLICES) * case.shape[1] * case.shape[2] * _SLAB_PIXEL_BYTES
    return _voxels(case) * (case.voxel_bytes * 9 / 8 + 2) + slab + 2 * _tile_bytes(case, spec)


def _voxels(case: CaseMeasures) -> int:
    return case.shape[0] * case.shape[1] * case.shape[2]
