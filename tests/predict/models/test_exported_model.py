"""Exported files of foreign origin: other code, other files, values that are no probabilities."""

import json
import os

import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.export_record import ExportRecord, compute_checksum, record_path
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.litert import LiteRtPredictor
from liverseg_tf.predict.models.onnx import OnnxPredictor
from liverseg_tf.tiles.spec import TileSpec

TILES = np.full((2, 8, 8, 1), 51, np.uint8)


def _write(path, content):
    """Write the file of a model, and a record that fits it."""
    network = NetworkSpec(TileSpec(), LIVER_REGIONS, 1, 4)
    path.write_bytes(content)
    kind = {".onnx": "onnx", ".tflite": "litert"}[path.suffix]
    export = {"format": 1, "kind": kind, "digest": compute_checksum(path)}
    record = {"network": network.to_json(), "fingerprint": "a", "export": export}
    record_path(path).write_text(json.dumps(record))
    return path


def _onnx_model(scale=1 / 255, domain="", **tensor):
    """An ONNX model that multiplies tiles by a number for each region."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    ends = [
        helper.make_tensor_value_info(name, floats, ["b", "h", "w", channels])
        for name, channels in (("tiles", 1), ("probabilities", 2))
    ]
    weights = onnx.numpy_helper.from_array(np.full((1, 1, 1, 2), scale, np.float32), "scale")
    for name, value in tensor.items():
        entry = weights.external_data.add()
        entry.key, entry.value = name, value
        weights.data_location = weights.EXTERNAL
    node = helper.make_node("Mul", ["tiles", "scale"], ["probabilities"], domain=domain)
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], [weights])
    opsets = [helper.make_opsetid(name, 15) for name in {"", domain}]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _check_refused(predictor, path, says):
    with pytest.raises(LiverSegError, match=says) as caught:
        predictor(path).probabilities(TILES)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_onnx_file_predicts(tmp_path, capfd):
    path = _write(tmp_path / "a.onnx", _onnx_model().SerializeToString())
    found = OnnxPredictor(path).probabilities(TILES)
    np.testing.assert_allclose(found, np.full((2, 8, 8, 2), 0.2))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"domain": "com.evil"}, "the operator Mul of com.evil"),
        ({"location": "../../etc/passwd"}, "weights in another file"),
        ({"location": "weights.bin"}, "weights in another file"),
        ({"scale": np.nan}, "Received nan to nan"),
        ({"scale": 1.0}, "Received 51 to 51"),
    ],
)
def test_onnx_files_with_other_code_other_files_or_no_probabilities_are_refused(
    tmp_path, settings, says
):
    (tmp_path / "weights.bin").write_bytes(bytes(8))
    path = _write(tmp_path / "a.onnx", _onnx_model(**settings).SerializeToString())
    _check_refused(OnnxPredictor, path, says)


def test_a_file_that_fails_while_it_predicts_is_one_line(tmp_path, monkeypatch):
    def fail(predictor, tiles):
        raise RuntimeError("no memory for \x1b[2J\nsecond line")

    monkeypatch.setattr(OnnxPredictor, "_compute", fail)
    path = _write(tmp_path / "a.onnx", _onnx_model().SerializeToString())
    _check_refused(OnnxPredictor, path, r"failed to predict tiles of 2 x 8 x 8 x 1: no memory")


@pytest.fixture(scope="module")
def litert_file():
    """A LiteRT file that multiplies tiles by a number for each region."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, None, None, 1), tf.float32, "tiles")
    function = tf.function(lambda x: {"probabilities": x * [[[[1 / 255, 1 / 255]]]]})
    concrete = function.get_concrete_function(spec)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


def test_a_litert_file_predicts(tmp_path, litert_file):
    predictor = LiteRtPredictor(_write(tmp_path / "a.tflite", litert_file))
    np.testing.assert_allclose(predictor.probabilities(TILES), np.full((2, 8, 8, 2), 0.2))


def _edited(litert_file, edit):
    """The bytes of a LiteRT file after a change of its contents."""
    flatbuffers = pytest.importorskip("flatbuffers")
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(litert_file))
    edit(model, schema)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_litert_file_whose_weights_are_shorter_than_their_shape_is_refused(tmp_path, litert_file):
    def edit(model, schema):
        (weights,) = [
            tensor
            for tensor in model.subgraphs[0].tensors
            if model.buffers[tensor.buffer].data is not None
        ]
        weights.shape = [1, 1, 50_000, 2]  # the interpreter would end with a segmentation fault

    path = _write(tmp_path / "a.tflite", _edited(litert_file, edit))
    _check_refused(LiteRtPredictor, path, "shapes fit their bytes")


@pytest.mark.parametrize("name", [b"FlexReadFile", b"FlexWriteFile", b"my\x1b[2J", b""])
def test_litert_files_with_operators_of_others_are_refused(tmp_path, litert_file, name):
    def edit(model, schema):
        (operator,) = model.operatorCodes
        operator.customCode = name
        operator.builtinCode = operator.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM

    path = _write(tmp_path / "a.tflite", _edited(litert_file, edit))
    _check_refused(LiteRtPredictor, path, "Received the operator .*export the model again")


HOSTILE = {
    "deep": (lambda record: '{"a":' + "[" * 100_000, "nested too deeply|Expected a JSON record"),
    "NaN": (lambda record: record.replace('"context": 1', '"context": NaN'), "JSON record"),
    "1e400": (lambda record: record.replace('"context": 1', '"context": 1e400'), "out of range"),
    "a huge context": (lambda r: r.replace('"context": 1', '"context": 200001'), "context"),
    "a huge stride": (lambda r: r.replace('"stride": 4', '"stride": 32768'), "stride"),
    "text": (lambda record: record.replace('"fingerprint": "a"', '"fingerprint": [1]'), "finger"),
    "UTF-16": (lambda record: record.encode("utf-16"), "JSON record"),
    "a list": (lambda record: f"[{record}]", "expected object"),
    "a number": (lambda record: record.replace('"export": {', '"export": 7, "x": {'), "export"),
    "steps": (lambda r: r[:-1] + ', "postprocessing": {"largest": [["a", 1e308]]}}', "post"),
    "unknown region": (lambda r: r[:-1] + ', "postprocessing": {"largest": ["a"]}}', "region"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_one_line_with_their_file(tmp_path, name):
    path = _write(tmp_path / "a.onnx", b"")
    record = record_path(path)
    edit, says = HOSTILE[name]
    edited = edit(record.read_text())
    record.write_bytes(edited if isinstance(edited, bytes) else edited.encode())
    with pytest.raises(LiverSegError, match=says) as caught:
        ExportRecord.read(path)
    assert "\n" not in str(caught.value)
    assert str(record) in str(caught.value)


def test_an_export_knows_no_split_and_says_so(tmp_path):
    record = ExportRecord.read(_write(tmp_path / "a.onnx", b""))
    with pytest.raises(SettingsError, match="exported model does not know the split"):
        record.split  # noqa: B018


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.onnx")
    with pytest.raises(LiverSegError, match="Expected a regular file"):
        compute_checksum(tmp_path / "a.onnx")
