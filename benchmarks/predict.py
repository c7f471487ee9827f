"""Measure time and memory from a CT of 512x512x200 voxels to its mask; compare MONAI and nnU-Net.

    python benchmarks/predict.py --peers PEERS/bin/python

PEERS is an environment with benchmarks/peers/requirements-predict.txt. Without it, only this
package is measured. Weights are random. This does not change the time of the network, but the masks
are scattered, so that restoring them takes longer than with a trained network. Times are medians of
wall-clock times on one machine.

    python benchmarks/predict.py --only precision --run RUN --images CT.nii.gz ...

compares float32 with bfloat16 on the CPU: the processor seconds of alternating predictions, and the
voxels in which the masks differ. Without --run and --images, weights are random and the CT is a
phantom. `taskset -c 0` in front of it uses one core.
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
OURS = ("ours", "precision", "commands")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python executable of the peers' environment.")
    parser.add_argument("--only", nargs="+", choices=[*PEERS, *OURS])
    parser.add_argument("--repeats", type=int, default=3, help="Number of repeats.")
    parser.add_argument("--small", type=Path, help="Small CT for the cold start.")
    parser.add_argument("--run", type=Path, help="Trained run for the comparison of precisions.")
    parser.add_argument("--images", type=Path, nargs="+", help="Images for this comparison.")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "liverseg_benchmark_predict"
    )
    parser.add_argument("--measure", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure = {"monai": measure_monai, "nnunet": measure_nnunet}[options.measure]
        print(json.dumps(measure(options.work, options.repeats)))
        return
    wanted = set(options.only or [*PEERS, *OURS])
    make_inputs(options.work)
    print_hardware()
    ours = measure_ours(options.work, options.repeats) if "ours" in wanted else None
    if "precision" in wanted:
        compare_precisions(options)
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


def compare_precisions(options: argparse.Namespace) -> None:
    """Compare the processor seconds and the masks of predictions in float32 and in bfloat16."""
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    import numpy as np

    from liverseg_tf.predict.input_image import read_input
    from liverseg_tf.predict.models.run import RunPredictor

    run = options.run or options.work / "run"
    names = ("float32", "bfloat16")
    predictors = {name: RunPredictor(run, name) for name in names}
    for predictor in predictors.values():  # traces the graph
        stride, channels = predictor.network.stride, predictor.network.channels
        predictor.probabilities(np.zeros((1, stride, stride, channels), np.uint8))
    paths = options.images or [options.work / "ct" / "ct.nii.gz"]
    ratios: dict[str, list[float]] = {"network": [], "image to mask": []}
    print(f"precisions, {run}, {len(os.sched_getaffinity(0))} cores")
    for path in paths:
        image, seconds, masks = read_input(path), {name: [] for name in names}, {}
        for _ in range(options.repeats):
            for name, predictor in predictors.items():
                used, masks[name] = predict_in(predictor, image)
                seconds[name].append(used)
        medians = {name: np.median(values, axis=0) for name, values in seconds.items()}
        for part, (full, half) in zip(ratios, zip(*medians.values(), strict=True), strict=True):
            ratios[part].append(half / full)
            print(
                f"{path.name:16} {part:13} {full:7.2f} processor s in float32, {half:7.2f} in "
                f"bfloat16: {half / full:.2f} of the time",
                flush=True,
            )
        for region, name in enumerate(predictors["float32"].network.regions.names):
            full, half = (masks[name].bits >> region & 1 == 1 for name in names)
            total = np.count_nonzero(full) + np.count_nonzero(half)
            differ = np.count_nonzero(full != half)
            dice = 1 - differ / total if total else 1.0
            print(
                f"{path.name:16} {name:13} {differ:,} voxels differ, of {np.count_nonzero(full):,} "
                f"in float32: Dice {dice:.5f} between the masks",
                flush=True,
            )
    for part, values in ratios.items():
        print(f"{part}: bfloat16 takes {statistics.median(values):.2f} of the processor time")


def predict_in(predictor, image) -> tuple[tuple[float, float], object]:
    """Return the processor seconds of the network and of the whole prediction, and the masks."""
    from liverseg_tf.predict.segment_volume import Inference, find_regions

    steps, network = predictor.postprocessing, 0.0

    class Timed:
        def __getattr__(self, name):
            return getattr(predictor, name)

        def probabilities(self, tiles):
            # the network's own time: on other threads, the last batch is being resampled
            nonlocal network
            started = time.process_time()
            found = predictor.probabilities(tiles)
            network += time.process_time() - started
            return found

    started = time.process_time()
    inference = Inference(thresholds=steps.thresholds(predictor.network.regions))
    masks = steps.apply(find_regions(image, Timed(), inference))
    return (network, time.process_time() - started), masks


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
