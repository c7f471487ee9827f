from pathlib import Path

from liverseg_tf.model.export_record import (
    LITERT,
    ONNX,
    SAVED_MODEL,
    ExportRecord,
    find_export_kind,
    latest_version,
    record_path,
)
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec


def test_the_representation_is_one_line():
    record = ExportRecord(Path("liver-1.onnx"), NetworkSpec(), PostProcessing(), "0123")
    assert repr(record) == (
        "ExportRecord(liver-1.onnx; regions: liver, tumour; post-processing: none; mirrored: no)"
    )


def test_kinds_and_record_paths_follow_suffixes_and_folders(tmp_path):
    for version in ("9", "10", "old"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").touch()
    assert latest_version(tmp_path) == tmp_path / "10"
    assert find_export_kind(tmp_path) == find_export_kind(tmp_path / "9") == SAVED_MODEL
    assert record_path(tmp_path / "10") == tmp_path / "10" / "assets.extra" / "run.json"
    assert find_export_kind(tmp_path / "a.ONNX") == ONNX
    assert find_export_kind(tmp_path / "a.tflite") == LITERT
    assert record_path(tmp_path / "a.tflite") == tmp_path / "a.json"
    assert find_export_kind(tmp_path / "run") is None
