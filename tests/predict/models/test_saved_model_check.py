"""A SavedModel that does more than compute is refused before anything of it is executed."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import compute_checksum
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.load import load_predictor
from liverseg_tf.predict.models.saved_model_check import check_saved_model
from liverseg_tf.tiles.spec import TileSpec


class _Network(tf.Module):
    """A network of one multiplication; `attack` is called in its signature."""

    def __init__(self, attack=lambda tiles: tiles):
        super().__init__()
        self._scale = tf.Variable([[[[1 / 255, 1 / 510]]]])
        spec = tf.TensorSpec((None, None, None, 1), tf.float32, "tiles")
        self.segment = tf.function(self._segment, input_signature=[spec], autograph=False)
        self._attack = attack

    def _segment(self, tiles):
        return {"probabilities": self._attack(tiles) * self._scale}


def _save(folder, network):
    tf.saved_model.save(network, str(folder), {"serving_default": network.segment})
    return folder


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    """The bytes of the graph of a harmless SavedModel, and its folder."""
    folder = _save(tmp_path_factory.mktemp("harmless") / "1", _Network())
    return (folder / "saved_model.pb").read_bytes(), folder


def _write_file(tiles):
    with tf.control_dependencies([tf.io.write_file("/tmp/never-written", "x")]):
        return tf.identity(tiles)


def _read_file(tiles):
    return tiles * tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def _save_checkpoint(tiles):
    save = tf.raw_ops.SaveV2(
        prefix="/tmp/never-written", tensor_names=["a"], shape_and_slices=[""], tensors=[tiles]
    )
    with tf.control_dependencies([save]):
        return tf.identity(tiles)


def _python(tiles):
    return tf.ensure_shape(tf.py_function(lambda x: x, [tiles], tf.float32), (None,) * 3 + (1,))


def _in_a_branch(tiles):
    return tf.cond(tf.reduce_sum(tiles) > 1e9, lambda: _read_file(tiles), lambda: tiles)


ATTACKS = {
    "WriteFile": _write_file,
    "ReadFile": _read_file,
    "SaveV2": _save_checkpoint,
    "EagerPyFunc": _python,
    "ReadFile in the function": _in_a_branch,
}


@pytest.mark.parametrize("says", ATTACKS)
def test_operations_that_do_more_than_compute_are_refused(tmp_path, says):
    _save(tmp_path / "1", _Network(ATTACKS[says]))
    with pytest.raises(LiverSegError, match=says) as caught:
        check_saved_model(tmp_path / "1")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_predictor_refuses_such_a_model_although_its_record_fits(tmp_path):
    folder = _save(tmp_path / "1", _Network(_write_file))
    (folder / "assets.extra").mkdir()
    export = {"format": 1, "kind": "saved_model", "digest": compute_checksum(folder)}
    network = NetworkSpec(TileSpec(), LIVER_REGIONS).to_json()
    record = {"network": network, "fingerprint": "a", "export": export}
    (folder / "assets.extra" / "run.json").write_text(json.dumps(record))
    with pytest.raises(LiverSegError, match="WriteFile"):
        load_predictor([tmp_path])
    assert not Path("/tmp/never-written").exists()


def test_a_network_passes_and_its_variables_may_be_saved_and_restored(harmless):
    content, folder = harmless
    assert b"SaveV2" in content
    check_saved_model(folder)
    tiles = np.full((1, 4, 4, 1), 255, np.float32)
    loaded = tf.saved_model.load(folder)
    assert loaded.signatures["serving_default"](tiles=tiles)["probabilities"].shape == (1, 4, 4, 2)


def _edit(function):
    """An edit of the first function that the signature calls."""

    def edit(graph):
        names = set(graph.object_graph_def.concrete_functions)
        (one, *_) = [f for f in graph.graph_def.library.function if f.signature.name in names]
        function(one)

    return edit


def _rename_callee(function):
    function.node_def.add(op="PartitionedCall").attr["f"].func.name = "ReadFile"


def _recurse(function):
    function.node_def.add(op="PartitionedCall").attr["f"].func.name = function.signature.name


def _huge_constant(function):
    tensor = function.node_def.add(op="Const").attr["value"].tensor
    tensor.tensor_shape.dim.add(size=1 << 40)


def _object(**fields):
    def edit(graph):
        node = graph.object_graph_def.nodes.add()
        for name, value in fields.items():
            owner, _, field = name.rpartition("__")
            setattr(getattr(node, owner) if owner else node, field, value)

    return edit


def _handle(function):
    function.node_def.add(op="Const").attr["dtype"].type = tf.resource.as_datatype_enum


EDITS = {
    "holds an object": _edit(_handle),
    "ReadFile": lambda graph: graph.graph_def.node.add(op="ReadFile"),
    "a call of ReadFile": _edit(_rename_callee),
    "calls itself": _edit(_recurse),
    "choice of implementations": _edit(lambda f: f.attr["api_implements"].CopyFrom(f.attr["x"])),
    "MiB": _edit(_huge_constant),
    "a reference to a file": lambda graph: graph.asset_file_def.add(filename="../../passwd"),
    "the collection table_initializer": lambda graph: graph.collection_def["table_initializer"],
    "the kind asset": _object(asset__asset_file_def_index=0),
    "the kind resource": _object(resource__device="CPU"),
    "the object _tf_keras_layer": _object(user_object__identifier="_tf_keras_layer"),
    "its own way of saving": _object(variable__name="v", registered_saver="x"),
    r"operation \\x1b\[2J": lambda graph: graph.graph_def.node.add(op="\33[2J"),
    "TensorFlow 1": lambda graph: graph.ClearField("object_graph_def"),
}


@pytest.mark.parametrize("says", EDITS)
def test_everything_else_in_the_file_is_checked(harmless, tmp_path, says):
    model = saved_model_pb2.SavedModel.FromString(harmless[0])
    EDITS[says](model.meta_graphs[0])
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(LiverSegError, match=says):
        check_saved_model(tmp_path)


def test_a_second_graph_and_a_damaged_file_are_refused(harmless, tmp_path):
    model = saved_model_pb2.SavedModel.FromString(harmless[0])
    model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(LiverSegError, match="Received 2 graphs"):
        check_saved_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(harmless[0][: len(harmless[0]) // 2])
    with pytest.raises(LiverSegError, match="damaged"):
        check_saved_model(tmp_path)
