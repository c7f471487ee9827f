"""An Orthanc of its own on loopback, with a Lua script that routes CT series to a node."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_OPENER = build_opener(ProxyHandler({}))
# images of CT only: the results of the node are of other classes
_ROUTE = """
function OnStoredInstance(id, tags, metadata, origin)
  if tags['SOPClassUID'] == '1.2.840.10008.5.1.4.1.1.2' then
    SendToModality(id, 'node')
  end
end
"""


def find_orthanc() -> str | None:
    """Return the program, if it is installed with its DICOMweb plug-in."""
    found = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    return found if found and _PLUGIN.exists() else None


def free_port() -> int:
    """Return a TCP port of loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Orthanc:
    """A running Orthanc; its data are removed with its folder.

    Args:
        folder: Folder for its configuration, its data and its log.
        node_port: Port of the node to which it may send.
        routes: Whether every CT image that it stores is sent to the node.
    """

    def __init__(self, folder: Path, node_port: int, routes: bool = False):
        program = find_orthanc()
        assert program is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.dicom_port, self.http_port = free_port(), free_port()
        (folder / "route.lua").write_text(_ROUTE)
        configuration = {
            "Name": "test",
            "StorageDirectory": str(folder / "data"),
            "IndexDirectory": str(folder / "data"),
            "Plugins": [str(_PLUGIN)],
            "LuaScripts": [str(folder / "route.lua")] if routes else [],
            "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowFind": True,
            "DicomModalities": {"node": ["LIVERSEG", "127.0.0.1", node_port]},
            "DicomWeb": {"Enable": True},
            "StableAge": 2,
            "OverwriteInstances": False,
            "SynchronousCMove": False,
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self._command = [program, str(folder / "orthanc.json")]
        self.log = folder / "orthanc.log"
        self.start()

    def start(self) -> None:
        """Start it, on the same ports as before."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._wait()

    def get(self, path: str) -> object:
        """Return the JSON at a path of the REST API."""
        return json.loads(self.request(path))

    def request(self, path: str, content: bytes | None = None, **headers: str) -> bytes:
        """Return the answer to a request; POST if there is content."""
        url = f"http://127.0.0.1:{self.http_port}/{path}"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        with _OPENER.open(Request(url, content, given), timeout=60) as answer:
            return answer.read()

    def push(self, paths: list[Path]) -> None:
        """Store files through the REST API."""
        for path in paths:
            self.request("instances", path.read_bytes(), Content_Type="application/dicom")

    def instances(self, modality: str) -> list[dict]:
        """Return the main tags of all instances of a modality."""
        query = {"Level": "Series", "Query": {"Modality": modality}, "Expand": True}
        found = json.loads(self.request("tools/find", json.dumps(query).encode()))
        return [
            self.get(f"instances/{one}/simplified-tags")
            for series in found
            for one in series["Instances"]
        ]

    def fetch(self, study_uid: str, modality: str) -> list[bytes]:
        """Return the DICOM files of a study and a modality, through DICOMweb (QIDO and WADO)."""
        accept = "application/dicom+json"
        path = f"dicom-web/studies/{study_uid}/instances?Modality={modality}"
        files = []
        for item in json.loads(self.request(path, Accept=accept)):
            series, instance = (item[tag]["Value"][0] for tag in ("0020000E", "00080018"))
            place = f"dicom-web/studies/{study_uid}/series/{series}/instances/{instance}"
            kind = 'multipart/related; type="application/dicom"; transfer-syntax=*'
            answer = self.request(place, Accept=kind)
            boundary = answer.split(b"\r\n", 1)[0]
            body = answer.split(b"\r\n\r\n", 1)[1]
            files.append(body[: body.rindex(b"\r\n" + boundary)])
        return files

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("system")
                return
            except (URLError, HTTPError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"Orthanc does not start: {self.log.read_text()[-2000:]}")
