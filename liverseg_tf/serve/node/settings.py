"""The settings of a DICOM node."""

from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.choices import NODE_RESULTS
from liverseg_tf.errors import SettingsError
from liverseg_tf.network_host import is_loopback
from liverseg_tf.serve.node.network.peer import Peer


@dataclass(frozen=True)
class Listening:
    """Where a node listens, and to whom.

    Args:
        aet: Title of its application entity.
        host: Address. Other machines reach only an address that is not of the loopback.
        port: TCP port of DICOM.
        allowed: Titles of the application entities that may connect. An empty tuple allows all.
        max_associations: Maximum number of associations at the same time.
        max_bytes: Maximum size of an instance.
        status_host: Address of the status page.
        status_port: TCP port of the status page; None if there is none, 0 for any free port.
    """

    aet: str = "LIVERSEG"
    host: str = "127.0.0.1"
    port: int = 11112
    allowed: tuple[str, ...] = ()
    max_associations: int = 10
    max_bytes: int = 1 << 29
    status_host: str = "127.0.0.1"
    status_port: int | None = 11113

    def check(self) -> None:
        """Check that only known nodes can connect from other machines.

        Raises:
            SettingsError: If the node listens to other machines and allows anyone.
        """
        if not self.allowed and not is_loopback(self.host):
            raise SettingsError(
                f"Expected --allow AET for each node that may send to {self.host}. "
                "Without it, the node listens on a loopback address only, such as 127.0.0.1."
            )


@dataclass(frozen=True)
class Waiting:
    """When a series is complete.

    Args:
        quiet_s: Seconds without a new slice after which a series is complete.
        query: Node that is asked for the number of images in a series; None asks nobody.
        give_up_s: Seconds without a new slice after which a series with missing images is refused.
    """

    quiet_s: float = 30.0
    query: Peer | None = None
    give_up_s: float = 3600.0


@dataclass(frozen=True)
class Results:
    """What is made of a series, and where it is sent.

    Args:
        kinds: Names among `choices.NODE_RESULTS`.
        destinations: Nodes to which the results are sent. Empty in a dry run.
        accepted: Rules of `liverseg check` whose errors become warnings.
    """

    kinds: tuple[str, ...] = ("seg", "sc")
    destinations: tuple[Peer, ...] = ()
    accepted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in NODE_RESULTS:
                raise SettingsError(
                    f"Expected results among {', '.join(NODE_RESULTS)}. Received '{kind}'."
                )


@dataclass(frozen=True)
class NodeSettings:
    """All settings of a node.

    Args:
        folder: Folder of the queue, of received files and of results.
        listening: Where it listens, and to whom.
        waiting: When a series is complete.
        results: What is made of a series, and where it is sent.
        keep_s: Seconds for which files are kept after a series is done or refused.
        free_bytes: Bytes of the disk that stay free: below, images are not accepted.
    """

    folder: Path
    listening: Listening = Listening()
    waiting: Waiting = Waiting()
    results: Results = Results()
    keep_s: float = 24 * 3600.0
    free_bytes: int = 256 << 20
