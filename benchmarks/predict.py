"""Measure time and memory from a CT of 512x512x200 voxels to its mask; compare MONAI and nnU-Net.

    python benchmarks/predict.py --peers PEERS/bin/python

PEERS is an environment with benchmarks/peers/requirements-predict.txt. Without it, only this
package is measured. Weights are random. This does not change the time of the network, but the masks
are scattered, so that restoring them takes longer than with a trained network. Times are medians of
wall-clock times on one machine.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import median_of, print_hardware, run_command

SHAPE, SPACING = (200, 512, 512), (1.5, 0.75, 0.75)
SMALL_SHAPE, SMALL_SPACING = (30, 256, 256), (5.0, 1.5, 1.5)
MANY = 20
TILE_MM, TILE = 1.5, 256
PEERS = ("monai", "nnunet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python executable of the peers' environment.")
    parser.add_argument("--only", nargs="+", choices=[*PEERS, "ours", "commands"])
    parser.add_argument("--repeats", type=int, default=3, help="Number of repeats.")
    parser.add_argument("--small", type=Path, help="Small CT for the cold start.")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "liverseg_benchmark_predict"
    )
    parser.add_argument("--measure", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure = {"monai": measure_monai, "nnunet": measure_nnunet}[options.measure]
        print(json.dumps(measure(options.work, options.repeats)))
        return
    wanted = set(options.only or [*PEERS, "ours", "commands"])
    make_inputs(options.work)
    print_hardware()
    ours = measure_ours(options.work, options.repeats) if "ours" in wanted else None
    if "commands" in wanted:
        measure_commands(options.work, options.repeats, options.small)
    for peer in PEERS if options.peers else ():
        if peer in wanted:
            command = [options.peers, __file__, "--measure", peer, "--work", str(options.work)]
            command += ["--repeats", str(options.repeats)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds, note = json.loads(done.stdout.splitlines()[-1])
            times = f", {seconds / ours:.1f} times as long as liverseg_tf" if ours else ""
            print(f"{peer:10} {'from .nii.gz to mask':36} {seconds:8.2f} s{times} ({note})")


def make_inputs(work: Path) -> None:
    """Write a CT, a taller one, many small ones, and a run of the default network."""
    if (work / "run" / "model.keras").is_file():
        return
    import numpy as np

    from liverseg_tf.cli.shared.tensorflow import import_backend
    from liverseg_tf.ct.nifti import write_volume
    from liverseg_tf.ct.volume import Volume
    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.phantom.spec import PhantomSpec

    ct, truth = make_phantom(0, PhantomSpec(SHAPE, SPACING, axes="LPS", oblique=0))
    write_volume(work / "ct" / "ct.nii.gz", ct)
    write_volume(work / "truth" / "ct.nii.gz", truth)
    write_volume(work / "tall.nii.gz", Volume(np.concatenate([ct.array] * 5), ct.affine))
    for seed in range(MANY):
        spec = PhantomSpec(SMALL_SHAPE, SMALL_SPACING)
        write_volume(work / "many" / f"small_{seed}.nii.gz", make_phantom(seed, spec)[0])
    import_backend()
    write_run(work / "run")
    print(f"input files written to {work}")


def write_run(folder: Path) -> None:
    """Write a run of the default network with random weights; a backend is imported before."""
    import keras

    from liverseg_tf.model.spec import NetworkSpec
    from liverseg_tf.train.network.unet import UNetSpec, build_unet
    from liverseg_tf.train.session.run_folder import RunFolder

    keras.utils.set_random_seed(0)
    network, run = NetworkSpec(), RunFolder.create(folder)
    run.write_record(network, store={"split": {"train": [], "val": [], "test": []}})
    run.save_model(build_unet(UNetSpec(network.channels, network.regions.names)))


def measure_ours(work: Path, repeats: int) -> float:
    """Return the prediction time of one CT in seconds, with the model already loaded."""
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.predict.batch.predict_cases import predict_cases
    from liverseg_tf.predict.batch.prediction_job import PredictionJob
    from liverseg_tf.predict.models.run import RunPredictor
    from liverseg_tf.predict.segment_volume import Inference

    predictor = RunPredictor(work / "run")
    network, call = [], predictor.probabilities

    def timed(tiles):
        started = time.perf_counter()
        found = call(tiles)
        network.append(time.perf_counter() - started)
        return found

    predictor.probabilities = timed
    print(f"CT {SHAPE}, {SPACING} mm; {predictor.model.count_params():,} parameters")
    seconds = {}
    for crop in (True, False):
        shares = []

        def job(crop=crop, shares=shares):
            network.clear()
            started = time.perf_counter()
            settings = PredictionJob(work / "out", inference=Inference(crop=crop), force=True)
            failures = predict_cases(
                {"ct": work / "ct" / "ct.nii.gz"}, predictor, settings
            ).failures
            assert not failures, failures
            shares.append(1 - sum(network) / (time.perf_counter() - started))

        job()  # traces the graph
        shares.clear()
        seconds[crop] = median_of(job, repeats)[0]
        name = f"from .nii.gz to mask, {'' if crop else 'not '}cropped"
        share = 100 * statistics.median(shares)
        print(
            f"{'liverseg':10} {name:36} {seconds[crop]:8.2f} s, {share:.0f} % outside the network"
        )
    return seconds[True]


def measure_commands(work: Path, repeats: int, small: Path | None) -> None:
    """Measure the seconds and the peak memory of complete commands, each in its own process."""
    inputs = {
        "512x512x200": work / "ct" / "ct.nii.gz",
        "512x512x1000": work / "tall.nii.gz",
        f"one of {MANY} small CTs": work / "many" / "small_0.nii.gz",
        f"{MANY} small CTs": work / "many",
    }
    if small is not None:
        inputs["cold start, small CT"] = small
    seconds = {}
    for name, path in inputs.items():
        runs = [run_predict(work, path) for _ in range(1 if "1000" in name else repeats)]
        seconds[name] = statistics.median(time for time, _ in runs)
        peak = max(peak for _, peak in runs)
        print(f"{'liverseg':10} {'command, ' + name:36} {seconds[name]:8.2f} s, {peak:.2f} GiB")
    ratio = MANY * seconds[f"one of {MANY} small CTs"] / seconds[f"{MANY} small CTs"]
    print(f"{'liverseg':10} a folder of {MANY} is {ratio:.1f} times as fast as single commands")


def run_predict(work: Path, image: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in GiB of `liverseg predict`."""
    out = work / "masks"
    shutil.rmtree(out, ignore_errors=True)
    program = "from liverseg_tf.cli.main import liverseg; liverseg()"
    return run_command(
        [sys.executable, "-c", program, "predict", image, "--model", work / "run", "--out", out]
    )


