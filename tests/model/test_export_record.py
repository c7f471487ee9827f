import json
from pathlib import Path

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.export_record import (
    FORMAT,
    LITERT,
    ONNX,
    SAVED_MODEL,
    ExportRecord,
    compute_checksum,
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


def test_an_export_knows_when_not_to_trust_its_masks(tmp_path):
    path = tmp_path / "liver.onnx"
    path.write_bytes(b"model")
    known = {"score": "confidence", "source": "test", "threshold": 0.9}
    record = {
        "export": {"format": FORMAT, "kind": ONNX, "digest": compute_checksum(path)},
        "network": NetworkSpec().to_json(),
        "fingerprint": "0123",
        "trust": {"passes": {"single": {"liver": known}}},
    }
    record_path(path).write_text(json.dumps(record))
    assert ExportRecord.read(path).trust.passes["single"]["liver"].threshold == 0.9
    for wrong in ({"liver": known | {"threshold": 2}}, {"spleen": known}):
        record["trust"]["passes"]["single"] = wrong
        record_path(path).write_text(json.dumps(record))
        with pytest.raises(LiverSegError, match=r"liver\.json"):
            ExportRecord.read(path)
