"""Transforms of tensors, applied to arrays of NumPy with any Keras backend."""

from collections.abc import Callable

import numpy as np
from keras import ops, tree


def apply_to_arrays(transform: Callable, *arrays) -> np.ndarray:
    """Return what a transform makes of arrays, or of tuples of arrays, as an array.

    The augmentation converts its parameters to tensors once; PyTorch does not mix both kinds.
    """
    return np.asarray(transform(*tree.map_structure(ops.convert_to_tensor, arrays)))
