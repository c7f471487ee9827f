"""The modules of the browser page, compared with the Python code that they mirror."""

import pytest
from node import run_node


@pytest.fixture
def node(tmp_path):
    """A function: the body of an async function in JavaScript, and its inputs, to its result."""
    return lambda code, **inputs: run_node(tmp_path / "node", code, **inputs)
