"""Load on `liverseg serve`.

`python benchmarks/label_server.py --model MODEL --studies DIR --work NEW`

It measures, in this order:

- the start of the server and its memory;
- the latency of /infer beside that of `liverseg predict`'s own function with a loaded model, in
  alternation;
- 200 mixed requests, 8 at a time, every fifth of them malformed: every mask must be the right one,
  every malformed request must be refused with a status from 400 to 499, no session may be lost, and
  the memory must not grow.
"""

import argparse
import io
import json
import os
import random
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import numpy as np
from label_client import serving
from measure import print_hardware

from liverseg_tf.cli.shared.models import ModelLoader, resolve_models
from liverseg_tf.ct.images import read_image
from liverseg_tf.predict.api import segment
from liverseg_tf.predict.batch.find_images import find_images

BUSY = 503
SLICER = json.dumps({"result_extension": ".nrrd", "result_dtype": "uint8"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="New folder.")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True)
    print_hardware()
    images = find_images([arguments.studies]).images
    predictor = ModelLoader(resolve_models((arguments.model,)))()
    expected = {name: segment(path, predictor).array for name, path in images.items()}
    options = ["--model", arguments.model, "--studies", arguments.studies]
    log = arguments.work / "server.txt"
    started = time.perf_counter()
    with serving(log, *options, "--out", arguments.work / "out", "--queue", 16) as url:
        ready = time.perf_counter() - started
        load = Load(url, images, expected, arguments.work)
        print(f"ready after {ready:.2f} s; {load.memory()}")
        print(load.latency(predictor, arguments.repeats))
        print(load.run(arguments.requests, arguments.in_flight))
    private = list((arguments.work / "out" / "private").glob("*"))
    assert not private, f"left behind: {private}"


