"""Makes altered copies of a CT and its mask, and images that show no abdominal organ."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.images import read_image, read_label_image
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume

LIVER, TUMOUR = 1, 2
AIR_HU, BODY_HU = -1000, -120
NOISE_HU = 25
THICK_MM = 5.0
HEAD = "head (made)"
Pair = tuple[Volume, Volume]


def write_altered(folder: Path, image: Path, mask: Path, seed: int) -> Iterator[tuple[str, Path]]:
    """Write the altered copies of a case as images/KIND.nii.gz and masks/KIND.nii.gz.

    Args:
        folder: Folder of the case.
        image: CT.
        mask: Label map.
        seed: Seed of the noise.

    Yields:
        The kind of each copy and its image. A kind that does not suit the case is left out.
    """
    volumes = None
    for kind, alter in _ALTERATIONS.items():
        path = folder / "images" / f"{kind.replace(' ', '_')}.nii.gz"
        if not path.exists():
            if volumes is None:
                volumes = to_canonical(read_image(image)), to_canonical(read_label_image(mask))
            altered = alter(*volumes, np.random.default_rng(seed))
            if altered is None:
                continue
            for one in (path.parent, folder / "masks"):
                one.mkdir(parents=True, exist_ok=True)
            write_labels(folder / "masks" / path.name, altered[1])
            write_volume(path, altered[0])
        yield kind, path


def write_head(path: Path) -> None:
    """Write a made CT of a head: skin, skull, brain and ventricles as ellipsoids, with noise."""
    z, y, x = np.mgrid[-60:61, -120:120, -120:120].astype(np.float32)
    z *= 1.5
    radius = np.sqrt((x / 75) ** 2 + (y / 95) ** 2 + (z / 85) ** 2)
    hu = np.full(radius.shape, AIR_HU, np.float32)
    for outer, value in ((1.0, 40), (0.95, 1000), (0.88, 35)):
        hu[radius < outer] = value
    hu[np.sqrt(((abs(x) - 15) / 10) ** 2 + (y / 30) ** 2 + (z / 20) ** 2) < 1] = 5
    hu += np.random.default_rng(0).normal(0, 5, hu.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(np.round(hu).astype(np.int16), np.diag([1.0, 1.0, 1.5, 1.0])))


def add_noise(image: Volume, mask: Volume, rng: np.random.Generator) -> Pair:
    """Add noise of a low dose to the body, correlated within the slice."""
    noise = rng.normal(size=image.array.shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, (0.3, 1, 1))
    body = image.array > BODY_HU
    low, high = image.array.min(), image.array.max()
    noisy = image.array + noise * (NOISE_HU / noise.std()) * body
    return _with(image, np.clip(noisy, low, high)), mask


def thicken(image: Volume, mask: Volume, rng: np.random.Generator) -> Pair | None:
    """Average neighbouring slices to about 5 mm; None if the slices are as thick already."""
    count = round(THICK_MM / image.spacing_mm[0])
    whole = len(image.array) // count * count
    if count < 2 or not whole:
        return None
    shape = (-1, count, *image.array.shape[1:])
    thick = image.array[:whole].astype(np.float32).reshape(shape).mean(1)
    labels = mask.array[:whole].reshape(shape)[:, count // 2]
    affine = image.affine @ np.diag([1, 1, count, 1.0])
    affine[:3, 3] += image.affine[:3, 2] * (count - 1) / 2
    thick = np.round(thick).astype(image.array.dtype)
    return Volume(thick, affine), Volume(labels, affine)


def cut_top(image: Volume, mask: Volume, rng: np.random.Generator) -> Pair | None:
    """Leave out the slices above the middle of the liver."""
    liver = _liver_slices(mask)
    return _slices(image, mask, 0, int(np.median(liver)) + 1) if len(liver) else None


def cut_bottom(image: Volume, mask: Volume, rng: np.random.Generator) -> Pair | None:
    """Leave out the slices below the middle of the liver."""
    liver = _liver_slices(mask)
    return _slices(image, mask, int(np.median(liver)), None) if len(liver) else None


def keep_chest(image: Volume, mask: Volume, rng: np.random.Generator) -> Pair | None:
    """Keep the slices above the liver and the spleen, if there are any."""
    return _slices(image, mask, _last_slice(mask) + 1, None)


def keep_pelvis(image: Volume, mask: Volume, rng: np.random.Generator) -> Pair | None:
    """Keep the slices below all organs, if there are any; vessels run on below them."""
    array = np.where(np.isin(mask.array, (9, 10)), 0, mask.array)
    found = np.flatnonzero(array.any(axis=(1, 2)))
    pair = _slices(image, mask, 0, int(found[0])) if len(found) else None
    return pair and (pair[0], pair[1].with_array(np.zeros_like(pair[1].array)))


_ALTERATIONS: dict[str, Callable[..., Pair | None]] = {
    "noise of 25 HU": add_noise,
    "slices of 5 mm": thicken,
    "upper half of the liver cut off": cut_top,
    "lower half of the liver cut off": cut_bottom,
    "base of the chest only": keep_chest,
    "pelvis only": keep_pelvis,
}


def _liver_slices(mask: Volume) -> np.ndarray:
    return np.flatnonzero(np.isin(mask.array, (LIVER, TUMOUR)).any(axis=(1, 2)))


def _last_slice(mask: Volume) -> int:
    found = np.flatnonzero(np.isin(mask.array, (LIVER, TUMOUR, 3, 8)).any(axis=(1, 2)))
    return int(found[-1]) if len(found) else len(mask.array)


def _slices(image: Volume, mask: Volume, start: int, stop: int | None) -> Pair | None:
    """Cut canonical volumes along z; None if fewer than 8 slices would be left."""
    if len(image.array[start:stop]) < 8:
        return None
    affine = image.affine.copy()
    affine[:3, 3] += image.affine[:3, 2] * start
    return Volume(image.array[start:stop], affine), Volume(mask.array[start:stop], affine)


def _with(image: Volume, array: np.ndarray) -> Volume:
    return Volume(np.round(array).astype(image.array.dtype), image.affine)
