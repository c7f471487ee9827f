"""The official client of MONAI Label against `liverseg serve`: `python benchmarks/label_client.py`.

Every method of the client is called with the image and its label, as 3D Slicer's module does it.
The mask of each prediction must equal that of `liverseg predict`, voxel for voxel and in its
geometry. See benchmarks/peers/monailabel_client.py for the environment of the client.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import print_hardware

from liverseg_tf.ct.images import read_image

CLIENT = Path(__file__).parent / "peers" / "monailabel_client.py"


@contextlib.contextmanager
def serving(log: Path, *arguments: object, environment: dict | None = None) -> Iterator[str]:
    """Start `liverseg serve` on a free port; yield its address, and stop it at the end.

    Args:
        log: File for what the server prints.
        arguments: Options of the command, without the port.
        environment: Environment of the server; None takes that of this process.
    """
    command = [sys.executable, "-m", "liverseg_tf", "serve", "--port", 0, *arguments]
    with (
        open(log, "w") as output,
        subprocess.Popen(
            [*map(str, command)], stdout=output, stderr=subprocess.STDOUT, env=environment
        ) as server,
    ):
        try:
            while (found := re.search(r"serving at (\S+)", log.read_text())) is None:
                if server.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.05)
            yield found[1]
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", type=Path, required=True, help="Python of the client.")
    parser.add_argument("--model", type=Path, required=True, help="Run that is served.")
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--label", type=Path, required=True)
    parser.add_argument("--studies", type=Path, required=True, help="Further images.")
    parser.add_argument("--labels", type=Path, required=True, help="Their labels.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=0.5, help="Fine-tuning; 0: none.")
    parser.add_argument("--token", default="", help="Token that the server asks for.")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    work.mkdir(parents=True)
    print_hardware()
    model = ["--model", arguments.model]
    liverseg = [sys.executable, "-m", "liverseg_tf"]
    predict = [*liverseg, "predict", arguments.image, *model, "--out", work / "predicted"]
    subprocess.run([*map(str, predict)], check=True)
    (expected,) = (work / "predicted").glob("*.nii.gz")
    others = sorted(arguments.labels.iterdir())[:3]
    settings = {
        "work": str(work),
        "image": str(arguments.image),
        "label": str(arguments.label),
        "others": {path.name.partition(".")[0]: str(path) for path in others},
        "minutes": arguments.minutes,
        "token": arguments.token,
    }
    options = [*model, "--studies", arguments.studies, "--out", work / "labels"]
    environment = os.environ | {"LIVERSEG_SERVER_TOKEN": arguments.token}
    with serving(work / "server.txt", *options, environment=environment) as url:
        settings["url"] = url
        done = subprocess.run(
            [str(arguments.client), str(CLIENT), json.dumps(settings)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nThe server said:\n{(work / 'server.txt').read_text()}")
    steps = json.loads(done.stdout.splitlines()[-1])
    for name, step in steps.items():
        found = _check(name, step["result"], expected, settings)
        print(f"{name:24} {step['seconds']:8.2f} s  {found}")


def _check(name: str, result, expected: Path, settings: dict) -> str:
    if name in ("infer session", "infer image", "infer file"):
        file, params = result
        same = _same(Path(file), expected)
        assert same, f"{name}: another mask than that of `liverseg predict`"
        return f"mask equal to that of predict; {params['volumes_ml']}"
    if name == "download label":
        assert _same(Path(result), Path(settings["label"])), "another label than the one saved"
        return "label equal to the one that was saved"
    if name == "train status":
        assert result["status"] == "DONE", result
        return result["result"]
    if name == "stop":
        assert result["status"] == "STOPPED", result
        return result["result"]
    text = json.dumps(result)
    return text if len(text) < 200 else f"{text[:197]}..."


def _same(one: Path, other: Path) -> bool:
    first, second = read_image(one), read_image(other)
    return np.array_equal(first.array, second.array) and np.allclose(
        first.affine, second.affine, atol=1e-4
    )


if __name__ == "__main__":
    main()
