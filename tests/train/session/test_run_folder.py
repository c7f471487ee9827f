import csv
import math

import pytest
from PIL import Image

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.train.session.run_folder import Run


def test_a_run_is_made_once_and_where_folders_can_be(tmp_path):
    run = Run.create(tmp_path / "runs" / "a")
    assert run.folder.is_dir()
    assert Run.create(run.folder) == run  # empty: nothing is lost
    (run.folder / "run.json").write_text("{}")
    assert Run.create(run.folder) == run  # interrupted: it can go on
    (run.folder / "run.json").write_text('{"result": {}}')
    with pytest.raises(SettingsError, match="Expected a new folder"):
        Run.create(run.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(LiverSegError, match="Expected to make the folder"):
        Run.create(tmp_path / "file" / "run")


def test_log_and_curves_hold_every_epoch_also_those_without_validation(tmp_path):
    run = Run.create(tmp_path / "run")
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
    helper = Run(tmp_path / "other", writes=False)
    helper.write_log(rows, [])
    helper.save_model(None)
    assert not helper.folder.exists()
