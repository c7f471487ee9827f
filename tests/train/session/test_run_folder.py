import csv
import math

import pytest
from PIL import Image

from liverseg_tf.errors import LiverSegError, SettingsError
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
