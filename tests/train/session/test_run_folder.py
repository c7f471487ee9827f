import csv
import math

import pytest
from PIL import Image

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.run_record import RunRecord, compute_model_checksum, write_run_record
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.session.run_folder import RunFolder


def test_a_folder_with_a_finished_run_is_refused(tmp_path):
    run = RunFolder.create(tmp_path / "runs" / "a")
    assert run.folder.is_dir()
    assert RunFolder.create(run.folder) == run  # empty
    (run.folder / "run.json").write_text("{}")
    assert RunFolder.create(run.folder) == run  # interrupted, can be resumed
    (run.folder / "run.json").write_text('{"result": {}}')
    with pytest.raises(SettingsError, match="Expected a new folder"):
        RunFolder.create(run.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(LiverSegError, match="file/run cannot be created"):
        RunFolder.create(tmp_path / "file" / "run")


def test_log_and_curves_contain_epochs_without_validation(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    rows = [
        {"epoch": 1, "loss": 1.2, "learning_rate": 1e-3, "dice_liver": math.nan},
        {"epoch": 2, "loss": 0.8, "learning_rate": 5e-4, "dice_liver": 0.7},
    ]
    run.write_log(rows, [{"epoch": 2, "case": "a", "region": "liver", "dice": 0.7}])
    with open(run.folder / "log.csv") as file:
        read = list(csv.DictReader(file))
    assert [row["epoch"] for row in read] == ["1", "2"]
    assert read[1]["dice_liver"] == "0.7"
    with Image.open(run.folder / "curves.png") as picture:
        assert picture.size == (1100, 440)
        assert len(picture.convert("L").getcolors()) > 10
    assert {path.name for path in run.folder.iterdir()} == {
        "log.csv",
        "validation.csv",
        "curves.png",
    }
    other_host = RunFolder(tmp_path / "other", writes=False)
    other_host.write_log(rows, [])
    other_host.save_model(None)
    assert not other_host.folder.exists()


def test_a_run_has_one_writer(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    with run.locked():
        with (
            pytest.raises(
                LiverSegError, match=r"exclusive access to .*run\. Received: another run"
            ),
            RunFolder.create(tmp_path / "run").locked(),
        ):
            pass
        with RunFolder(tmp_path / "run", writes=False).locked():
            pass  # another host of the same run
    assert list(run.folder.iterdir()) == []
    with RunFolder.create(tmp_path / "run").locked():
        pass


def test_a_run_that_has_just_been_finished_is_not_trained_again(tmp_path):
    waiting = RunFolder.create(tmp_path / "run")
    write_run_record(waiting.folder, NetworkSpec(), "tensorflow", result={})
    with pytest.raises(SettingsError, match="holds a finished run"), waiting.locked():
        pass


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    (run.folder / ".partial-0123abcd-model.keras").write_text("half")
    (run.folder / ".partial-0123abcd-folder").mkdir()
    with run.locked():
        assert [path.name for path in run.folder.iterdir()] == [".lock"]


def test_the_result_has_the_checksum_of_the_model(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    (run.folder / "model.keras").write_bytes(b"weights")
    split = {"train": [], "val": [], "test": []}
    run.write_result(NetworkSpec(), {"store": {"split": split}}, {"steps": 3})
    record = RunRecord.read(run.folder)
    assert record.finished
    assert record.checksum == compute_model_checksum(run.folder)
    (run.folder / "model.keras").unlink()
    with pytest.raises(LiverSegError, match="no such file"):
        run.write_result(NetworkSpec(), {}, {})
