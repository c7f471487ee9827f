"""Synthetic abdominal CTs with masks: made, not measured, for demonstrations and tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import SettingsError
from liverseg_tf.phantom.organs import KIDNEY, LIVER, SPLEEN, TUMOUR
from liverseg_tf.phantom.patient import Patient
from liverseg_tf.phantom.scanner import (
    draw_axes,
    draw_file_grid,
    finish_ct,
    finish_mr,
    scan_patient,
)
from liverseg_tf.phantom.spec import PhantomSpec
from liverseg_tf.phantom.tissues import draw_hounsfield, draw_mr_units

__all__ = ["LABELS", "PhantomSpec", "make_phantom", "write_phantoms"]

LABELS = {0: "background", LIVER: "liver", TUMOUR: "tumour", SPLEEN: "spleen", KIDNEY: "kidney"}


def make_phantom(seed: int, spec: PhantomSpec | None = None) -> tuple[Volume, Volume]:
    """Make one synthetic abdominal CT and its label map.

    Args:
        seed: the same seed and spec give the same voxels.
        spec: what it looks like; the defaults where None.

    Returns:
        The image, int16 HU (or MR units), and the labels, uint8: 1 liver, 2 tumour in the liver
        and, where `spec.organs` asks for them, 3 spleen and 4 kidney. Both are on one grid in a
        file's axis order. A grid that leaves the liver out gives an empty label map.

    Example:
        >>> image, labels = make_phantom(0, PhantomSpec(shape=(8, 32, 32), axes="LPS"))
        >>> image.array.shape, str(image.array.dtype), str(labels.array.dtype)
        ((8, 32, 32), 'int16', 'uint8')
    """
    spec = spec or PhantomSpec()
    patient_rng, tissue_rng, grid_rng, scan_rng, file_rng = np.random.default_rng(seed).spawn(5)
    patient = Patient.draw(patient_rng, spec.tumours)
    values = draw_hounsfield(tissue_rng) if spec.modality == "ct" else draw_mr_units(tissue_rng)
    axes = draw_axes(grid_rng, spec, patient)
    image, labels = scan_patient(patient, axes, values)
    finish = finish_ct if spec.modality == "ct" else finish_mr
    image = finish(scan_rng, image, axes, spec.noise_hu)
    if not spec.organs:
        labels[labels > TUMOUR] = 0
    orientation, affine = draw_file_grid(file_rng, spec, axes)
    image, labels = (
        np.ascontiguousarray(orientation.from_canonical(array)) for array in (image, labels)
    )
    return Volume(image, affine), Volume(labels, affine)


def write_phantoms(
    folder: Path,
    count: int,
    seed: int = 0,
    spec: PhantomSpec | None = None,
    on_case: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write phantoms in the layout of the Medical Segmentation Decathlon.

    Args:
        folder: gets imagesTr/phantom_000.nii.gz, labelsTr/phantom_000.nii.gz and so on, and at
            last dataset.json; files are written whole, and what has these names is replaced.
        count: of cases; case i is made from `seed` + i.
        seed: of the first case.
        spec: what they look like; the defaults where None.
        on_case: is called with the name of each case that was written.

    Returns:
        The images' paths.

    Raises:
        LiverSegError: when the folder can't be written.
    """
    if count < 1:
        raise SettingsError(f"Expected at least 1 phantom. Received {count}.")
    spec = spec or PhantomSpec()
    folder = Path(folder)
    images, training = [], []
    for index in range(count):
        name = f"phantom_{index:03d}"
        image, labels = make_phantom(seed + index, spec)
        write_labels(folder / "labelsTr" / f"{name}.nii.gz", labels)
        write_volume(folder / "imagesTr" / f"{name}.nii.gz", image)
        images.append(folder / "imagesTr" / f"{name}.nii.gz")
        training.append(
            {kind: f"./{kind}sTr/{name}.nii.gz" for kind in ("image", "label")},
        )
        if on_case is not None:
            on_case(name)
    write_json(folder / "dataset.json", _description(spec, training))
    return images


def _description(spec: PhantomSpec, training: list[dict[str, str]]) -> dict:
    highest = KIDNEY if spec.organs else TUMOUR
    return {
        "name": "Phantoms",
        "description": "Synthetic abdominal images of liverseg_tf: no patient was scanned",
        "tensorImageSize": "3D",
        "modality": {"0": spec.modality.upper()},
        "labels": {str(label): name for label, name in LABELS.items() if label <= highest},
        "numTraining": len(training),
        "numTest": 0,
        "training": training,
        "test": [],
    }
