"""Compilation of functions of Keras operations for the active backend."""

from collections.abc import Callable

import keras


def compile_function(function: Callable) -> Callable:
    """Compile a function of arrays for the device, once for each combination of shapes.

    Args:
        function: Function of arrays and nested tuples of arrays, made of Keras operations.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # on CPUs, too, XLA halves the time, since few of the operations have fast kernels there
        return tf.function(function, autograph=False, jit_compile=True)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return lambda *arguments: function(*keras.tree.map_structure(_to_tensor, arguments))


def _to_tensor(value):
    return None if value is None else keras.ops.convert_to_tensor(value)
