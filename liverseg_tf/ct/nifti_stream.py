"""NIfTI files that are written some slices at a time."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.nifti import SUFFIXES, create, output_header
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError


def write_slabs(path: Path, grid: Volume, slabs: Iterable[np.ndarray], slope: float = 1.0) -> None:
    """Write a uint8 NIfTI of slabs that are made one after another, whole or not at all.

    Args:
        path: .nii or .nii.gz.
        grid: shape, affine and header of the file; its array's values are not looked at.
        slabs: (z, row, col) uint8, together the grid's shape.
        slope: what a stored 1 means (1/255 for probabilities).

    Raises:
        LiverSegError: on another ending, slabs of another shape or dtype, or when the file
            can't be written.
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
            stream.write(memoryview(np.ascontiguousarray(slab)).cast("B"))
            count += len(slab)
        if count != shape[0]:
            raise LiverSegError(f"Expected {shape[0]} slices for {path}. Received {count}.")
