"""A Dask cluster as workers; needs the extra `distributed`."""

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
    """The workers of a Dask scheduler, which must see the same files under the same names.

    A worker that is killed takes its job along: the scheduler hands it to another one, and
    gives up after three. Workers may join and leave while a run goes on.

    Args:
        address: of the scheduler, as in tcp://10.0.0.1:8786.
        patience_s: how long to wait for a scheduler, and for a worker where none is left.
    """

    address: str
    patience_s: float = 60.0
    count: int = 1  # unknown, and workers come and go

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """The cluster's executor.

        Raises:
            SettingsError: when Dask is not installed.
            LiverSegError: when no scheduler answers, or a worker has another liverseg_tf.
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
        """Cancel the jobs when there has been no worker for a while; they would wait for ever."""
        left_s = self.patience_s
        while not done.wait(_POLL_S):
            alone = client.status == "running" and not client.scheduler_info()["workers"]
            left_s = left_s - _POLL_S if alone else self.patience_s
            if left_s <= 0:
                executor.shutdown(wait=False)
                return


@contextmanager
def _client(cluster: DaskCluster) -> Iterator:
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError(
            "Expected Dask for a cluster. Received none: pip install 'liverseg_tf[distributed]'"
        ) from None
    # a lost scheduler is told by our own line, not by a traceback of each connection
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(cluster.address, timeout=cluster.patience_s)
    except (OSError, ValueError) as error:
        raise LiverSegError(
            f"Expected a Dask scheduler at {cluster.address}. "
            f"Received: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    with client:
        yield client


def _check_versions(client) -> None:
    for worker, version in client.run(_version, on_error="return").items():
        if version != __version__:
            raise LiverSegError(
                f"Expected liverseg_tf {__version__} on every Dask worker. Received {version} "
                f"on {worker}."
            )


def _version() -> str:
    """What a worker has installed."""
    return __version__
