"""The oldest TensorFlow Serving that can load an export."""

from importlib.metadata import version
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

from liverseg_tf.predict.models.saved_model_check import ALLOWED_OPS

# versions of TensorFlow, oldest first, the version of graphs that each writes
# (TF_GRAPH_DEF_VERSION), and the operations of `ALLOWED_OPS` that it is the first to have.
# TensorFlow Serving has the version numbers of TensorFlow.
_VERSIONS = (
    ("2.9", 1087, frozenset[str]()),
    ("2.10", 1205, frozenset({"DisableCopyOnRead"})),
)


def find_oldest_server(folder: Path) -> str:
    """Find the oldest version of TensorFlow Serving that can load a SavedModel.

    A server must know every operation of the graph, and its version of graphs must be at least
    the `min_consumer` of the graph. It ignores attributes that it does not know.

    Args:
        folder: Folder with `saved_model.pb`.

    Returns:
        A version, such as '2.10'. If the graph needs more than the versions that are known here,
        that of the TensorFlow that wrote it.
    """
    content = (Path(folder) / "saved_model.pb").read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    graph = meta_graph.graph_def
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    missing = {node.op for body in bodies for node in body}
    later = frozenset().union(*(ops for _, _, ops in _VERSIONS))
    missing -= ALLOWED_OPS - later
    for number, graph_version, ops in _VERSIONS:
        missing -= ops
        if not missing and graph.versions.min_consumer <= graph_version:
            return number
    return ".".join(version("tensorflow").split(".")[:2])
