"""The self-test of a bundle: its model must reproduce its own mask of a synthetic patient."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.ct.nifti import read_labels, read_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.bundle.bundle_record import IMAGE_FILE, MASK_FILE, BundleRecord
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.segment_volume import Inference, find_regions

MIN_DICE = 0.98
MAX_DIFFERENCE = 0.005
# as many voxels may differ in any region: a model of many organs finds some of them in a few voxels
# of the synthetic patient, of which one voxel would be a large part
FEW_VOXELS = 10
_SEED = 1
_SHAPE = (12, 96, 96)
_SPACING_MM = (12.0, 4.2, 4.2)
_STEP = 4  # grey values are multiples of it, so that the image needs a third of the bytes


@dataclass(frozen=True, eq=False)
class SelfTestOutput:
    """What a model makes of the image of the self-test.

    Args:
        labels: Label map, with the post-processing of the model.
        probabilities: Mean probability of each region over the image.
    """

    labels: Volume
    probabilities: dict[str, float]


def make_test_image(network: NetworkSpec) -> Volume:
    """Make the image of a self-test: a synthetic patient, the same one for all models of a kind.

    Args:
        network: Input of the model, which decides between CT and MR.
    """
    modality = "ct" if network.tiles.percentiles is None else "mr"
    spec = PhantomSpec(
        shape=_SHAPE,
        spacing_mm=_SPACING_MM,
        tumours=2,
        noise_hu=10.0,
        axes="LPS",
        oblique=0.0,
        modality=modality,
    )
    image, _ = make_phantom(_SEED, spec)
    coarse = (np.rint(image.array / _STEP) * _STEP).astype(np.int16)
    return image.with_array(coarse)


def run_model(image: Volume, predictor: Predictor) -> SelfTestOutput:
    """Segment the image of a self-test."""
    regions, postprocessing = predictor.network.regions, predictor.postprocessing
    probabilities = np.zeros((len(regions), *image.array.shape), np.uint8)
    inference = Inference(thresholds=postprocessing.thresholds(regions))
    masks = find_regions(image, predictor, inference, probabilities=probabilities)
    means = probabilities.mean(axis=(1, 2, 3), dtype=np.float64) / 255
    labels = postprocessing.apply(masks).labels()
    return SelfTestOutput(labels, dict(zip(regions.names, map(float, means), strict=True)))


def run_self_test(folder: Path, record: BundleRecord, predictor: Predictor) -> dict[str, float]:
    """Run the self-test of an unpacked bundle.

    Args:
        folder: Folder of the bundle.
        record: Its record.
        predictor: Its model.

    Returns:
        Dice of each region with the expected mask; NaN for a region that is empty in both.

    Raises:
        LiverSegError: If the model does not reproduce its mask within the tolerance: a Dice, or
            `FEW_VOXELS`.
    """
    image, expected = read_volume(folder / IMAGE_FILE), read_labels(folder / MASK_FILE)
    if image.array.shape != expected.array.shape:
        raise LiverSegError("Expected image and mask of the self-test on one grid.")
    found = run_model(image, predictor)
    test, dice = record.self_test, {}
    for region in predictor.network.regions.names:
        masks = [
            predictor.network.regions.mask(labels.array, region)
            for labels in (found.labels, expected)
        ]
        dice[region] = _dice(*masks)
        if dice[region] < test.min_dice and not _differ_little(*masks):
            raise LiverSegError(
                f"Expected the model {record.name} to reproduce its mask of {region} with a Dice "
                f"of at least {test.min_dice:g}. Received {dice[region]:.3f}: its masks on this "
                "machine are not those of its author."
            )
        wanted, mean = test.probabilities.get(region, 0.0), found.probabilities[region]
        if abs(mean - wanted) > test.max_difference:
            raise LiverSegError(
                f"Expected the model {record.name} to reproduce its mean probability of {region}, "
                f"{wanted:.4f}, within {test.max_difference:g}. Received {mean:.4f}: it does not "
                "compute on this machine what it computed for its author."
            )
    return dice


def compare_outputs(first: SelfTestOutput, second: SelfTestOutput, regions: Regions) -> float:
    """Return the lowest Dice of a region in two outputs.

    A region that is empty in both, or that differs in at most `FEW_VOXELS`, counts 1.

    Args:
        first: Output of one model.
        second: Output of the same model in another precision.
        regions: Its regions.
    """
    pairs = (
        [regions.mask(output.labels.array, name) for output in (first, second)]
        for name in regions.names
    )
    return min(1.0 if _differ_little(*masks) else _dice(*masks) for masks in pairs)


def _differ_little(first: np.ndarray, second: np.ndarray) -> bool:
    return int(np.count_nonzero(first ^ second)) <= FEW_VOXELS


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else float("nan")
