"""`liverseg node`: a DICOM node that segments what it receives."""

import logging
import signal
import sys
import threading

import click

from liverseg_tf.choices import NODE_RESULTS
from liverseg_tf.cli.shared import node_options, options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.model_options import model_option
from liverseg_tf.cli.shared.models import ModelLoader, resolve_models
from liverseg_tf.cli.shared.terminal import say
from liverseg_tf.printable import printable


@command("node")
@model_option(". Repeatable; the probabilities of several models are averaged.")
@click.option(
    "--folder",
    type=options.FOLDER,
    default="liverseg-node",
    help="Folder of the queue, of received files and of results. It holds data of patients, and "
    "only its owner can read it.",
)
@node_options.listening_options
@click.option(
    "--send",
    "destinations",
    multiple=True,
    metavar="AET@HOST:PORT",
    help="Node to which the results are sent. Repeatable. Needed without --dry-run.",
)
@click.option(
    "--result",
    "kinds",
    type=click.Choice(NODE_RESULTS),
    multiple=True,
    default=["seg", "sc"],
    help="What is made of a series: DICOM-SEG, secondary captures with contours and volumes, or "
    "RTSTRUCT. Repeatable.",
)
@node_options.waiting_and_limits
@options.accept_rule
@click.option(
    "--dry-run",
    is_flag=True,
    help="Receive, segment and write the results to FOLDER/results, but send nothing.",
)
def node(models, **settings) -> None:
    """Receive DICOM series, segment them and send the results.

    The node answers C-ECHO and stores what it receives by C-STORE. When a series is complete, it
    is segmented; the results go to the nodes of --send. A series that cannot be read exactly is
    refused, with a reason in the log and on the status page. Images that arrive after the results
    were sent lead to new results, which are marked as an update.

    The queue survives the end of the program at any moment. The same images sent again lead to the
    same results with the same UIDs.
    """
    _check_pynetdicom()
    from liverseg_tf.serve.node.node import Node
    from liverseg_tf.serve.node.segment_series import SeriesSegmenter

    node_settings, tls = _create_settings(settings)
    tls.server_context()  # wrong files are reported before the model is loaded
    load = ModelLoader(resolve_models(models))
    load.records()
    _log_to_stderr()
    predictor = load()
    results = node_settings.results
    segmenter = SeriesSegmenter(predictor, results.kinds, results.accepted)
    try:
        with Node(node_settings, segmenter, tls) as running:
            say(*_describe(node_settings, running))
            _wait(running.stopping)
            say("stopping", err=True)
    finally:
        if load.on_server:
            predictor.close()


def _check_pynetdicom() -> None:
    """Check that pynetdicom, which speaks DICOM, is installed."""
    from liverseg_tf.errors import LiverSegError

    try:
        import pynetdicom  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "Expected pynetdicom for a DICOM node (pip install 'liverseg_tf[node]'). "
            f"Received: {error}."
        ) from error


def _create_settings(settings):
    from liverseg_tf.errors import SettingsError
    from liverseg_tf.serve.node.network.peer import Peer, check_aet
    from liverseg_tf.serve.node.network.tls import TlsFiles
    from liverseg_tf.serve.node.settings import Listening, NodeSettings, Results, Waiting

    destinations = tuple(map(Peer.parse, settings["destinations"]))
    if bool(destinations) == settings["dry_run"]:
        raise SettingsError("Expected either --send AET@HOST:PORT or --dry-run.")
    listening = Listening(
        aet=check_aet(settings["aet"]),
        host=settings["host"],
        port=settings["port"],
        allowed=tuple(map(check_aet, settings["allow"])),
        max_associations=settings["max_associations"],
        max_bytes=settings["max_megabytes"] << 20,
        status_host=settings["status_host"],
        status_port=None if settings["no_status"] else settings["status_port"],
    )
    listening.check()
    waiting = Waiting(
        quiet_s=settings["quiet_seconds"],
        query=None if settings["query"] is None else Peer.parse(settings["query"]),
        give_up_s=settings["give_up_minutes"] * 60,
    )
    node_settings = NodeSettings(
        folder=settings["folder"],
        listening=listening,
        waiting=waiting,
        results=Results(tuple(settings["kinds"]), destinations, settings["accepted"]),
        keep_s=settings["keep_hours"] * 3600,
        free_bytes=settings["free_megabytes"] << 20,
    )
    files = (settings[f"tls_{name}"] for name in ("cert", "key", "ca", "out"))
    return node_settings, TlsFiles(*files)


def _describe(settings, running) -> list[str]:
    listening, results = settings.listening, settings.results
    places = ", ".join(map(str, results.destinations)) or "nobody (dry run)"
    lines = [
        f"{listening.aet} listens on {listening.host}, port {running.listener.port}; "
        f"{', '.join(results.kinds)} go to {places}",
        f"queue, images and results: {settings.folder}",
    ]
    if listening.status_port is not None:
        host = listening.status_host
        lines.append(f"status page: http://{host}:{running.status_page.port}/")
    return lines


def _log_to_stderr() -> None:
    """Log with times, in lines that are safe to show."""

    class Lines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("liverseg_tf.node")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # warnings and messages of libraries contain values of headers, such as names of patients
    logging.captureWarnings(True)
    for library in ("py.warnings", "pydicom", "pynetdicom"):
        silent = logging.getLogger(library)
        silent.handlers[:] = [logging.NullHandler()]
        silent.propagate = False


def _wait(stopping: threading.Event) -> None:
    """Wait until the program is told to end."""
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda number, frame: stopping.set())
    while not stopping.wait(1.0):  # on some systems, a wait without an end hides signals
        pass
