"""The limit on the size of a volume, so that no header makes a process use up the memory."""

import math
import os
from pathlib import Path

import numpy as np

from liverseg_tf.errors import MemoryLimitError

MAX_VOXELS = 2**32
_CGROUPS = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def check_size(shape: tuple[int, ...], voxel_bytes: int, source: object) -> None:
    """Check that a volume fits into memory, before memory for it is allocated.

    Args:
        shape: Shape according to a header.
        voxel_bytes: Bytes per voxel of all arrays that exist at once during reading; see
            `rescale.peak_bytes`.
        source: File or series, for the error message.

    Raises:
        MemoryLimitError: If the volume has more than 2^32 voxels or needs more than half of the
            memory of the machine or of the control group of this process.
    """
    voxels = math.prod(map(int, shape))
    if voxels > MAX_VOXELS:
        raise MemoryLimitError(
            f"Expected at most {MAX_VOXELS} voxels in {source}. "
            f"Received the shape {tuple(map(int, shape))}."
        )
    limit = memory_bytes() / 2  # the tiles need memory, too
    if voxels * voxel_bytes > limit:
        raise MemoryLimitError(
            f"Expected at most {limit / 1e9:.1f} GB (half of the memory) for reading {source}. "
            f"Received {voxels * voxel_bytes / 1e9:.1f} GB, the shape {tuple(map(int, shape))}: "
            "use a machine with more memory."
        )


def memory_bytes() -> float:
    """Return the memory of the machine, or the limit of this process' control group if it is less.

    Infinity where neither is known (Windows).
    """
    try:
        machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not available on Windows
        machine = math.inf
    return min([machine, *_cgroup_limits()])


def _cgroup_limits() -> list[float]:
    """Read the limits of the control groups (versions 1 and 2) and of those that contain them."""
    try:
        lines = _CGROUPS.read_text().splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
        number, controllers, group = (line.split(":", 2) + ["", ""])[:3]
        if number == "0" and not controllers:
            root, name = _CGROUP_ROOT, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CGROUP_ROOT / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = root / group.strip("/")
        # inside a container, the path is that of the host, and the root is the group itself
        files += [parent / name for parent in (folder, *folder.parents, root)]
    limits = []
    for file in dict.fromkeys(files):
        try:
            limits.append(float(file.read_text()))
        except (OSError, ValueError):  # missing, or "max"
            continue
    return [limit for limit in limits if limit > 0 and np.isfinite(limit)]
