"""The status page of a node: HTML for people, JSON, Prometheus metrics and a health check.

It shows UIDs and reasons, and nothing that names a patient.
"""

import html
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from liverseg_tf import __version__
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.network_host import is_loopback
from liverseg_tf.printable import printable
from liverseg_tf.serve.node.background import Background
from liverseg_tf.serve.node.network.listener import Listener
from liverseg_tf.serve.node.queue.database import Database
from liverseg_tf.serve.node.queue.series_queue import SeriesQueue
from liverseg_tf.serve.node.settings import Listening

LOG = logging.getLogger("liverseg_tf.node")
_LISTED = 100
_TIMEOUT_S = 10
_CONTENT = "default-src 'none'; style-src 'unsafe-inline'"  # no scripts, nothing from elsewhere
_STYLE = "body{font-family:sans-serif}td,th{padding:2px 8px;text-align:left;vertical-align:top}"


class StatusPage:
    """Serves the state of a node over HTTP.

    Args:
        settings: Where it listens.
        database: Database of the node.
        queue: Queue of the node.
        listener: Listener of the node.
        background: Threads of the node.
    """

    def __init__(
        self,
        settings: Listening,
        database: Database,
        queue: SeriesQueue,
        listener: Listener,
        background: Background,
    ):
        self._settings, self._database, self._queue = settings, database, queue
        self._listener, self._background = listener, background
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._server is not None, "`start` comes first, and there is a page"
        return self._server.server_address[1]

    def start(self) -> None:
        """Begin to serve, in threads, unless the settings have no port.

        Raises:
            LiverSegError: If the port cannot be used.
        """
        host, port = self._settings.status_host, self._settings.status_port
        if port is None:
            return
        answers = {
            "/": (self._page, "text/html; charset=utf-8"),
            "/status.json": (self._json, "application/json"),
            "/metrics": (self._metrics, "text/plain; version=0.0.4; charset=utf-8"),
            "/health": (self._health, "text/plain; charset=utf-8"),
        }
        handler = type("_Handler", (_Handler,), {"answers": answers, "local": is_loopback(host)})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise LiverSegError(
                f"Expected to serve the status page on {host}, port {port}. Received: "
                f"{reason_of(error)}."
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def status(self) -> dict[str, Any]:
        """Return the state of the node as JSON values."""
        deliveries = self._database.rows(
            "SELECT destination, deliveries.state, COUNT(*) AS number FROM deliveries "
            "GROUP BY destination, deliveries.state"
        )
        series = []
        for one in self._queue.latest(_LISTED):
            sent = self._database.rows(
                "SELECT kind, revision, destination, deliveries.state, commitment, reason, "
                "COUNT(*) AS number FROM deliveries JOIN results ON results.id = result_id "
                "WHERE series_id = ? GROUP BY kind, revision, destination, deliveries.state, "
                "commitment, reason ORDER BY revision, kind",
                one.id,
            )
            series.append(vars(one) | {"deliveries": [dict(row) for row in sent]})
        return {
            "aet": self._settings.aet,
            "version": __version__,
            "failed_threads": self._background.dead,
            "series_by_state": self._queue.counts(),
            "instances": dict(self._listener.counts),
            "deliveries": [dict(row) for row in deliveries],
            "series": series,
        }

    def _json(self) -> tuple[int, str]:
        return 200, json.dumps(self.status(), indent=1)

    def _health(self) -> tuple[int, str]:
        self._queue.counts()  # raises an error if the queue cannot be read
        dead = self._background.dead
        return (503, f"ended: {', '.join(dead)}\n") if dead else (200, "ok\n")

    def _metrics(self) -> tuple[int, str]:
        status = self.status()
        lines = ["# TYPE liverseg_node_series gauge"]
        for state, number in status["series_by_state"].items():
            lines.append(f'liverseg_node_series{{state="{state}"}} {number}')
        lines.append("# TYPE liverseg_node_received counter")
        for outcome, number in status["instances"].items():
            lines.append(f'liverseg_node_received{{outcome="{outcome}"}} {number}')
        lines.append("# TYPE liverseg_node_deliveries gauge")
        for row in status["deliveries"]:
            place = row["destination"].replace('"', "'")
            labels = f'destination="{place}",state="{row["state"]}"'
            lines.append(f"liverseg_node_deliveries{{{labels}}} {row['number']}")
        return 200, "\n".join(lines) + "\n"

    def _page(self) -> tuple[int, str]:
        status = self.status()
        states = ", ".join(
            f"{number} {state}" for state, number in status["series_by_state"].items()
        )
        rows = []
        for one in status["series"]:
            sent = [
                f"{row['number']} {row['kind']}"
                + (f" (update {row['revision']})" if row["revision"] > 1 else "")
                + f" to {row['destination']}: {row['state']} {row['commitment']} {row['reason']}"
                for row in one["deliveries"]
            ]
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["last_received"]))
            cells = [one["id"], one["series_uid"], at, one["calling"], one["images"], one["state"]]
            cells += [one["reason"]]
            listed = "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in cells)
            places = "<br>".join(html.escape(printable(line)) for line in sent)
            rows.append(f"<tr>{listed}<td>{places}</td></tr>")
        names = "number|SeriesInstanceUID|last image|sent by|images|state|reason|results"
        head = "".join(f"<th>{name}</th>" for name in names.split("|"))
        title = html.escape(f"{status['aet']}: liverseg node {status['version']}")
        return 200, (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta http-equiv="refresh" content="10"><style>{_STYLE}</style></head><body>'
            f"<h1>{title}</h1><p>{html.escape(states)}. Not for diagnostic use.</p>"
            f"<table><tr>{head}</tr>{''.join(rows)}</table></body></html>"
        )


class _Handler(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, tuple[Callable[[], tuple[int, str]], str]]] = {}
    local = True
    timeout = _TIMEOUT_S
    server_version, sys_version = "liverseg", ""

    def do_GET(self) -> None:
        """Answer a request."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if self.local and not is_loopback(host.strip("[]")):
            # a page of another site whose name was pointed at this machine
            self._answer(403, "Expected a request to a loopback address.\n", "text/plain")
            return
        answer, kind = self.answers.get(self.path.partition("?")[0], (None, "text/plain"))
        if answer is None:
            self._answer(404, "Expected /, /status.json, /metrics or /health.\n", kind)
            return
        try:
            code, text = answer()
        except LiverSegError as error:
            code, text, kind = 503, f"{error}\n", "text/plain"
        self._answer(code, text, kind)

    def _answer(self, code: int, text: str, kind: str) -> None:
        content = text.encode("utf-8", "backslashreplace")
        with suppress(OSError):  # the reader has gone
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", _CONTENT)
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Log nothing: a monitoring program asks every few seconds."""
