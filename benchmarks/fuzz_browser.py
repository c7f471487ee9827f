"""Damaged NIfTI files and DICOM series, read by the browser page's readers and by the package.

    python benchmarks/fuzz_browser.py --nifti 600 --series 400 --seed 0 --json fuzz.json

The readers of the page run under Node. A file that the package refuses must be refused with one
line of text, within the time limit; a file that both read must have equal voxels and geometry. The
page may refuse more: big-endian data, and damage that the package's libraries repair.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import fuzz_dicom
from fuzz_headers import make_nifti
from node import READ_IMAGES, run_node

from liverseg_tf.ct.images import read_image
from liverseg_tf.errors import LiverSegError

BATCH = 50
FORK = multiprocessing.get_context("fork")
SECONDS_PER_FILE = 10


def make_files(folder, options):
    """Yield the path of each damaged file or series, and what kind it is."""
    rng = np.random.default_rng(options.seed)
    for number in range(options.nifti):
        place = folder / f"nifti-{number}"
        place.mkdir()
        yield make_nifti(place, rng)[0], "NIfTI"
    for number in range(options.series):
        place = folder / f"series-{number}"
        # the encoders of compressed pixels may crash
        process = FORK.Process(target=make_series, args=(place, f"{options.seed}-{number}"))
        process.start()
        process.join()
        if process.exitcode == 0:
            yield place, "DICOM"


def make_series(place, seed):
    place.mkdir()
    chance = random.Random(seed)
    fuzz_dicom.write_series(place, chance)
    (place.parent / f"{place.name}.txt").write_text(fuzz_dicom.damage(place, chance))


def judge(source, result):
    """Compare the result of the page with that of the package: an outcome, and a text."""
    text = result.get("error")
    if text is not None and (result["kind"] != "LiverSegError" or "\n" in text or len(text) < 20):
        return "fault", f"an error without plain words: {text}"
    if result["seconds"] > SECONDS_PER_FILE:
        return "fault", f"{result['seconds']:.0f} s"
    reason, array, affine = read_apart(source)
    if reason is not None:
        return ("refused", text) if text else ("fault", f"read, but the package says: {reason}")
    if text is not None:
        return "refused by the page alone", text
    if tuple(result["shape"]) != array.shape or not np.array_equal(
        array.ravel(), result["array"], equal_nan=array.dtype.kind == "f"
    ):
        return "fault", "other voxels"
    scale = max(1.0, float(np.abs(affine).max()))
    if not np.allclose(result["affine"], affine, rtol=1e-9, atol=1e-9 * scale):
        return "fault", f"another affine: {result['affine']} and {affine.tolist()}"
    return "equal", ""


def read_apart(source):
    """Read with the package in a process of its own, since decoders of damaged pixels may crash.

    Returns:
        Why the image is refused, or None; and its voxels and affine.
    """
    pipe, other = multiprocessing.Pipe()
    process = FORK.Process(target=read, args=(source, other))
    process.start()
    other.close()
    try:
        answer = pipe.recv()
    except EOFError:
        answer = "the decoder crashed", None, None
    process.join()
    return answer


def read(source, pipe):
    warnings.simplefilter("ignore")
    try:
        image = read_image(source)
        # `predict` refuses an image without an orientation, a step later
        reason = "no orientation" if image.lacks_orientation else None
        pipe.send((reason, image.array, image.affine))
    except LiverSegError as error:
        pipe.send((str(error), None, None))


def read_batch(folder, sources):
    """Read files under Node; if the batch does not end in time, each of its files alone."""
    try:
        return run_node(folder / "node", READ_IMAGES, sources=[str(source) for source in sources])
    except (AssertionError, subprocess.TimeoutExpired) as error:
        if len(sources) == 1:
            return [{"error": str(error), "kind": "no answer", "seconds": 0.0}]
        return [result for source in sources for result in read_batch(folder, [source])]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nifti", type=int, default=600, help="number of NIfTI files")
    parser.add_argument("--series", type=int, default=400, help="number of DICOM series")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the counts and the faults")
    parser.add_argument(
        "--keep", type=Path, help="folder to which files that reveal a fault are copied"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-browser-"))
    started, outcomes, faults = time.monotonic(), {}, []
    made = list(make_files(folder, options))
    for start in range(0, len(made), BATCH):
        batch = made[start : start + BATCH]
        for (source, kind), result in zip(
            batch, read_batch(folder, [source for source, _ in batch]), strict=True
        ):
            outcome, text = judge(source, result)
            outcomes.setdefault(kind, Counter())[outcome] += 1
            if outcome == "fault":
                faults.append({"source": str(source), "text": text})
                print(f"{source.parent.name}/{source.name}: {text}", file=sys.stderr)
                if options.keep:
                    kept = source if source.is_dir() else source.parent
                    shutil.copytree(kept, options.keep / kept.name, dirs_exist_ok=True)
            if outcome == "refused by the page alone":
                reason = text.split("Received")[-1][:60]
                outcomes.setdefault(f"{kind}, reasons of the page", Counter())[reason] += 1
    shutil.rmtree(folder)
    print(f"seed {options.seed}, {time.monotonic() - started:.0f} s, faults: {len(faults)}")
    for kind, counts in outcomes.items():
        print(f"  {kind}: {dict(counts.most_common(12))}")
    if options.json:
        result = {"seed": options.seed, "outcomes": outcomes, "faults": faults}
        options.json.write_text(json.dumps(result, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
