"""Workers of a Dask cluster; needs the extra `distributed`."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

from liverseg_tf import __version__
from liverseg_tf.errors import LiverSegError, SettingsError

_POLL_S = 1.0


@dataclass(frozen=True)
class DaskCluster:
    """The workers of a Dask scheduler; they must have access to the same files at the same paths.

    If a worker is killed, the scheduler gives its job to another worker, up to three times in all.
    Workers may join and leave at any time.

    Args:
        address: Address of the scheduler, such as tcp://10.0.0.1:8786.
        timeout_s: Time to wait for the scheduler, and for a worker if there is none.
        count: Number of workers; 1, because it is unknown and changes.
    """

    address: str
    timeout_s: float = 60.0
    count: int = 1

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """Open the executor of the cluster.

        Raises:
            SettingsError: If Dask is not installed.
            LiverSegError: If no scheduler answers, or a worker has another version of liverseg_tf.
        """
        with _client(self) as client:
            _check_versions(client)
            executor = client.get_executor(pure=False)
            done = threading.Event()
            watch = threading.Thread(target=self._watch, args=(client, executor, done), daemon=True)
            watch.start()
            try:
                with executor:
                    yield executor
            finally:
                done.set()
                watch.join()

    def _watch(self, client, executor: Executor, done: threading.Event) -> None:
        """Cancel the jobs if there is no worker for `timeout_s`; they would wait forever."""
        left_s = self.timeout_s
        while not done.wait(_POLL_S):
            no_worker = client.status == "running" and not client.scheduler_info()["workers"]
            left_s = left_s - _POLL_S if no_worker else self.timeout_s
            if left_s <= 0:
                executor.shutdown(wait=False)
                return


@contextmanager
def _client(cluster: DaskCluster) -> Iterator:
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError(
            "Dask is not installed: install it with pip install 'liverseg_tf[distributed]'."
        ) from None
    # a lost scheduler is reported in one line instead of a traceback for each connection
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(cluster.address, timeout=cluster.timeout_s)
    except (OSError, ValueError) as error:
        raise LiverSegError(
            f"Expected a Dask scheduler at {cluster.address}. "
            f"Received: {' '.join(str(error).split()) or type(error).__name__}."
        ) from error
    with client:
        yield client


def _check_versions(client) -> None:
    for worker, version in client.run(_version, on_error="return").items():
        if version != __version__:
            raise LiverSegError(
                f"Expected liverseg_tf {__version__} on every Dask worker. Received {version} "
                f"on {worker}: install the same version."
            )


def _version() -> str:
    """Version that is installed on a worker."""
    return __version__
