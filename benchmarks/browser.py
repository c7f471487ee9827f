"""Masks, times, page size and memory of the page that segments in the browser.

    python benchmarks/browser.py --run RUN --image CT.nii.gz --image DICOM_FOLDER --json out.json

Each run is exported as a page, which is opened from a file in headless Chromium. The mask that the
page saves is compared with that of `liverseg predict`, voxel for voxel. Requests and errors of the
page are faults, and so are other voxels in the DICOM-SEG file that it saves for a DICOM folder.
`--steps` sets the post-processing, as JSON. Times per slice stand beside those of the native ONNX
Runtime with one thread on a tile of the same shape; "processor" is the processor time of the page,
which other programs do not change much. Pictures are not drawn (--draw draws them), because a
machine without a graphics card computes them on the same cores.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from measure import print_hardware
from segmentation_page import SegmentationPage, read_seg

from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.inference_region import InferenceRegion
from liverseg_tf.predict.input_image import judge_image, read_input
from liverseg_tf.predict.models.onnx import OnnxPredictor
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.serve.export.convert import write_onnx
from liverseg_tf.serve.export.web.write_page import PageModel, write_browser_page

ALL_STEPS = {
    "inside": [["tumour", "liver", 3.0]],
    "smooth_z": ["liver"],
    "min_mean_probability": [["tumour", 0.3]],
    "min_volume_ml": [["tumour", 0.05]],
    "largest": ["liver"],
    "fill_2d": ["tumour"],
    "fill_3d": ["liver"],
    "threshold": [["liver", 0.45], ["tumour", 0.7]],
}
LIMIT = 1e-5  # fraction of the voxels that may differ, because sums of floats have another order


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run", type=Path, action="append", required=True, help="run, or .onnx file"
    )
    parser.add_argument("--image", type=Path, action="append", required=True)
    parser.add_argument("--steps", default="all", help="'all', 'none' or the steps as JSON")
    parser.add_argument("--draw", action="store_true", help="draw the image and the mask")
    parser.add_argument("--seconds", type=float, default=1800, help="time limit of a case")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print_hardware()
    known = {"all": ALL_STEPS, "none": {}}
    steps = known.get(options.steps) if options.steps in known else json.loads(options.steps)
    steps = PostProcessing.from_json(json.loads(json.dumps(steps)))
    rows, failed = [], False
    titles = (
        "model, context, image, voxels, labelled, different, s/slice, native, whole, processor, MB"
    )
    print(f"| {titles.replace(', ', ' | ')} |\n|{'---|' * (titles.count(',') + 1)}")
    for run in options.run:
        with tempfile.TemporaryDirectory(prefix="browser-") as folder:
            for row in measure_model(run, Path(folder), steps, options):
                rows.append(row)
                failed |= row["different"] > LIMIT * row["voxels"] or bool(row["errors"])
                print(
                    f"| {row['model']} | {row['context']} | {row['image']} | {row['voxels']} | "
                    f"{row['labelled']} | {row['different']} | {row['slice_s']:.3f} | "
                    f"{row['native_s']:.3f} | "
                    f"{row['whole_s']:.1f} s | {row['cpu_s']:.1f} s | {row['tab_mb']:.0f} |",
                    flush=True,
                )
                for error in row["errors"]:
                    print(f"  fault: {error}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 1 if failed else 0


def measure_model(run, folder, steps, options):
    predictor, onnx = load(run, folder)
    names = predictor.network.regions.names
    wanted = {"liver", "tumour"} <= set(names)
    steps = steps if wanted else predictor.postprocessing
    page_file = folder / "page.html"
    write_browser_page(page_file, PageModel(run.stem, 1, predictor.network, steps), onnx)
    print(f"page of {run.name}: {page_file.stat().st_size / 1e6:.1f} MB")
    flags = [] if options.draw else ["--disable-3d-apis"]
    for image_path in options.image:
        image = read_input(image_path, predictor.network.tiles.channel)
        judge_image(image, predictor.network.tiles.check_settings())
        with SegmentationPage(page_file, folder / "browser", flags=flags) as page:
            saved = read_labels(page.segment([image_path], options.seconds))
            seconds = page.js("return { ...document.getElementById('result').dataset }")
            (memory, cpu), errors = page.resources(), page.errors()
            if image_path.is_dir():
                masks = read_seg(page.save_seg(), saved, image_path)
                if not np.array_equal(masks, predictor.network.regions.masks(saved.array)):
                    errors.append("DICOM-SEG with other voxels than the NIfTI mask")
        expected = predict(image, predictor, steps)
        yield {
            "model": run.stem,
            "context": predictor.network.context,
            "image": image_path.name,
            "voxels": expected.array.size,
            "labelled": int(np.count_nonzero(expected.array)),
            "different": int(np.count_nonzero(saved.array != expected.array)),
            "slice_s": float(seconds["sliceSeconds"]),
            "native_s": native_seconds(folder / "network.onnx", image, predictor.network),
            "whole_s": float(seconds["seconds"]),
            "cpu_s": cpu,
            "tab_mb": memory,
            "errors": errors,
        }


def load(run, folder):
    """Return the predictor of a run or of an export, and the network as ONNX."""
    if run.suffix == ".onnx":
        predictor, onnx = OnnxPredictor(run), run.read_bytes()
        (folder / "network.onnx").write_bytes(onnx)
        return predictor, onnx
    predictor = RunPredictor(run, "float32")
    side = 4 * predictor.network.stride
    predictor.probabilities(np.zeros((1, side, side, predictor.network.channels), np.uint8))
    write_onnx(predictor.model, folder / "network.onnx")
    return predictor, (folder / "network.onnx").read_bytes()


def predict(image, predictor, steps):
    probabilities = None
    if steps.needs_probabilities:
        shape = (len(predictor.network.regions), *image.array.shape)
        probabilities = np.zeros(shape, np.uint8)
    inference = Inference(thresholds=steps.thresholds(predictor.network.regions))
    masks = find_regions(image, predictor, inference, probabilities=probabilities)
    return steps.apply(dataclasses.replace(masks)).labels()


def native_seconds(onnx, image, network, repeats=5):
    """Processor time of the native ONNX Runtime with one thread for a tile of the image."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    height, width = InferenceRegion.around_body(to_canonical(image), network).transform.shape
    tile = np.random.default_rng(0).integers(0, 256, (1, height, width, network.channels))
    tile = {session.get_inputs()[0].name: tile.astype(np.float32)}
    session.run(None, tile)
    started = time.process_time()
    for _ in range(repeats):
        session.run(None, tile)
    return (time.process_time() - started) / repeats


if __name__ == "__main__":
    sys.exit(main())
