"""The probabilities of a case as files: `probabilities/REGION/NAME.nii.gz`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from liverseg_tf.ct.nifti_stream import write_slabs
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.trust_record import calibrate
from liverseg_tf.predict.calibrated import CalibratedProbabilities
from liverseg_tf.predict.models.predictor import Predictor, trust_of
from liverseg_tf.printable import file_safe_name, printable

_SLAB = 16  # slices at a time


def probability_paths(folder: Path, name: str, regions: Sequence[str]) -> list[Path]:
    """Return the paths of the probabilities of a case, one for each region."""
    folder = folder / "probabilities"
    return [folder / file_safe_name(region) / f"{name}.nii.gz" for region in regions]


def write_probabilities(paths: Sequence[Path], grid: Volume, values: Sequence[np.ndarray]) -> None:
    """Write the probabilities of a case, each file atomically.

    Args:
        paths: Path of each region.
        grid: Volume with the header of the image.
        values: (z, row, col) uint8 for each region, where 255 is a probability of 1.
    """
    for path, region in zip(paths, values, strict=True):
        slabs = (region[start : start + _SLAB] for start in range(0, len(region), _SLAB))
        write_slabs(path, grid, slabs, 1 / 255)


def find_temperatures(predictor: Predictor) -> tuple[float, ...]:
    """Return the temperature of each region; 1 for regions for which none is known.

    Args:
        predictor: Model.

    Raises:
        SettingsError: If no temperature is known, for passes of the kind of this model.
    """
    record, kind = trust_of(predictor)
    found = record.temperatures(kind, predictor.network.regions)
    if not any(found):
        raise SettingsError(
            "Expected a model with a temperature for --calibrated: `liverseg trust` measures it. "
            f"Received one without a temperature for its predictions ({kind} passes)."
        )
    return tuple(temperature or 1.0 for temperature in found)


def create_calibrated(
    predictor: Predictor, thresholds: Sequence[float], image: Volume, array: np.ndarray
) -> CalibratedProbabilities:
    """Describe the calibrated probabilities of an image, which the inference fills in.

    Args:
        predictor: Model.
        thresholds: Probability above which a voxel belongs to each region.
        image: Image.
        array: (regions, z, row, col) uint8 array of zeros.

    Raises:
        SettingsError: If no temperature is known.
    """
    temperatures = find_temperatures(predictor)
    parts = []
    for name, t, p in zip(predictor.network.regions.names, temperatures, thresholds, strict=True):
        text = "no temperature is known, as the network computes them"
        if t != 1:
            text = f"temperature {t:.3g}, the mask is above {calibrate(np.array(p), t):.3g}"
        parts.append(f"{printable(name)}: {text}")
    description = f"The probabilities are calibrated ({'; '.join(parts)})"
    return CalibratedProbabilities(array, temperatures, image.affine, description)
