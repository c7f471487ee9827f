"""Compilation of a function of Keras operations with `torch.compile`."""

from collections.abc import Callable

import torch
from torch.fx.experimental.proxy_tensor import make_fx


def compile_graph(function: Callable, *arguments, backend: str = "inductor") -> Callable:
    """Compile a function for arguments of these shapes.

    `torch.compile` reads Python code, and breaks that of Keras' layers into dozens of graphs. The
    function is therefore recorded as a single graph of PyTorch's operations first.

    Args:
        function: Function of tensors and lists of tensors. It must not draw random numbers, which
            would be recorded as constants.
        arguments: Arguments to record it with.
        backend: Compiler of `torch.compile`.

    Returns:
        Function of the same arguments, through which gradients can be computed.
    """
    graph = make_fx(lambda *values: function(*values), pre_dispatch=True)(*arguments)
    return torch.compile(graph, backend=backend)
