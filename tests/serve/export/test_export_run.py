"""The contract of an export, checked with TensorFlow's loaders and the server's definitions.

No model server runs here; its loaders, messages and configuration formats are used.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from google.protobuf import text_format

from liverseg_tf.cli.main import liverseg
from liverseg_tf.errors import SettingsError
from liverseg_tf.predict.models.saved_model_check import ALLOWED_OPS, check_saved_model
from liverseg_tf.serve.export.export_run import ExportSettings, export_run
from liverseg_tf.serve.export.server_files import write_server_files

SIGNATURES = {"serving_default", "hu_slices", "hu_mask", "png", "describe"}


def test_signatures_name_their_inputs_and_outputs(served_liver):
    signatures = served_liver.loaded.signatures
    assert set(signatures) == SIGNATURES
    actual = {
        name: (
            {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in inputs.items()},
            {key: spec.dtype.name for key, spec in signatures[name].structured_outputs.items()},
        )
        for name in SIGNATURES
        for inputs in [signatures[name].structured_input_signature[1]]
    }
    spacing = ("float64", [None, 2])
    slices = {"slices": ("int16", [None, None, None, 1]), "spacing_mm": spacing}
    assert actual == {
        "serving_default": (
            {"tiles": ("float32", [None, None, None, 1])},
            {"probabilities": "float32"},
        ),
        "hu_slices": (slices, {"probabilities": "float32"}),
        "hu_mask": (slices, {"mask": "uint8"}),
        "png": (
            {"image_bytes": ("string", [None]), "spacing_mm": spacing},
            {"mask_bytes": "string"},
        ),
        "describe": ({"request": ("string", [None])}, {"record": "string"}),
    }


def test_only_core_ops_are_used(served):
    from tensorflow.core.protobuf import saved_model_pb2

    check_saved_model(served.folder)
    model = saved_model_pb2.SavedModel.FromString((served.folder / "saved_model.pb").read_bytes())
    (graph,) = [meta.graph_def for meta in model.meta_graphs]
    assert {node.op for node in graph.node} <= ALLOWED_OPS
    compiled = [
        function.signature.name
        for function in graph.library.function
        if function.attr["_XlaMustCompile"].b
    ]
    assert not compiled


def test_saved_model_cli_shows_the_signatures(served_liver):
    code = "from tensorflow.python.tools.saved_model_cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "show", "--dir", str(served_liver.folder), "--all"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in SIGNATURES:
        assert f"signature_def['{name}']" in done.stdout
    assert "tensorflow/serving/predict" in done.stdout


def test_the_loader_of_tensorflow_1_predicts_the_same(served_liver):
    tiles = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 1)).astype(np.float32)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        model = tf.compat.v1.saved_model.load(session, ["serve"], str(served_liver.folder))
        signature = model.signature_def["serving_default"]
        actual = session.run(
            signature.outputs["probabilities"].name, {signature.inputs["tiles"].name: tiles}
        )
    expected = served_liver.local.probabilities(tiles)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_describe_returns_the_record_without_case_names(served):
    (record, again) = served.call("describe", {"request": [b"", b"x"]})["record"]
    assert record == again
    record = json.loads(record)
    on_disk = json.loads((served.folder / "assets.extra" / "run.json").read_text())
    assert len(on_disk["export"].pop("digest")) == 32
    assert on_disk["export"].pop("min_server") == "2.10"
    assert record == on_disk
    assert record["network"] == json.loads(json.dumps(served.local.network.to_json()))
    assert record["fingerprint"].startswith(served.local.fingerprint)
    assert "patient_a" not in json.dumps(record)  # names of cases stay with the run


def test_warm_up_requests_are_official_messages_and_valid_inputs(served):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = served.folder / "assets.extra" / "tf_serving_warmup_requests"
    requested = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name in ("model", "liver")
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        assert served.call(request.model_spec.signature_name, inputs)
        requested.append(request.model_spec.signature_name)
    assert set(requested) == SIGNATURES


def test_the_server_configuration_is_valid_by_the_official_definitions(liver_copy):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    write_server_files(liver_copy, "spleen")
    before = (liver_copy / "models.config").read_text()
    before = before.replace("latest { num_versions: 1 }", "specific { versions: 1 }", 1)
    (liver_copy / "models.config").write_text(before)
    write_server_files(liver_copy, "liver")  # the entry exists: the change of a user is kept
    assert (liver_copy / "models.config").read_text() == before
    shutil.rmtree(liver_copy)
    for name in ("liver", "spleen", "liver"):
        write_server_files(liver_copy, name)
    read = text_format.Parse((liver_copy / "models.config").read_text(), config.ModelServerConfig())
    models = [(one.name, one.base_path) for one in read.model_config_list.config]
    assert models == [("liver", "/models/liver"), ("spleen", "/models/spleen")]
    assert "enable: true" in (liver_copy / "monitoring.config").read_text()


@pytest.mark.slow
def test_versions_are_numbered_and_never_replaced(liver_exports, tmp_path):
    run, _ = liver_exports
    (tmp_path / "liver" / "7").mkdir(parents=True)
    with pytest.raises(SettingsError, match="Expected a new version"):
        export_run(run, tmp_path, ExportSettings("liver", 7))
    done = CliRunner().invoke(
        liverseg,
        ["export", str(run), str(tmp_path), "--name", "liver", "--quantize", "int8"],
    )
    assert done.exit_code == 0, done.output
    assert "docker run" in done.output
    assert {path.name for path in (tmp_path / "liver").iterdir()} == {"7", "8"}


def test_an_export_that_fails_leaves_no_version(liver_exports, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("liverseg_tf.serve.export.export_run.build_signatures", fail)
    done = CliRunner().invoke(liverseg, ["export", str(liver_exports[0]), str(tmp_path)])
    assert done.exit_code == 1
    assert "No space left on device" in done.output
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    "settings",
    [{"name": "a/b"}, {"name": "12"}, {"name": ""}, {"name": "a", "litert": ("int8",)}],
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(SettingsError, match="Expected"):
        ExportSettings(**settings)


def test_a_folder_without_a_run_gives_one_line(tmp_path):
    done = CliRunner().invoke(liverseg, ["export", str(tmp_path), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "Expected a run" in done.output
    assert not Path(tmp_path / "out").exists()
