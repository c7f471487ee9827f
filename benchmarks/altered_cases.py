"""Write altered copies of CTs, to test a network on what its training cases do not show.

    python benchmarks/altered_cases.py DATA OUT --cases btcv04 btcv09
    liverseg predict OUT/images --model RUN --out MASKS
    liverseg evaluate MASKS OUT/masks EVALUATION --region liver=1

DATA and OUT are data sets of images/ and masks/, with the labels of BTCV in the masks. Each case is
written as it is and in three altered copies, whose masks stay the same:

    CASE_dark     a liver 45 HU darker, as in fatty livers and early arterial phase, with a brighter
                  aorta and spleen and darker veins
    CASE_noise    correlated noise of 25 HU, as of a low dose
    CASE_lesion   four dark balls of 14 to 50 mm in the liver, 35 to 70 HU darker than it

All values are clipped to -125 to 275 HU, the range of BTCV. The masks written hold the liver alone.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

LIVER, SPLEEN, AORTA, VEINS = 1, 3, 9, (10, 11)
LESION_RADII_MM = (25, 12, 10, 7)
LOWEST_HU, HIGHEST_HU = -125, 275


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", nargs="+", help="Names of the cases; all by default.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = sorted(
        path.name.removesuffix(".nii.gz") for path in (options.data / "images").iterdir()
    )
    for number, name in enumerate(options.cases or found):
        image = nib.load(options.data / "images" / f"{name}.nii.gz")
        mask = nib.load(options.data / "masks" / f"{name}.nii.gz")
        hu = np.asanyarray(image.dataobj).astype(np.float32)
        labels = np.asanyarray(mask.dataobj).astype(np.uint8)
        rng = np.random.default_rng((options.seed, number))
        copies = {
            "": hu,
            "_dark": darken(hu, labels),
            "_noise": add_noise(hu, rng),
            "_lesion": add_lesions(hu, labels, image.header.get_zooms(), rng),
        }
        for suffix, altered in copies.items():
            clipped = np.clip(np.round(altered), LOWEST_HU, HIGHEST_HU).astype(np.int16)
            write(clipped, image, options.out / "images" / f"{name}{suffix}.nii.gz")
            liver = (labels == LIVER).astype(np.uint8)
            write(liver, mask, options.out / "masks" / f"{name}{suffix}.nii.gz")
        print(name, flush=True)


def darken(hu: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Change the HU of the organs as another phase of the contrast agent does."""
    return (
        hu
        - 45 * soft(labels == LIVER)
        + 20 * soft(labels == SPLEEN)
        + 120 * soft(labels == AORTA)
        - 60 * soft(np.isin(labels, VEINS))
    )


def add_noise(hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise of 25 HU, filtered by a Gaussian of one pixel within the slice, to the body."""
    noise = ndimage.gaussian_filter(rng.normal(size=hu.shape).astype(np.float32), (1, 1, 0.3))
    return hu + noise * (25 / noise.std()) * (hu > LOWEST_HU + 5)


def add_lesions(
    hu: np.ndarray, labels: np.ndarray, spacing_mm: tuple, rng: np.random.Generator
) -> np.ndarray:
    """Add dark balls whose centres lie at least 12 mm below the surface of the liver."""
    liver = labels == LIVER
    depth = ndimage.distance_transform_edt(liver, sampling=spacing_mm)
    places = np.argwhere(depth > 12)
    positions = np.indices(hu.shape, dtype=np.float32)
    for radius in LESION_RADII_MM:
        centre = places[rng.integers(len(places))]
        squares = ((positions[n] - centre[n]) * spacing_mm[n] for n in range(3))
        distance = np.sqrt(sum(square**2 for square in squares))
        share = np.clip((radius - distance) / 2 + 0.5, 0, 1) * soft(liver)  # a border of 2 mm
        hu = hu + share * rng.uniform(-70, -35)
    return hu


def soft(mask: np.ndarray) -> np.ndarray:
    """Return a mask as float32 with a smooth border."""
    return ndimage.gaussian_filter(mask.astype(np.float32), 1.0)


def write(array: np.ndarray, like: nib.Nifti1Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = like.header.copy()
    header.set_data_dtype(array.dtype)
    header["scl_slope"], header["scl_inter"] = 1, 0
    nib.Nifti1Image(array, like.affine, header).to_filename(path)


if __name__ == "__main__":
    main()
