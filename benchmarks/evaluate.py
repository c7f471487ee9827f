"""Measure the time of scoring a liver with tumours in 512x512x200 voxels; compare MedPy and MONAI.

    python benchmarks/evaluate.py --peers PEERS/bin/python

PEERS is an environment with benchmarks/peers/requirements-evaluate.txt. Without it, only this
package is measured. All times are medians of wall-clock times of one run on one machine.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from measure import median_of, print_hardware

SHAPE, SPACING = (200, 512, 512), (1.5, 0.75, 0.75)
PEERS = ("medpy", "monai")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python executable of the peers' environment.")
    parser.add_argument("--repeats", type=int, default=3, help="Number of repeats.")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "liverseg_benchmark"
    )
    parser.add_argument("--measure", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure_peer(options.measure, options.work, options.repeats)))
        return
    make_pair(options.work)
    print_hardware()
    ours = measure_ours(options.work, options.repeats)
    both = ours["HD95 + ASSD of the liver"]
    for peer in PEERS if options.peers else ():
        command = [options.peers, __file__, "--measure", peer]
        command += ["--work", str(options.work), "--repeats", str(options.repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, hd95, assd = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{peer:10} HD95 + ASSD of the liver {seconds:8.2f} s, {seconds / both:5.1f} times "
            f"as long as liverseg_tf (HD95 {hd95:.4f} mm, ASSD {assd:.4f} mm)"
        )


def make_pair(work: Path) -> None:
    """Write the labels of a phantom, and a shifted, thinner copy with false positives."""
    if (work / "prediction.nii.gz").is_file():
        return
    from scipy import ndimage

    from liverseg_tf.ct.bounding_box import bounding_box
    from liverseg_tf.ct.nifti import write_labels
    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.phantom.spec import PhantomSpec

    spec = PhantomSpec(shape=SHAPE, spacing_mm=SPACING, tumours=5, axes="LPS", oblique=0)
    _, truth = make_phantom(0, spec)
    moved = np.roll(truth.array, (1, 3, -2), (0, 1, 2))
    moved[moved > 0] *= ndimage.binary_erosion(moved > 0, iterations=2)[moved > 0]
    moved[20:24, 60:72, 400:420] = 1
    moved[truth.array.shape[0] // 2, 250:256, 150:160] = 2
    write_labels(work / "truth.nii.gz", truth)
    write_labels(work / "prediction.nii.gz", truth.with_array(moved))
    box = bounding_box(truth.array, moved)
    for name, array in (("truth", truth.array), ("prediction", moved)):
        np.save(work / f"{name}_liver.npy", np.ascontiguousarray(array[box] > 0))
    print(f"input files written to {work}")


def measure_ours(work: Path, repeats: int) -> dict[str, float]:
    from liverseg_tf.ct.nifti import read_labels
    from liverseg_tf.ct.regions import LIVER_REGIONS
    from liverseg_tf.evaluate.metrics import distances
    from liverseg_tf.evaluate.metrics.surface_distances import compute_surface_distances
    from liverseg_tf.evaluate.pairs import Pair
    from liverseg_tf.evaluate.protocols.lits import score_lits_case
    from liverseg_tf.evaluate.protocols.scoring import Scoring
    from liverseg_tf.evaluate.score_case import score_case, score_masks

    files = [work / f"{name}.nii.gz" for name in ("truth", "prediction")]
    truth, prediction = map(read_labels, files)
    livers = [np.load(work / f"{name}_liver.npy") for name in ("truth", "prediction")]
    print(f"label maps {truth.array.shape}, {truth.spacing_mm} mm; cropped to {livers[0].shape}")

    def hd95_assd():
        surfaces = compute_surface_distances(*livers, SPACING)
        scores = (distances.hd95_mm, distances.hd95_pooled_mm, distances.assd_mm)
        return tuple(score(surfaces) for score in scores)

    jobs = {
        "HD95 + ASSD of the liver": hd95_assd,
        "all scores, liver + tumours": lambda: score_masks(
            "case", truth, prediction, LIVER_REGIONS, Scoring()
        ),
        "LiTS scores": lambda: score_lits_case(
            "case", truth.array, prediction.array, truth.spacing_mm
        ),
        "all scores, from .nii.gz": lambda: score_case(Pair("case", *files), Scoring()),
        "lits protocol, from .nii.gz": lambda: score_case(Pair("case", *files), Scoring("lits")),
        "msd protocol, from .nii.gz": lambda: score_case(Pair("case", *files), Scoring("msd")),
    }
    seconds = {}
    for name, job in jobs.items():
        seconds[name], result = median_of(job, repeats)
        print(f"{'liverseg':10} {name:28} {seconds[name]:5.2f} s")
        if job is hd95_assd:
            print(
                f"{'':10} HD95 {result[0]:.4f} mm (pooled {result[1]:.4f} mm), "
                f"ASSD {result[2]:.4f} mm"
            )
    return seconds


def measure_peer(peer: str, work: Path, repeats: int) -> tuple[float, float, float]:
    """Return seconds, HD95 and ASSD of a peer. It receives cropped masks, which favours it."""
    truth, prediction = (np.load(work / f"{name}_liver.npy") for name in ("truth", "prediction"))
    if peer == "medpy":
        from medpy.metric import binary

        def job():
            return (
                binary.hd95(prediction, truth, SPACING),
                binary.assd(prediction, truth, SPACING),
            )
    else:
        import torch
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

        t, p = (torch.from_numpy(mask[None, None]) for mask in (truth, prediction))
        options = {"include_background": True, "spacing": SPACING}

        def job():
            return (
                float(compute_hausdorff_distance(p, t, percentile=95, **options)),
                float(compute_average_surface_distance(p, t, symmetric=True, **options)),
            )

    seconds, (hd95, assd) = median_of(job, repeats)
    return seconds, hd95, assd


if __name__ == "__main__":
    main()
