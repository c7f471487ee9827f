import json
import math

import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.session.mlflow_logger import MlflowLogger, check_target

pytest.importorskip("mlflow")
ROW = {"epoch": 1, "step": 10, "loss": 0.5, "dice_a+b": 0.25, "dice_a*b": 0.75, "dice_c": math.nan}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run with curves."""
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "curves.png").write_bytes(b"curves")
    return folder


def _log(target, run, rows=(ROW,), status="FINISHED"):
    warnings = []
    logger = MlflowLogger(str(target), run, {"context": 3, "init_from": None}, warnings.append)
    for row in rows:
        logger.log_row(row)
    logger.close(status, {"c": 0.9})
    return warnings


def test_a_folder_gets_settings_figures_and_curves_and_a_resumed_run_continues(tmp_path, run):
    from mlflow import MlflowClient

    store = tmp_path / "mlruns"
    assert _log(store, run, status="KILLED") == []
    assert _log(store, run, [{**ROW, "step": 20, "loss": 0.4}]) == []
    client = MlflowClient(tracking_uri=str(store))
    experiment = client.get_experiment_by_name("liverseg_tf")
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.run_id == json.loads((run / "mlflow.json").read_text())["run_id"]
    assert (logged.info.run_name, logged.info.status) == ("runs/a", "FINISHED")
    assert logged.data.params == {"context": "3", "init_from": "None"}
    assert logged.data.metrics == {
        **{"loss": 0.4, "dice_a_b": 0.25, "dice_a_b_2": 0.75, "best_dice_c": 0.9}
    }
    history = client.get_metric_history(logged.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(10, 0.5), (20, 0.4)]
    assert [one.path for one in client.list_artifacts(logged.info.run_id)] == ["curves.png"]


def test_a_server_that_does_not_answer_is_named_once(run, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    warnings = _log("http://127.0.0.1:9", run, [ROW] * 3)
    assert warnings == [
        "MLflow cannot log this run to http://127.0.0.1:9: the server does not answer. The "
        "training goes on."
    ]


@pytest.mark.parametrize(
    "target", ["localhost:5000", "ftp://x/y", "databricks://a", "http://a:b@c"]
)
def test_other_addresses_are_refused(target):
    with pytest.raises(SettingsError, match="Expected") as error:
        check_target(target)
    assert "a:b" not in str(error.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("liverseg_tf.train.session.mlflow_logger.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'liverseg_tf\[mlflow\]'"):
        check_target("mlruns")