class Load:
    """Requests to a server, and the check of its answers."""

    def __init__(self, url: str, images: dict, expected: dict, work: Path):
        self.url, self.images, self.expected, self.work = url, images, expected, work
        self.model = next(iter(self.json("GET", "/info/")["models"]))
        self.codes: Counter[str] = Counter()
        self.sessions: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def memory(self) -> str:
        """Return the memory of the server, which is a child of this process."""
        status = (self._process() / "status").read_text()
        now, peak = (
            int(status.partition(f"{key}:")[2].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")
        )
        return f"{now:.0f} MB, at most {peak:.0f} MB"

    def processor_seconds(self) -> float:
        """Return the processor time of the server so far."""
        user, system = (self._process() / "stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _process(self) -> Path:
        children = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")
        (pid,) = children.read_text().split()
        return Path(f"/proc/{pid}")

    def latency(self, predictor, repeats: int) -> str:
        """Compare /infer with the function of `liverseg predict`: read, predict, write."""
        from liverseg_tf.ct.nifti import write_labels

        name, path = next(iter(self.images.items()))
        served, local, served_cpu, local_cpu = [], [], [], []
        for repeat in range(repeats + 1):
            before, started = self.processor_seconds(), time.perf_counter()
            answer = self.infer(f"image={name}", {"result_extension": ".nii.gz"})
            first, cpu = time.perf_counter(), time.process_time()
            used = self.processor_seconds() - before
            write_labels(self.work / "mask.nii.gz", segment(path, predictor))
            second, own = time.perf_counter(), time.process_time() - cpu
            np.testing.assert_array_equal(answer, self.expected[name])
            if repeat:  # the first one is a warm-up
                served.append(first - started)
                local.append(second - first)
                served_cpu.append(used)
                local_cpu.append(own)
        ratios = [one / other for one, other in zip(served, local, strict=True)]
        return (
            f"/infer {statistics.median(served):.3f} s, predict {statistics.median(local):.3f} s; "
            f"ratio {statistics.median(ratios):.3f} (medians of {repeats}); processor time "
            f"{statistics.median(served_cpu):.2f} s and {statistics.median(local_cpu):.2f} s"
        )

    def run(self, requests: int, in_flight: int) -> str:
        """Send mixed requests; raise an error at the first wrong answer."""
        before, started = self.memory(), time.perf_counter()
        with ThreadPoolExecutor(in_flight) as threads:
            for future in [threads.submit(self.one, number) for number in range(requests)]:
                future.result()
        seconds = time.perf_counter() - started
        for name, image in self.sessions:  # none is lost
            mask = self.infer(f"image=x&session_id={name}")
            np.testing.assert_array_equal(mask, self.expected[image])
            self.json("DELETE", f"/session/{name}")
        return (
            f"{requests} requests, {in_flight} at a time, in {seconds:.1f} s: {dict(self.codes)}; "
            f"{len(self.sessions)} sessions, none lost; "
            f"memory {before} before, {self.memory()} after"
        )

    def one(self, number: int) -> None:
        """Send one request of a kind that its number decides."""
        chosen = random.Random(number)
        name = chosen.choice(list(self.images))
        kind = ("bad", "infer", "upload", "session", "info")[number % 5]
        if kind == "bad":
            self.bad(chosen)
        elif kind == "infer":
            extension = chosen.choice([".nrrd", ".nii.gz"])
            mask = self.infer(f"image={name}", {"result_extension": extension})
            np.testing.assert_array_equal(mask, self.expected[name])
        elif kind == "upload":
            mask = self.infer("image=x", {}, self.images[name])
            np.testing.assert_array_equal(mask, self.expected[name])
        elif kind == "session":
            body, headers = form({}, {"files": self.images[name]})
            session = json.loads(self.send("PUT", "/session/", body, headers)[1])["session_id"]
            if number % 2:  # it is used at once; the others are kept until the end
                mask = self.infer(f"image=x&session_id={session}")
                np.testing.assert_array_equal(mask, self.expected[name])
                self.json("DELETE", f"/session/{session}")
            else:
                with self.lock:
                    self.sessions.append((session, name))
        else:
            assert self.json("GET", "/info/")["datastore"]["total"] >= len(self.images)
        with self.lock:
            self.codes[kind] += 1

    def bad(self, chosen: random.Random) -> None:
        """Send a malformed request, which must be refused."""
        noise = bytes(chosen.randrange(256) for _ in range(chosen.randrange(2000)))
        path = self.work / f"noise-{threading.get_ident()}.nii.gz"
        path.write_bytes(noise)
        body, headers = form({"params": SLICER}, {"file": path})
        kind = {"content-type": "multipart/form-data; boundary=x"}
        requests = [
            ("POST", f"/infer/{self.model}", body, headers),
            ("POST", f"/infer/{self.model}?image=../../etc/passwd", b"", {}),
            ("POST", f"/infer/{self.model}?image=x", noise, kind),
            ("POST", f"/infer/{self.model}?session_id=%00", b"", {}),
            ("POST", "/infer/none", body, headers),
            ("PUT", "/session/", body[: len(body) // 2], headers),
            ("PUT", "/datastore/label?image=none", body, headers),
            ("POST", "/activelearning/first", noise, {"content-type": "application/json"}),
            ("GET", "/datastore/label?label=x&tag=%2e%2e", None, {}),
            ("DELETE", "/datastore/image?id=" + next(iter(self.images)), None, {}),
        ]
        method, selector, content, header = chosen.choice(requests)
        code, answer = self.send(method, selector, content, header, allowed=range(400, 500))
        assert code != 200, (method, selector)
        detail = json.loads(answer)["detail"]
        assert isinstance(detail, str), detail
        assert "\n" not in detail, detail

    def infer(self, query: str, params: dict | None = None, file: Path | None = None) -> np.ndarray:
        """Predict, wait when the server says so, and return the mask."""
        params = json.loads(SLICER) | (params or {})
        body, headers = form({"params": json.dumps(params)}, {"file": file} if file else {})
        code, answer = self.send("POST", f"/infer/{self.model}?{query}", body, headers)
        assert code == 200
        kind = self.content_type.value
        parts = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + answer).get_payload()
        image = next(part for part in parts if part.get_filename())
        path = self.work / f"{image.get_filename()}"
        path.write_bytes(image.get_payload(decode=True))
        mask = read_image(path).array
        path.unlink()
        return mask

    content_type = threading.local()

    def json(self, method: str, selector: str):
        """Send a request without a body, and return the JSON of its answer."""
        return json.loads(self.send(method, selector)[1])

    def send(self, method: str, selector: str, body=None, headers=None, allowed=()):
        """Send a request; repeat it as long as the server is busy."""
        while True:
            request = urllib.request.Request(
                self.url + selector, body, headers or {}, method=method
            )
            try:
                with urllib.request.urlopen(request, timeout=600) as answer:
                    self.content_type.value = answer.headers["content-type"]
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                if error.code == BUSY:
                    with self.lock:
                        self.codes["busy"] += 1
                    time.sleep(min(1.0, int(error.headers["retry-after"])))
                    continue
                if error.code not in allowed:
                    raise AssertionError((method, selector, error.code, error.read())) from error
                return error.code, error.read()


def form(fields: dict[str, str], files: dict[str, Path]) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a form."""
    body = io.BytesIO()
    for name, value in fields.items():
        part = f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        body.write(part.encode())
    for name, path in files.items():
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{path.name}"'
        body.write(f"--limit\r\n{disposition}\r\n\r\n".encode() + path.read_bytes() + b"\r\n")
    body.write(b"--limit--\r\n")
    return body.getvalue(), {"content-type": "multipart/form-data; boundary=limit"}


if __name__ == "__main__":
    main()
