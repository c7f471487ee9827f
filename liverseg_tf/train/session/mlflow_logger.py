"""Logs a run to MLflow: a folder, or a tracking server, whose failures never stop a training."""

import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from liverseg_tf.atomic import write_json
from liverseg_tf.errors import LiverSegError, SettingsError, first_line
from liverseg_tf.printable import printable, shorten_home
from liverseg_tf.records import read_record

ID_FILE = "mlflow.json"  # in the folder of the run, so that a resumed run continues the same entry
EXPERIMENT = "liverseg_tf"
_CLOSING_SECONDS = 30.0
_MAX_MESSAGE = 300
# MLflow reports its use to its makers unless this says no; a server that does not answer is left
# after a minute; from version 3.13 on, folders are used only if this allows it
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}


class MlflowLogger:
    """Sends the epochs of a run to MLflow, in a thread of its own.

    After the first failure, nothing more is sent, and a warning is given once.

    Args:
        target: Folder, or address of a tracking server; see `check_target`.
        folder: Folder of the run.
        parameters: Settings of the run, by name.
        warn: Function that is called with the warning.

    Raises:
        SettingsError: If the target is neither, or MLflow is not installed.
    """

    def __init__(
        self,
        target: str,
        folder: Path,
        parameters: Mapping[str, Any],
        warn: Callable[[str], None],
    ):
        address = check_target(target)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._target, self._folder, self._warn = target, Path(folder), warn
        self._client = MlflowClient(tracking_uri=address)
        self._run_id = ""
        self._failure: str | None = None
        self._has_warned = False
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()
        self._submit(lambda: self._begin(dict(parameters)))

    def log_row(self, row: Mapping[str, float]) -> None:
        """Send the finite numbers of a row of `log.csv`, at its step."""
        values, step, now = _metric_values(row), int(row["step"]), _now_ms()

        def send() -> None:
            from mlflow.entities import Metric

            metrics = [Metric(name, value, now, step) for name, value in values.items()]
            self._client.log_batch(self._run_id, metrics=metrics)

        self._submit(send)

    def close(self, status: str, dice: Mapping[str, float] | None = None) -> None:
        """Send the result, the curves and how the run ended; wait at most half a minute for it.

        Args:
            status: One of MLflow's words: FINISHED, KILLED, FAILED.
            dice: Dice of each region of the saved model.
        """
        best = _metric_values({f"best_dice_{name}": one for name, one in (dice or {}).items()})

        def send() -> None:
            for name, value in best.items():
                self._client.log_metric(self._run_id, name, value)
            for name in ("curves.png", "log.csv"):  # neither names a case
                if (self._folder / name).is_file():
                    self._client.log_artifact(self._run_id, str(self._folder / name))
            self._client.set_terminated(self._run_id, status)

        self._submit(send)
        self._jobs.put(None)
        self._thread.join(_CLOSING_SECONDS)
        if self._thread.is_alive():
            self._failure = f"no answer within {_CLOSING_SECONDS:.0f} s"
        self._warn_once()

    def _submit(self, job: Callable[[], None]) -> None:
        self._warn_once()
        if self._failure is None:
            self._jobs.put(job)

    def _work(self) -> None:
        """Run the jobs in their order, until the first failure."""
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # of MLflow, its plugins, the network, the disk
                self._failure = _reason(error)
                return

    def _warn_once(self) -> None:
        if self._failure is not None and not self._has_warned:
            self._has_warned = True
            self._warn(
                f"MLflow cannot log this run to {printable(self._target)}: "
                f"{printable(self._failure).rstrip('.')}. The training goes on."
            )

    def _begin(self, parameters: dict[str, Any]) -> None:
        """Create the entry of the run, or continue that of the run that was interrupted."""
        self._run_id = self._find_earlier() or self._create()
        from mlflow.entities import Param

        texts = {name: shorten_home(value)[:500] for name, value in parameters.items()}
        self._client.log_batch(
            self._run_id, params=[Param(name, text) for name, text in texts.items()]
        )

    def _find_earlier(self) -> str | None:
        from mlflow.exceptions import MlflowException

        path = self._folder / ID_FILE
        if not path.exists():
            return None
        try:
            run_id = read_record(path, dict[str, str]).get("run_id", "")
        except LiverSegError:  # half-written or replaced: log a new run
            return None
        if not re.fullmatch("[0-9a-f]{32}", run_id):
            return None
        try:
            self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # another folder or server
                return None
            raise
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        known = self._client.get_experiment_by_name(name)
        number = self._client.create_experiment(name) if known is None else known.experiment_id
        run_name = printable("/".join(self._folder.absolute().parts[-2:]))
        run_id = self._client.create_run(number, run_name=run_name).info.run_id
        write_json(self._folder / ID_FILE, {"run_id": run_id})
        return run_id


def check_target(target: str) -> str:
    """Return the address that MLflow takes for a folder or a tracking server.

    Args:
        target: Folder, or http://, https:// or sqlite:// address.

    Raises:
        SettingsError: If it is another address or holds a password, or if MLflow is not installed.
    """
    if find_spec("mlflow") is None:
        raise SettingsError(
            "MLflow is not installed. --mlflow needs it: pip install 'liverseg_tf[mlflow]'"
        )
    scheme = urlsplit(target).scheme if "://" in target else ""
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", target) or scheme not in ("", "http", "https", "sqlite"):
        raise SettingsError(
            "Expected --mlflow as a folder, or as an address that begins with http://, https:// or "
            f"sqlite://. Received {printable(target)}."
        )
    if "@" in urlsplit(target).netloc:
        raise SettingsError(
            "Expected an address of --mlflow without a password. Received one with it: use the "
            "variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    return target if scheme else str(Path(target).expanduser().absolute())


def _reason(error: BaseException) -> str:
    """Return why logging failed, without the addresses and the retries of the HTTP library."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__module__.startswith(("requests.", "urllib3.")):
            return "the server does not answer"
        cause = cause.__cause__ or cause.__context__
    return re.sub(r"//[^/@\s]+@", "//", first_line(error))[:_MAX_MESSAGE]


def _metric_values(row: Mapping[str, float]) -> dict[str, float]:
    """Return the finite numbers of a row under names that MLflow accepts, all of them different."""
    values: dict[str, float] = {}
    for column, value in row.items():
        if column in ("epoch", "step") or not math.isfinite(value):
            continue
        name = base = re.sub(r"[^\w\-. ]", "_", column, flags=re.ASCII)
        number = 1
        while name in values:
            number += 1
            name = f"{base}_{number}"
        values[name] = float(value)
    return values


def _now_ms() -> int:
    return round(time.time() * 1000)
