"""Writing of NIfTI files a few slices at a time."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from liverseg_tf import plural
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.nifti import SUFFIXES, create, output_header
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError


def write_slabs(path: Path, grid: Volume, slabs: Iterable[np.ndarray], slope: float = 1.0) -> None:
    """Write a uint8 NIfTI file from slabs that are computed one after another, atomically.

    Args:
        path: .nii or .nii.gz file.
        grid: Volume with the shape, affine and header of the file; its values are not used.
        slabs: (z, row, col) uint8 arrays that together have the shape of the grid.
        slope: Scale factor in the header (1/255 for probabilities).

    Raises:
        LiverSegError: If the suffix or the shape or dtype of a slab is wrong, or the file cannot
            be written.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise LiverSegError(f"Expected a file name ending in .nii or .nii.gz. Received {path}.")
    shape = grid.array.shape
    header = output_header(grid.with_array(np.broadcast_to(np.uint8(0), shape)))
    header.set_slope_inter(slope, 0)
    count = 0
    with replacing(path) as partial, create(partial) as stream:
        header.write_to(stream)
        stream.write(b"\0" * (header.get_data_offset() - stream.tell()))
        for slab in slabs:
            if slab.shape[1:] != shape[1:] or slab.dtype != np.uint8:
                raise LiverSegError(
                    f"Expected uint8 slices of {shape[1:]} for {path}. "
                    f"Received {slab.dtype} of {slab.shape[1:]}."
                )
            stream.write(np.ascontiguousarray(slab).data.cast("B"))
            count += len(slab)
        if count != shape[0]:
            expected = plural.count(shape[0], "slice")
            raise LiverSegError(f"Expected {expected} for {path}. Received {count}.")
