"""A small DICOMweb archive in memory: queries, retrieval and storage of instances."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pydicom

BOUNDARY = b"frontier"
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Archive:
    """The instances of an archive, and how it misbehaves.

    Attributes:
        instances: Bytes of each file by (study, series, instance).
        stored: Keys of the instances that a client stored, in their order.
        requests: (method, path, headers) of each request.
        extra: Number that is added to NumberOfSeriesRelatedInstances.
        refuse: Whether storage is refused.
        replace: Function that changes the answer (status, headers, body) to a path.
    """

    def __init__(self):
        self.instances, self.stored, self.requests = {}, [], []
        self.extra, self.refuse = 0, False
        self.replace = lambda path, answer: answer

    def add(self, content: bytes):
        """Add a file; return its key."""
        dataset = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        key = tuple(str(dataset[keyword].value) for keyword in UIDS)
        self.instances[key] = content
        return key

    def add_folder(self, folder):
        """Add all files of a folder; return the UID of the study."""
        return {self.add(path.read_bytes())[0] for path in folder.iterdir()}.pop()

    def headers(self):
        """Data sets of all instances, without pixels."""
        return {
            key: pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
            for key, content in self.instances.items()
        }

    def answer(self, path, query, body):
        """Return (status, content type, body) of a request; `body` is None for GET."""
        parts = [part for part in path.split("/") if part]
        uids = dict(zip(parts[::2], parts[1::2], strict=False))
        asked = [uids.get("studies"), uids.get("series"), uids.get("instances")]
        if body is not None:
            return self._store(body)
        if len(parts) == 6:
            content = self.instances.get(tuple(asked))
            if content is None:
                return 404, "text/plain", b"no such instance"
            header = b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
            end = b"\r\n--" + BOUNDARY + b"--"
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}'
            return 200, kind, header + content + end
        level = 1 if parts[-1] == "series" else 2
        found = {}
        for key, header in self.headers().items():
            if all(uid in (None, own) for uid, own in zip(asked, key, strict=True)):
                found.setdefault(key[: level + 1], header)
        entries = [self._describe(key, header) for key, header in sorted(found.items())]
        wanted = query.get("SeriesInstanceUID")
        if wanted:
            entries = [entry for entry in entries if entry["0020000E"]["Value"] == wanted]
        offset, limit = (int(query.get(name, [n])[0]) for name, n in (("offset", 0), ("limit", 99)))
        page = json.dumps(entries[offset : offset + limit]).encode()
        return 200, "application/dicom+json", page

    def _describe(self, key, header):
        entry = {"0020000D": {"vr": "UI", "Value": [key[0]]}}
        entry["0020000E"] = {"vr": "UI", "Value": [key[1]]}
        if len(key) == 3:
            entry["00080018"] = {"vr": "UI", "Value": [key[2]]}
            return entry
        count = sum(other[:2] == key for other in self.instances) + self.extra
        entry["00080060"] = {"vr": "CS", "Value": [header.Modality]}
        entry["00200011"] = {"vr": "IS", "Value": [int(header.SeriesNumber)]}
        entry["0008103E"] = {"vr": "LO", "Value": [header.SeriesDescription]}
        entry["00201209"] = {"vr": "IS", "Value": [count]}
        return entry

    def _store(self, body):
        body = body.lstrip(b"\r\n")
        boundary = body.split(b"\r\n", 1)[0]
        references = []
        for part in body.split(boundary)[1:-1]:
            content = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            header = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
            references.append(
                {
                    "00081150": {"vr": "UI", "Value": [header.SOPClassUID]},
                    "00081155": {"vr": "UI", "Value": [header.SOPInstanceUID]},
                    **({"00081197": {"vr": "US", "Value": [0xA700]}} if self.refuse else {}),
                }
            )
            if not self.refuse:
                self.stored.append(self.add(content))
        name = "00081198" if self.refuse else "00081199"
        answer = json.dumps({name: {"vr": "SQ", "Value": references}}).encode()
        return 202 if self.refuse else 200, "application/dicom+json", answer


@contextmanager
def serving(archive, tls=None):
    """Serve an archive on loopback; yield HOST:PORT.

    Args:
        archive: Archive.
        tls: SSL context of the server, for HTTPS.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer(None)

        def do_POST(self):
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(body)

        def _answer(self, body):
            url = urlsplit(self.path)
            archive.requests.append((self.command, self.path, dict(self.headers)))
            path = re.sub("^/dicom-web", "", url.path)
            status, kind, content = archive.replace(
                path, archive.answer(path, parse_qs(url.query), body)
            )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
