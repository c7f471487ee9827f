"""Prepare, train and predict with nnU-Net's 2D configuration, for benchmarks/patients.py.

Usage: train_nnunet.py prepare|train|predict FOLD PREPARED RUN MASKS, with FOLD/train/images,
FOLD/train/masks and FOLD/test/images. The fingerprint, the plan and the preprocessing are those of
nnU-Net for the training cases alone, and so is the recipe; only the number of epochs and of steps
in each of them is given, so that its learning rate decays to 0 at the end. All training cases are
learnt ("fold all"), and nothing is validated after an epoch, on which nothing would depend.
Training continues from the latest epoch if it is repeated. Masks are predicted without mirroring.
"""

import argparse
import json
import os
import random
from pathlib import Path

DATASET, NUMBER = "Dataset001_Patients", 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["prepare", "train", "predict"])
    for name in ("fold", "prepared", "run", "masks"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--classes", nargs="+", help="Labels of each class: 1,2 joins two.")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, help="Steps of an epoch.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folders = {
        "raw": options.prepared / "raw",
        "preprocessed": options.prepared / "preprocessed",
        "results": options.run,
    }
    for name, folder in folders.items():  # nnU-Net reads them when it is imported
        os.environ[f"nnUNet_{name}"] = str(folder)
    # batches are made in this process, so that one core does everything; the planner asks for one
    processes = "1" if options.action == "prepare" else "0"
    os.environ |= {"nnUNet_n_proc_DA": processes}
    {"prepare": prepare, "train": train, "predict": predict}[options.action](options)


def prepare(options: argparse.Namespace) -> None:
    """Write the data set, and run nnU-Net's fingerprint, planning and preprocessing."""
    import nibabel
    import numpy as np
    import setuptools  # noqa: F401  provides distutils, which nnU-Net imports and Python 3.12 lacks
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    if plan_file(options).with_name("complete").exists():
        return
    classes = [[int(label) for label in one.split(",")] for one in options.classes]
    class_of = np.zeros(256, np.uint8)
    for number, labels in enumerate(classes, start=1):
        class_of[labels] = number
    raw = options.prepared / "raw" / DATASET
    images = sorted((options.fold / "train" / "images").glob("*.nii.gz"))
    for image in images:
        name = image.name.removesuffix(".nii.gz")
        link, target = raw / "imagesTr" / f"{name}_0000.nii.gz", raw / "labelsTr" / image.name
        for path in (link, target):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        link.symlink_to(image.resolve())
        mask = nibabel.load(options.fold / "train" / "masks" / image.name)
        labels = class_of[np.asanyarray(mask.dataobj).astype(np.uint8)]
        # nnU-Net refuses headers that differ by rounding: the mask gets that of its image
        nibabel.save(nibabel.Nifti1Image(labels, None, nibabel.load(image).header), target)
    names = {f"class {number}": number for number in range(1, len(classes) + 1)}
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0} | names,
        "numTraining": len(images),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(description))
    extract_fingerprints([NUMBER], num_processes=1)
    plan_experiments([NUMBER])
    preprocess([NUMBER], configurations=("2d",), num_processes=(1,))
    plan_file(options).with_name("complete").touch()


def train(options: argparse.Namespace) -> None:
    if (output(options) / "checkpoint_final.pth").exists():
        return
    trainer = make_trainer(options)
    trainer.num_epochs, trainer.num_iterations_per_epoch = options.epochs, options.steps
    trainer.num_val_iterations_per_epoch, trainer.save_every = 0, 1
    trainer.initialize()
    latest = output(options) / "checkpoint_latest.pth"
    if latest.exists():
        trainer.load_checkpoint(str(latest))
    trainer.run_training()
    configuration = trainer.configuration_manager
    record = {
        "batch": configuration.batch_size,
        "patch": list(map(int, configuration.patch_size)),
        "spacing": list(map(float, configuration.spacing)),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
    }
    (options.run / "network.json").write_text(json.dumps(record))


def predict(options: argparse.Namespace) -> None:
    import nibabel
    import numpy as np
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer = make_trainer(options)
    trainer.initialize()
    trainer.load_checkpoint(str(output(options) / "checkpoint_final.pth"))
    trainer.set_deep_supervision_enabled(False)
    predictor = nnUNetPredictor(
        use_mirroring=False, device=torch.device("cpu"), perform_everything_on_device=False,
        allow_tqdm=False,
    )  # fmt: skip
    predictor.manual_initialization(
        trainer.network, trainer.plans_manager, trainer.configuration_manager,
        [trainer.network.state_dict()], trainer.dataset_json, "nnUNetTrainer", None,
    )  # fmt: skip
    labels = np.array([0, *(int(one.split(",")[0]) for one in options.classes)], np.uint8)
    options.masks.mkdir(parents=True, exist_ok=True)
    for image in sorted((options.fold / "test" / "images").glob("*.nii.gz")):
        if (options.masks / image.name).exists():
            continue
        found = options.run / "found" / image.name
        found.parent.mkdir(exist_ok=True)
        predictor.predict_from_files_sequential(
            [[str(image)]], [str(found).removesuffix(".nii.gz")], overwrite=True
        )
        mask = nibabel.load(found)
        classes = np.asanyarray(mask.dataobj).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(labels[classes], mask.affine), found)
        found.rename(options.masks / image.name)


def make_trainer(options: argparse.Namespace):
    import numpy as np
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    random.seed(options.seed)
    np.random.seed(options.seed)
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    folder = plan_file(options).parent
    plans, description = (
        json.loads((folder / name).read_text()) for name in ("nnUNetPlans.json", "dataset.json")
    )

    class PatientsTrainer(nnUNetTrainer):
        def on_validation_epoch_end(self, val_outputs):
            classes = self.label_manager.foreground_labels
            self.logger.log("mean_fg_dice", 0.0, self.current_epoch)
            self.logger.log("dice_per_class_or_region", [0.0 for _ in classes], self.current_epoch)
            self.logger.log("val_losses", 0.0, self.current_epoch)

    latest = output(options) / "checkpoint_latest.pth"
    plans["continue_training"] = latest.exists()
    return PatientsTrainer(plans, "2d", "all", description, device=torch.device("cpu"))


def plan_file(options: argparse.Namespace) -> Path:
    return options.prepared / "preprocessed" / DATASET / "nnUNetPlans.json"


def output(options: argparse.Namespace) -> Path:
    return options.run / DATASET / "PatientsTrainer__nnUNetPlans__2d" / "fold_all"


if __name__ == "__main__":
    main()
