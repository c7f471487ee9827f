"""A simulated annotator: does correcting the most uncertain image help more than a random one?

`python benchmarks/annotator.py --model RUN --images DIR --labels DIR --test-images DIR
--test-labels DIR --work NEW`

For each strategy, a server of its own starts with the same run. In each round, the annotator asks
for the next image, replaces its label by the truth, and lets the server fine-tune the run. After
each round, the test images are predicted with the model that the server then uses. The table and
the plot show the mean Dice over the corrected cases.
"""

import argparse
import contextlib
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from label_client import serving
from label_server import form
from measure import print_hardware

from liverseg_tf.ct.images import read_label_image
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.cases import find_image_sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="Run of the first model.")
    parser.add_argument("--images", type=Path, required=True, help="Images to correct.")
    parser.add_argument("--labels", type=Path, required=True, help="Their true labels.")
    parser.add_argument("--test-images", type=Path, required=True)
    parser.add_argument("--test-labels", type=Path, required=True)
    parser.add_argument("--region", action="append", help="As in predict; liver and tumour.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=2.0, help="Fine-tuning in each round.")
    parser.add_argument("--seeds", type=int, default=2, help="Repeats of the strategy random.")
    parser.add_argument("--accept", default="", help="As in serve, for the servers.")
    parser.add_argument("--work", type=Path, required=True, help="New folder.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True)
    print_hardware()
    regions = Regions.parse(arguments.region or ["liver=1,2", "tumour=2"])
    curves = {}
    for strategy in ("uncertain", *(f"random {seed}" for seed in range(arguments.seeds))):
        curves[strategy] = _annotate(strategy, regions, arguments)
        (arguments.work / "curves.json").write_text(json.dumps(curves, indent=2))
    _plot(curves, arguments.work / "annotator.png")
    print(f"plot: {arguments.work / 'annotator.png'}")


def _annotate(strategy: str, regions: Regions, arguments) -> list[dict]:
    """Correct images in the order of a strategy; return the Dice after each of them."""
    work = arguments.work / strategy.replace(" ", "-")
    work.mkdir()
    labels = find_image_sources(arguments.labels)
    seed = strategy.partition(" ")[2]
    order = np.random.default_rng(int(seed or 0)).permutation(sorted(labels)).tolist()
    options = ["--model", arguments.model, "--studies", arguments.images, "--out", work / "out"]
    options += ["--accept", arguments.accept] if arguments.accept else []
    curve = []
    with serving(work / "server.txt", *options) as url:
        model = next(iter(_call(url, "GET", "/info/")["models"]))
        for corrected in range(arguments.rounds + 1):
            result = ""
            if corrected:
                name = order[corrected - 1] if seed else _most_uncertain(url)
                body, headers = form({}, {"label": labels[name]})
                _call(url, "PUT", f"/datastore/label?image={name}", body, headers)
                result = _fine_tune(url, model, arguments.minutes)
            dice = _score(url, model, regions, arguments)
            curve.append({"corrected": corrected, "dice": dice, "result": result})
            print(f"{strategy:12} {corrected} corrected: Dice {dice:.3f}  {result}", flush=True)
    return curve


def _most_uncertain(url: str) -> str:
    """Return the image that the server proposes after it has measured all of them."""
    while True:
        with contextlib.suppress(urllib.error.HTTPError):  # none is measured yet
            answer = _call(url, "POST", "/activelearning/uncertain")
            if answer["scored"] == answer["total"]:
                return answer["id"]
        time.sleep(1)


def _fine_tune(url: str, model: str, minutes: float) -> str:
    body = json.dumps({"minutes": minutes}).encode()
    _call(url, "POST", f"/train/{model}", body, {"content-type": "application/json"})
    while (task := _call(url, "GET", "/train/"))["status"] == "RUNNING":
        time.sleep(1)
    assert task["status"] == "DONE", task
    return task["result"]


def _score(url: str, model: str, regions: Regions, arguments) -> float:
    """Return the mean Dice over regions and test images, of the masks of the server."""
    scores: dict[str, list[float]] = {name: [] for name in regions.names}
    truths = find_image_sources(arguments.test_labels)
    for name, image in find_image_sources(arguments.test_images).items():
        body, headers = form({}, {"file": image})
        path = arguments.work / "mask.nii.gz"
        path.write_bytes(_send(url, "POST", f"/infer/{model}?output=image", body, headers))
        mask, truth = read_label_image(path).array, read_label_image(truths[name]).array
        for region, values in scores.items():
            one, other = regions.mask(mask, region), regions.mask(truth, region)
            total = one.sum() + other.sum()
            if total:
                values.append(2 * (one & other).sum() / total)
    return float(np.mean([np.mean(values) for values in scores.values() if values]))


def _call(url: str, method: str, selector: str, body: bytes | None = None, headers=None):
    return json.loads(_send(url, method, selector, body, headers))


def _send(url: str, method: str, selector: str, body: bytes | None = None, headers=None) -> bytes:
    request = urllib.request.Request(url + selector, body, headers or {}, method=method)
    with urllib.request.urlopen(request, timeout=1200) as answer:
        return answer.read()


def _plot(curves: dict[str, list[dict]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for strategy, curve in curves.items():
        uncertain = strategy == "uncertain"
        axes.plot(
            [point["corrected"] for point in curve],
            [point["dice"] for point in curve],
            "o-" if uncertain else ".--",
            color="C0" if uncertain else "C7",
            label=strategy,
        )
    axes.set(xlabel="corrected images", ylabel="mean Dice of the test images", ylim=(0, 1))
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
