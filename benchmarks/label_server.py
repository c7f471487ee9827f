"""Load on `liverseg serve`.

    python benchmarks/label_server.py --model MODEL.onnx --studies DIR

It measures, in this order:

- `start`: the time until the server is ready, and its memory then;
- `latency`: the time of /infer beside that of `liverseg predict`'s own function with a loaded
  model, in alternation: from the request to the whole answer, and from the image to the mask file;
- `load`: 200 mixed requests, 8 at a time, every fifth of them malformed: every mask must be the
  right one, every malformed request must be refused with a status from 400 to 499, no session may
  be lost, and the memory must not grow.

Each part is kept in --results; the same command goes on where it was interrupted.
"""

import argparse
import contextlib
import io
import json
import os
import random
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import numpy as np
from contest.results import describe_hardware
from label_client import serving
from measure import print_hardware
from rows import is_of, read_rows

from liverseg_tf.atomic import write_json
from liverseg_tf.cli.shared.models import ModelLoader, resolve_models
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.predict.api import segment
from liverseg_tf.predict.batch.find_images import find_images

BUSY = 503
PARTS = ("start", "latency", "load")
LIMITS = {("start", "seconds"): 3.0, ("start", "megabytes"): 500, ("latency", "ratio"): 1.1}
SLICER = json.dumps({"result_extension": ".nrrd", "result_dtype": "uint8"})


def main() -> None:
    options = parse_arguments()
    print_hardware()
    if not options.table:
        measure(options)
    print(make_table(read_rows(options.results)))


def measure(options: argparse.Namespace) -> None:
    """Measure the parts that are missing."""
    missing = [part for part in PARTS if not is_done(options, part)]
    if "start" in missing:
        keep(options, "start", measure_start(options))
    if not set(missing) - {"start"}:
        return
    images = find_images([options.studies]).images
    predictor = ModelLoader(resolve_models((options.model,)))()
    expected = {name: predict(path, predictor, options) for name, path in images.items()}
    masks = {name: labels.array for name, labels in expected.items()}
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), options) as url:
        load = Load(url, images, masks, Path(folder))
        if "latency" in missing:
            keep(options, "latency", load.latency(predictor, options))
        if "load" in missing:
            keep(options, "load", load.run(options.requests, options.in_flight))
        private = list((Path(folder) / "out" / "private").glob("*"))
        assert not private, f"left behind: {private}"


