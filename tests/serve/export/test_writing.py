"""How exports are written: two at once, a full disk, versions that exist, unfinished runs."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.model.export_record import record_path
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.export import export_run as module
from liverseg_tf.serve.export.export_run import ExportSettings, export_run
from liverseg_tf.serve.export.server_files import write_server_files

ALL = ExportSettings("liver", litert=("float16",), onnx=True, web=True)


@pytest.fixture
def quick(monkeypatch):
    """Exports without a network: the files hold their kind only. Returns what each step calls."""
    predictor = SimpleNamespace(
        model=None,
        network=NetworkSpec(),
        postprocessing=PostProcessing(),
        fingerprint="a",
        warnings=("The run has not finished.",),
    )
    steps = SimpleNamespace(
        saved_model=lambda: None, litert=lambda: None, onnx=lambda: None, web=lambda: None
    )

    def write_saved_model(folder, predictor, settings, record):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"graph")
        steps.saved_model()
        (folder / "assets.extra").mkdir()
        module._write_record(folder / "assets.extra" / "run.json", record, folder)

    def to_litert(model, tiles):
        steps.litert()
        return b"litert"

    def write_onnx(model, path):
        path.write_bytes(b"onnx")
        steps.onnx()

    def export_page(path, predictor, name, version):
        steps.web()
        path.write_text(f"{name} {version}")

    monkeypatch.setattr(module, "load_run", lambda run: predictor)
    monkeypatch.setattr(module, "run_properties", lambda run, predictor: {})
    monkeypatch.setattr(module, "_write_saved_model", write_saved_model)
    monkeypatch.setattr(module, "to_litert", to_litert)
    monkeypatch.setattr(module, "write_onnx", write_onnx)
    monkeypatch.setattr(module, "check_onnx", lambda: None)
    monkeypatch.setattr(module, "export_page", export_page)
    return steps


def _names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_export_leaves_its_files_and_no_others(quick, tmp_path):
    exported = export_run("run", tmp_path, ALL)
    assert _names(tmp_path) == [
        *("batching_parameters.txt", "liver-1-float16.json", "liver-1-float16.tflite"),
        *("liver-1.html", "liver-1.json", "liver-1.onnx", "liver/1/assets.extra/run.json"),
        *("liver/1/saved_model.pb", "models.config", "monitoring.config"),
    ]
    record = json.loads(record_path(exported.files[0]).read_text())
    assert record["export"]["warnings"] == ["The run has not finished."]


def test_two_exports_of_one_name_are_two_versions_or_one_refusal(quick, tmp_path):
    def other():
        quick.saved_model = lambda: None
        with pytest.raises(LiverSegError, match="another run is writing it"):
            export_run("other run", tmp_path, ALL)

    quick.saved_model = other  # while the first one is being written
    assert export_run("run", tmp_path, ALL).folder == tmp_path / "liver" / "1"
    assert export_run("run", tmp_path, ALL).folder == tmp_path / "liver" / "2"
    assert {path.name for path in (tmp_path / "liver").iterdir()} == {"1", "2"}


def test_a_version_that_appears_during_an_export_is_not_replaced(quick, tmp_path):
    def appear():
        (tmp_path / "liver" / "1").mkdir(parents=True)
        (tmp_path / "liver" / "1" / "saved_model.pb").write_bytes(b"of another program")

    quick.saved_model = appear
    with pytest.raises(LiverSegError, match="exists already"):
        export_run("run", tmp_path, ALL)
    assert (tmp_path / "liver" / "1" / "saved_model.pb").read_bytes() == b"of another program"
    assert _names(tmp_path) == ["liver/1/saved_model.pb"]


@pytest.mark.parametrize(
    "name", ["liver-3-float16.tflite", "liver-3.onnx", "liver-3.html", "liver/3/saved_model.pb"]
)
def test_files_of_a_version_are_never_replaced(quick, tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(SettingsError, match="version 3 already exists"):
        export_run("run", tmp_path, ExportSettings("liver", 3, litert=("float16",), onnx=True))
    assert export_run("run", tmp_path, ALL).folder.name == "4"
    assert (tmp_path / name).read_bytes() == b"old"


def _full_disk(*arguments):
    raise OSError(28, "No space left on device")


def _full_disk_of_tensorflow():
    raise tf.errors.ResourceExhaustedError(None, None, "out/x.tmp; No space left on device")


@pytest.mark.parametrize("fail", [_full_disk, _full_disk_of_tensorflow])
@pytest.mark.parametrize("step", ["saved_model", "litert", "onnx", "web"])
def test_a_full_disk_is_one_line_and_complete_files_stay(quick, tmp_path, step, fail):
    if (step, fail) == ("litert", _full_disk):
        pytest.skip("the conversion writes no files of its own")
    setattr(quick, step, fail)
    if step == "litert":
        quick.litert = lambda: _raise(LiverSegError("The network cannot be converted to LiteRT"))
    with pytest.raises(LiverSegError) as caught:
        export_run("run", tmp_path, ALL)
    assert "\n" not in str(caught.value)
    assert "No space left on device" in str(caught.value) or step == "litert"
    models = {
        "saved_model": [],
        "litert": ["liver/1/saved_model.pb"],
        "onnx": ["liver-1-float16.tflite", "liver/1/saved_model.pb"],
        "web": ["liver-1-float16.tflite", "liver-1.onnx", "liver/1/saved_model.pb"],
    }[step]
    assert [
        name for name in _names(tmp_path) if name.endswith((".pb", ".onnx", ".tflite", ".html"))
    ] == models
    assert all(
        str(tmp_path / name.replace("/saved_model.pb", "")) in str(caught.value) for name in models
    )
    assert not list(tmp_path.rglob(".partial-*"))


def _raise(error):
    raise error


def test_a_file_whose_record_cannot_be_written_is_not_left_without_it(quick, tmp_path, monkeypatch):
    write = module.write_json

    def fail(path, value):
        if path.name == "liver-1.json":
            raise LiverSegError("Expected to write it. Received: No space left on device.")
        write(path, value)

    monkeypatch.setattr(module, "write_json", fail)
    with pytest.raises(LiverSegError, match=r"No space left on device\. Complete: "):
        export_run("run", tmp_path, ALL)
    assert not (tmp_path / "liver-1.onnx").exists()
    assert (tmp_path / "liver-1-float16.json").exists()


@pytest.mark.slow
def test_a_full_disk_while_a_savedmodel_is_written(small_disk, liver_exports):
    (small_disk / "fill").write_bytes(bytes(1_200_000))
    done = CliRunner().invoke(liverseg, ["export", str(liver_exports[0]), str(small_disk / "out")])
    assert done.exit_code == 1, done.output
    assert "No space left on device" in done.output
    assert done.output.strip().count("\n") == 0


def test_server_files_wait_for_another_export(tmp_path):
    write_server_files(tmp_path, "liver")
    with exclusive_lock(tmp_path / ".liver.lock", "the model", remove=True):
        write_server_files(tmp_path, "spleen")  # of another model
    text = (tmp_path / "models.config").read_text()
    assert '"liver"' in text
    assert '"spleen"' in text


def test_an_unfinished_run_is_refused_or_accepted(liver_exports, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    record = json.loads((liver_exports[0] / "run.json").read_text())
    del record["result"]
    (run / "run.json").write_text(json.dumps(record))
    done = CliRunner().invoke(liverseg, ["export", str(run), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "Expected a finished run" in done.output
    assert not (tmp_path / "out").exists()
    exported = []
    monkeypatch.setattr(module, "export_run", lambda *arguments: exported.append(arguments))
    CliRunner().invoke(liverseg, ["export", str(run), str(tmp_path / "out"), "--unfinished"])
    assert len(exported) == 1
