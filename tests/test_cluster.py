"""A real Dask scheduler with two real workers on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("distributed")

from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.cluster import DaskCluster
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.workers import run_jobs

pytestmark = pytest.mark.slow
DIES = "__import__('os')._exit(3)"


class Cluster:
    """Processes that a user starts: `dask scheduler`, and `dask worker ADDRESS` twice.

    `options` are further ones of the workers.
    """

    def __init__(self, folder, *options):
        self.folder = folder
        file = folder / "scheduler.json"
        self.scheduler = self.start(
            "scheduler",
            "--host=127.0.0.1",
            "--port=0",
            "--no-dashboard",
            f"--scheduler-file={file}",
        )
        until(file.exists)
        self.workers = [
            self.start(
                "worker", f"--scheduler-file={file}", "--host=127.0.0.1", "--nthreads=1",
                "--no-dashboard", f"--local-directory={folder}", *options,
            )
            for _ in range(2)
        ]  # fmt: skip

        from distributed import Client

        with Client(scheduler_file=str(file)) as client:
            self.address = client.scheduler.address
            client.wait_for_workers(2, timeout=60)

    def start(self, kind, *arguments):
        log = open(self.folder / "log", "ab")  # noqa: SIM115 (the process keeps it)
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def stop(self):
        for process in (*self.workers, self.scheduler):
            stop(process)


def stop(process):
    """Kill a process with its children: the nanny and the worker."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.stop()


@pytest.fixture
def own_cluster(tmp_path):
    cluster = Cluster(tmp_path, "--no-nanny")  # nanny processes start dead workers again
    yield cluster
    cluster.stop()


def preprocess(dataset, store, *options):
    arguments = ["preprocess", dataset, store, "--tile", 32, *options]
    return CliRunner().invoke(liverseg, [str(argument) for argument in arguments])


def test_a_data_set_is_cut_as_in_processes(cluster, tmp_path, make_dataset, monkeypatch):
    make_dataset(tmp_path / "data", count=5)
    broken = tmp_path / "data/images/case_1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-50])
    monkeypatch.chdir(tmp_path)  # another folder than that of the workers
    done = preprocess("data", "store", "--dask", cluster.address)
    assert done.exit_code == 1, done.output
    (error,) = [line for line in done.output.splitlines() if line.startswith("Error:")]
    for word in ("truncated", "(case case_1)"):
        assert word in error
    preprocess("data", "here", "--workers", 1)
    stores = [TileStore.open(tmp_path / name) for name in ("store", "here")]
    assert stores[0].cases == stores[1].cases
    assert len(stores[0].cases) == 4
    assert stores[0].split == stores[1].split


@pytest.mark.slow
def test_images_are_segmented_by_the_workers(cluster, tmp_path, make_dataset, untrained_run):
    make_dataset(tmp_path / "data", count=3, shape=(6, 40, 48))
    (tmp_path / "data/images/case_1.nii.gz").write_bytes(b"")
    arguments = ["predict", tmp_path / "data/images", "--model", untrained_run]
    for out, where in (("far", ["--dask", cluster.address]), ("here", [])):
        done = CliRunner().invoke(
            liverseg, list(map(str, [*arguments, "--out", tmp_path / out, *where]))
        )
        assert done.exit_code == 1, done.output
        assert "2 masks written, 1 failed" in done.output
    for name in ("case_0.nii.gz", "case_2.nii.gz"):
        far, here = (read_labels(tmp_path / out / name).array for out in ("far", "here"))
        assert (far != here).mean() < 0.001


def test_a_killed_worker_does_not_stop_other_jobs(cluster):
    jobs = ["1", DIES, "3", "4"]
    outcomes = dict(run_jobs(eval, jobs, DaskCluster(cluster.address)))
    died = outcomes.pop(1)
    assert isinstance(died, LiverSegError)
    assert "died (killed, or out of memory)" in str(died)
    assert outcomes == {0: 1, 2: 3, 3: 4}


def test_a_cluster_without_workers_does_not_hang(own_cluster):
    jobs = ["__import__('time').sleep(600)"] * 3
    gone = threading.Timer(2, lambda: [stop(worker) for worker in own_cluster.workers])
    gone.start()
    outcomes = dict(run_jobs(eval, jobs, DaskCluster(own_cluster.address, timeout_s=2)))
    gone.join()
    assert len(outcomes) == 3
    for outcome in outcomes.values():
        assert "no worker left" in str(outcome)


def test_a_scheduler_that_is_killed_does_not_hang(own_cluster):
    jobs = ["__import__('time').sleep(600)"] * 3
    gone = threading.Timer(2, lambda: stop(own_cluster.scheduler))
    gone.start()
    outcomes = dict(run_jobs(eval, jobs, DaskCluster(own_cluster.address, timeout_s=2)))
    gone.join()
    assert len(outcomes) == 3
    for outcome in outcomes.values():
        assert isinstance(outcome, LiverSegError)


def test_a_missing_scheduler_is_reported_in_one_line(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data")
    with pytest.raises(LiverSegError, match="Expected a Dask scheduler at tcp:"):
        list(run_jobs(eval, ["1"], DaskCluster("tcp://127.0.0.1:9", timeout_s=1)))
    done = preprocess(data, tmp_path / "store", "--dask", "nonsense://x")
    assert done.exit_code == 1
    assert "Expected a Dask scheduler at nonsense://x" in done.output