def measure_monai(work: Path, repeats: int) -> tuple[float, str]:
    """Measure the pipeline of MONAI's tutorials, with a 2D U-Net on slices."""
    import monai
    import torch
    from monai import transforms as t
    from monai.inferers import SliceInferer
    from monai.networks.nets import BasicUNet

    network = BasicUNet(2, 1, 2, features=(16, 32, 64, 128, 256, 16)).eval()
    parameters = sum(p.numel() for p in network.parameters())
    before = t.Compose(
        [
            t.LoadImaged("image"),
            t.EnsureChannelFirstd("image"),
            t.Orientationd("image", axcodes="LPS", labels=None),
            t.Spacingd("image", pixdim=(TILE_MM, TILE_MM, -1), mode="bilinear"),
            t.ScaleIntensityRanged("image", -200, 250, 0, 1, clip=True),
        ]
    )
    inferer = SliceInferer(roi_size=(TILE, TILE), sw_batch_size=8, spatial_dim=2)
    after = t.Compose(
        [
            t.Activationsd("pred", sigmoid=True),
            t.Invertd("pred", transform=before, orig_keys="image", nearest_interp=False),
            t.AsDiscreted("pred", threshold=0.5),
            t.SaveImaged("pred", output_dir=work / "monai", print_log=False, separate_folder=False),
        ]
    )

    def job():
        with torch.inference_mode():
            item = before({"image": work / "ct" / "ct.nii.gz"})
            item["pred"] = inferer(item["image"][None], network)[0]
            after(item)

    job()
    return median_of(job, repeats)[0], f"MONAI {monai.__version__}, {parameters:,} parameters"


def measure_nnunet(work: Path, repeats: int) -> tuple[float, str]:
    """Measure nnU-Net's 2D predictor with its own plan for this CT, without mirroring."""
    folder = work / "nnunet"
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(folder / name)
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    dataset = "Dataset001_Liver"
    plans, description = plan_nnunet(work, folder, dataset)
    manager = PlansManager(plans)
    configuration = manager.get_configuration("2d")
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        manager.get_label_manager(description).num_segmentation_heads,
        deep_supervision=False,
    )
    parameters = sum(p.numel() for p in network.parameters())
    predictor = nnUNetPredictor(
        use_mirroring=False, device=torch.device("cpu"), perform_everything_on_device=False,
        allow_tqdm=False,
    )  # fmt: skip
    predictor.manual_initialization(
        network, manager, configuration, [network.state_dict()], description, "nnUNetTrainer", None
    )

    def job():
        predictor.predict_from_files_sequential(
            [[str(folder / "raw" / dataset / "imagesTr" / "a_0000.nii.gz")]],
            [str(folder / "mask.nii.gz")],
            overwrite=True,
        )

    size = "x".join(map(str, configuration.patch_size))
    return median_of(job, repeats)[0], f"{parameters:,} parameters, patch {size}, no mirroring"


def plan_nnunet(work: Path, folder: Path, dataset: str) -> tuple[dict, dict]:
    """Write a data set of the CT and its labels, and return nnU-Net's plan for it."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
    )

    raw = folder / "raw" / dataset
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    plan = folder / "preprocessed" / dataset / "nnUNetPlans.json"
    if not plan.is_file():
        for name in "ab":
            for source, target in (
                ("ct", raw / "imagesTr" / f"{name}_0000.nii.gz"),
                ("truth", raw / "labelsTr" / f"{name}.nii.gz"),
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(work / source / "ct.nii.gz", target)
        (raw / "dataset.json").write_text(json.dumps(description))
        extract_fingerprints([1], num_processes=2)
        plan_experiments([1])
    return json.loads(plan.read_text()), description


if __name__ == "__main__":
    main()
