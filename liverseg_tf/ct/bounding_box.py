"""The box around what is labelled."""

import numpy as np


def bounding_box(*masks: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every voxel of the masks; an empty one where there is none.

    Args:
        masks: of one shape; what is not 0 counts.
    """
    box = []
    for axis in range(masks[0].ndim):
        rest = tuple(other for other in range(masks[0].ndim) if other != axis)
        # the axes found so far narrow the search for the next ones
        view = (*box, *[slice(None)] * (masks[0].ndim - axis))
        places = np.flatnonzero(np.logical_or.reduce([mask[view].any(axis=rest) for mask in masks]))
        if not places.size:
            return (slice(0, 0),) * masks[0].ndim
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)