@contextlib.contextmanager
def server(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Start a server; yield its address."""
    given = ["--model", options.model, "--studies", options.studies, "--out", folder / "out"]
    given += [word for rule in options.accept for word in ("--accept", rule)]
    with serving(folder / "server.txt", *given, "--queue", 16) as url:
        yield url


def measure_start(options: argparse.Namespace) -> dict:
    """Measure the start several times; the first one reads the files from the disk."""
    wall, processor, memory = [], [], []
    for _ in range(options.starts + 1):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            with server(Path(folder), options):
                wall.append(time.perf_counter() - started)
                processor.append(processor_seconds())
                memory.append(megabytes()[1])
    return {
        "first_s": round(wall[0], 2),
        "seconds": round(statistics.median(wall[1:]), 2),
        "processor_s": round(statistics.median(processor[1:]), 2),
        "megabytes": round(max(memory)),
    }


def predict(path, predictor, options: argparse.Namespace):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return segment(path, predictor, accepted=options.accept)


def server_process() -> Path:
    """Return the folder of the server in /proc; it is the only child of this process."""
    children = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")
    (pid,) = children.read_text().split()
    return Path(f"/proc/{pid}")


def processor_seconds() -> float:
    """Return the processor time of the server so far."""
    user, system = (server_process() / "stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def megabytes() -> tuple[float, float]:
    """Return the memory of the server now, and its peak."""
    status = (server_process() / "status").read_text()
    now, peak = (
        int(status.partition(f"{key}:")[2].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")
    )
    return now, peak


def identity(options: argparse.Namespace, part: str) -> dict:
    return {"part": part, "model": Path(options.model).name, "data": options.studies.name}


def is_done(options: argparse.Namespace, part: str) -> bool:
    own = identity(options, part)
    return any(is_of(row, own) for row in read_rows(options.results))


def keep(options: argparse.Namespace, part: str, values: dict) -> None:
    """Add what was measured to the results."""
    row = {**identity(options, part), **values, "hardware": describe_hardware()}
    write_json(options.results, {"rows": [*read_rows(options.results), row]})


def make_table(rows: list[dict]) -> str:
    """Return a table in Markdown: what was measured, and what it may be at most."""
    lines = ["| model, images | part | measured | at most |", "|---|---|---|---|"]
    for row in rows:
        for name, value in row.items():
            if name not in ("part", "model", "data", "hardware"):
                limit = LIMITS.get((row["part"], name), "")
                shown = (
                    ", ".join(f"{n} {v}" for n, v in value.items())
                    if isinstance(value, dict)
                    else value
                )
                lines.append(
                    f"| {row['model']}, {row['data']} | {row['part']}: {name} | {shown} | {limit} |"
                )
    return "\n".join(lines)


class Load:
    """Requests to a server, and the check of its answers."""

    def __init__(self, url: str, images: dict, expected: dict, work: Path):
        self.url, self.images, self.expected, self.work = url, images, expected, work
        self.model = next(iter(self.json("GET", "/info/")["models"]))
        self.codes: Counter[str] = Counter()
        self.sessions: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def latency(self, predictor, options: argparse.Namespace) -> dict:
        """Compare /infer with the function of `liverseg predict`: read, predict, write."""
        name, path = next(iter(self.images.items()))
        served, local, served_cpu, local_cpu = [], [], [], []
        for repeat in range(options.repeats + 1):
            before, started = processor_seconds(), time.perf_counter()
            answer = self.ask(f"image={name}", {"result_extension": ".nii.gz"})
            first, cpu = time.perf_counter(), time.process_time()
            used = processor_seconds() - before
            write_labels(self.work / "own.nii.gz", predict(path, predictor, options))
            second, own = time.perf_counter(), time.process_time() - cpu
            np.testing.assert_array_equal(self.mask_of(answer), self.expected[name])
            if repeat:  # the first one is a warm-up
                served.append(first - started)
                local.append(second - first)
                served_cpu.append(used)
                local_cpu.append(own)
        ratios = [one / other for one, other in zip(served, local, strict=True)]
        return {
            "voxels": int(self.expected[name].size),
            "infer_s": round(statistics.median(served), 3),
            "predict_s": round(statistics.median(local), 3),
            "ratio": round(statistics.median(ratios), 3),
            "infer_processor_s": round(statistics.median(served_cpu), 2),
            "predict_processor_s": round(statistics.median(local_cpu), 2),
        }

    def run(self, requests: int, in_flight: int) -> dict:
        """Send mixed requests; raise an error at the first wrong answer."""
        before, started = megabytes()[1], time.perf_counter()
        with ThreadPoolExecutor(in_flight) as threads:
            for future in [threads.submit(self.one, number) for number in range(requests)]:
                future.result()
        seconds = time.perf_counter() - started
        for name, image in self.sessions:  # none is lost
            mask = self.infer(f"image=x&session_id={name}")
            np.testing.assert_array_equal(mask, self.expected[image])
            self.json("DELETE", f"/session/{name}")
        return {
            "requests": dict(self.codes),
            "seconds": round(seconds, 1),
            "sessions": len(self.sessions),
            "megabytes_before": round(before),
            "megabytes_after": round(megabytes()[1]),
        }

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
        return self.mask_of(self.ask(query, params, file))

    def ask(self, query: str, params: dict | None = None, file: Path | None = None) -> bytes:
        """Predict, wait when the server says so, and return the whole answer."""
        params = json.loads(SLICER) | (params or {})
        body, headers = form({"params": json.dumps(params)}, {"file": file} if file else {})
        code, answer = self.send("POST", f"/infer/{self.model}?{query}", body, headers)
        assert code == 200
        return answer

    def mask_of(self, answer: bytes) -> np.ndarray:
        """Return the mask in the latest answer of this thread."""
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


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="Model that is served; an export needs no TensorFlow.")
    parser.add_argument("--studies", type=Path, help="Images.")
    parser.add_argument("--accept", action="append", default=[], help="As in serve.")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "label_server.json"
    )
    parser.add_argument("--table", action="store_true", help="Only print the table.")
    options = parser.parse_args()
    if not options.table and (options.model is None or options.studies is None):
        parser.error("Expected --model and --studies, or --table.")
    if options.studies is not None:
        options.studies = options.studies.absolute()
    return options


if __name__ == "__main__":
    main()
