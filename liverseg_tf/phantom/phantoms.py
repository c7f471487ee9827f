"""Phantoms: synthetic abdominal CTs with masks, for demonstrations and tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import write_json
from liverseg_tf.choices import PHANTOM_LAYOUTS
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
        seed: Random seed; the same seed and spec give the same voxels.
        spec: Settings of the phantom. None for the defaults.

    Returns:
        The image, int16 HU (or MR units), and the label map, uint8: 1 liver, 2 tumour in the liver
        and, with `spec.organs`, 3 spleen and 4 kidney. Both are on the same grid, in the axis
        order of a file. The label map is empty if the grid does not include the liver.

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
    layout: str = "msd",
) -> list[Path]:
    """Write phantoms in the layout of the Medical Segmentation Decathlon or of nnU-Net v2.

    Args:
        folder: Folder for imagesTr/phantom_000.nii.gz (phantom_000_0000.nii.gz in nnU-Net's
            layout), labelsTr/phantom_000.nii.gz and so on, and dataset.json, which is written
            last. Existing files with these names are replaced.
        count: Number of cases. Case i has the seed `seed` + i.
        seed: Random seed of the first case.
        spec: Settings of the phantoms. None for the defaults.
        on_case: Called with the name of each case after it was written.
        layout: One of `choices.PHANTOM_LAYOUTS`.

    Returns:
        Paths of the images.

    Raises:
        SettingsError: If `count` is below 1, or the layout is unknown.
        LiverSegError: If the folder cannot be written.
    """
    if count < 1:
        raise SettingsError(f"Expected at least 1 phantom. Received {count}.")
    if layout not in PHANTOM_LAYOUTS:
        raise SettingsError(
            f"Expected a layout of {', '.join(PHANTOM_LAYOUTS)}. Received '{layout}'."
        )
    spec = spec or PhantomSpec()
    folder = Path(folder)
    channel = "_0000" if layout == "nnunet" else ""
    images = []
    for index in range(count):
        name = f"phantom_{index:03d}"
        image, labels = make_phantom(seed + index, spec)
        write_labels(folder / "labelsTr" / f"{name}.nii.gz", labels)
        images.append(folder / "imagesTr" / f"{name}{channel}.nii.gz")
        write_volume(images[-1], image)
        if on_case is not None:
            on_case(name)
    describe = _describe_nnunet if layout == "nnunet" else _describe_msd
    highest = KIDNEY if spec.organs else TUMOUR
    names = {label: name for label, name in LABELS.items() if label <= highest}
    common = {
        "name": "Phantoms",
        "description": "Synthetic abdominal images of liverseg_tf: no patient was scanned",
        "numTraining": count,
    }
    channels = {"0": spec.modality.upper()}
    write_json(folder / "dataset.json", common | describe(names, channels, images))
    return images


def _describe_msd(labels: dict[int, str], channels: dict[str, str], images: list[Path]) -> dict:
    return {
        "tensorImageSize": "3D",
        "modality": channels,
        "labels": {str(number): name for number, name in labels.items()},
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/{image.name}", "label": f"./labelsTr/{image.name}"}
            for image in images
        ],
        "test": [],
    }


def _describe_nnunet(labels: dict[int, str], channels: dict[str, str], images: list[Path]) -> dict:
    return {
        "channel_names": channels,
        "labels": {name: number for number, name in labels.items()},
        "file_ending": ".nii.gz",
    }
