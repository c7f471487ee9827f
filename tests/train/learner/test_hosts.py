"""Two processes on the loopback interface that train together."""

import csv
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.errors import SettingsError
from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.hosts import Hosts, join_hosts
from liverseg_tf.train.session.fit import train
from liverseg_tf.train.settings import TrainSettings

ARGUMENTS = [
    *("--epochs", "2", "--steps-per-epoch", "4", "--base-filters", "4", "--depth", "2"),
    *("--batch-size", "4", "--deep-supervision", "2", "--precision", "float32", "--no-tune"),
    *("--loss", "dice-ce"),  # dice-topk takes the worst tenth on each host separately
]


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _start(store, run, extra=(), **variables):
    command = [sys.executable, "-m", "liverseg_tf", "train", str(store.folder), str(run)]
    return subprocess.Popen(
        [*command, *ARGUMENTS, *extra],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _log(run):
    with open(run / "log.csv") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_two_hosts_have_the_same_losses_as_one(blob_store, tmp_path):
    command = ["train", str(blob_store.folder), str(tmp_path / "one"), *ARGUMENTS]
    single = CliRunner().invoke(liverseg, command)
    assert single.exit_code == 0, single.output

    workers = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    both = [
        _start(
            blob_store,
            tmp_path / "two",
            ["--hosts", "tf-config"],
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in (0, 1)
    ]
    for process in both:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    one, two = _log(tmp_path / "one"), _log(tmp_path / "two")
    assert len(one) == len(two) == 2
    for one_host, two_hosts in zip(one, two, strict=True):
        assert float(two_hosts["loss"]) == pytest.approx(float(one_host["loss"]), rel=1e-3)
        np.testing.assert_allclose(
            float(two_hosts["dice_liver"]), float(one_host["dice_liver"]), atol=0.02
        )
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {"model.keras", "run.json", "log.csv", "validation.csv", "curves.png"}


def test_missing_addresses_of_hosts_are_reported(monkeypatch):
    for variable in ("TF_CONFIG", "SLURM_STEP_NODELIST"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SettingsError, match="environment variable TF_CONFIG is not set"):
        join_hosts("tf-config")
    with pytest.raises(SettingsError, match="not a step of a Slurm job"):
        join_hosts("slurm")


@pytest.mark.parametrize("settings", [{"minutes": 1.0}, {"batch_size": 3}])
def test_settings_that_hosts_cannot_share_are_refused(blob_store, tmp_path, settings):
    class TwoReplicas:
        num_replicas_in_sync = 2

    with pytest.raises(SettingsError, match="Expected"):
        train(
            blob_store,
            tmp_path / "run",
            TrainSettings(**settings),
            ExecutionOptions(hosts=Hosts(TwoReplicas(), 0, 2)),
        )
    assert not (tmp_path / "run").exists()
