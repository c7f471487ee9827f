"""The oldest server that can load an export; the tables were made from TensorFlow's wheels."""

from pathlib import Path

import pytest
from tensorflow import __version__
from tensorflow.core.protobuf import saved_model_pb2

from liverseg_tf.serve.export.server_version import find_oldest_server

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "serving.md"


@pytest.mark.parametrize(
    ("ops", "min_consumer", "oldest"),
    [
        (["Conv2D", "SaveV2"], 12, "2.9"),
        (["Conv2D", "DisableCopyOnRead"], 12, "2.10"),
        (["Conv2D"], 1100, "2.10"),
        (["Conv2D"], 10**6, ".".join(__version__.split(".")[:2])),
        (["OperationOfTomorrow"], 12, ".".join(__version__.split(".")[:2])),
    ],
)
def test_the_oldest_server_knows_all_operations_and_the_format(tmp_path, ops, min_consumer, oldest):
    model = saved_model_pb2.SavedModel()
    graph = model.meta_graphs.add().graph_def
    graph.versions.min_consumer = min_consumer
    graph.node.add(op=ops[0])
    graph.library.function.add().node_def.add(op=ops[-1])
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    assert find_oldest_server(tmp_path) == oldest


def test_the_documentation_states_the_oldest_server(liver_exports):
    oldest = find_oldest_server(liver_exports[1])
    assert f"TensorFlow Serving {oldest} or later" in " ".join(DOCUMENTATION.read_text().split())
