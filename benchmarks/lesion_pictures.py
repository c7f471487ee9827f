"""Draw the pictures of docs/lesions.md: a real lesion beside synthetic ones of each kind.

    python benchmarks/lesion_pictures.py --livers btcv/ --real crlm/ --out docs/images/lesions

Each strip of a kind of lesion shows the real lesion of the first case of --real, two synthetic ones
in the healthy liver of the same patient, and four in livers of --livers, at a window of -75 to 225
HU. Each strip of a kind of structure that only looks like a lesion shows three sections of --livers
without and with it.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from liverseg_tf.choices import LESION_KINDS, LOOKALIKES
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.reading import read_case
from liverseg_tf.phantom.lesions.grid import Grid
from liverseg_tf.phantom.lesions.lesion import draw_lesion
from liverseg_tf.phantom.lesions.paint import box_reach_mm, paint_lesion
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lookalikes.lookalike import draw_lookalike
from liverseg_tf.phantom.lookalikes.paint import blur_slice, dome_shares, paint_lookalike

LOWER_HU, UPPER_HU = -75, 225
SIDE_MM, PIXELS, GAP = 84, 150, 4
DIAMETERS_MM = (22, 34, 12, 18, 28, 44)  # in --real and in --livers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--livers", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    patient = read(find_cases(options.real)[0])
    # two cases are enough, and need little memory
    livers = [read(case) for case in find_cases(options.livers)[0:4:3]]
    image, labels, spacing = patient
    lesion = labels == 2
    z = int(lesion.sum(axis=(1, 2)).argmax())
    real = crop(image[z], ndimage.center_of_mass(lesion[z]), spacing)
    sources = [patient, patient, *(livers * 2)]
    maps = {id(one): OrganMap.of(*one, LesionSpec()) for one in (patient, *livers)}
    for row, kind in enumerate(LESION_KINDS):
        tiles = [real]
        for n, (source, diameter) in enumerate(zip(sources, DIAMETERS_MM, strict=True)):
            rng = np.random.default_rng((options.seed, row, n))
            tiles.append(synthetic(rng, *source, maps[id(source)], kind, diameter))
        save(tiles, options.out / f"{kind}.png")
    for row, kind in enumerate(LOOKALIKES):
        tiles = []
        for n in range(3):
            source = livers[n % 2]
            # not every place shows the structure well: the first of some that changes 1 cm2
            for attempt in range(20):
                rng = np.random.default_rng((options.seed, 100 + row, n, attempt))
                drawn = lookalike(rng, *source, maps[id(source)], kind, n)
                if (
                    drawn is not None
                    and (np.abs(np.subtract(*drawn, dtype=float)) > 12).sum() > 330
                ):
                    tiles += drawn
                    break
        save(tiles, options.out / f"{kind}.png")


def save(tiles: list[np.ndarray], path: Path) -> None:
    """Write tiles beside each other."""
    gap = np.full((PIXELS, GAP), 255, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)][:-1]
    Image.fromarray(np.hstack(parts)).save(path, optimize=True)


def read(case) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Image, labels and spacing in canonical order."""
    image, labels = map(to_canonical, read_case(case))
    array = np.ascontiguousarray(image.array, np.float32)
    return array, np.ascontiguousarray(labels.array), image.spacing_mm


def synthetic(rng, image, labels, spacing, organ, kind: str, diameter: float) -> np.ndarray:
    """A section through the centre of a lesion."""
    lesion = draw_lesion(rng, LesionSpec(kinds=(kind,)), diameter, organ.level_hu, organ.noise_hu)
    centre = organ.choose(rng, diameter / 2, "any")
    part, grid = box_around(image, spacing, centre, box_reach_mm(lesion))
    painted = paint_lesion(image[part], labels[part], lesion, grid, (1, 2), organ.level_hu)
    z = min(round(centre[0] / spacing[0]), len(image) - 1)
    section = image[z].copy()
    section[part[1:]] = painted.image[z - part[0].start]
    return crop(section, centre[1:] / spacing[1:], spacing)


def lookalike(rng, image, labels, spacing, organ, kind: str, number: int):
    """A section without and with a structure that looks like a lesion; None if it has no place."""
    if kind == "dome":
        top = int(organ.ends[1][0])
        # the second or third slice from the top, which shows more of the liver
        z = top - 1 - number // 2
        shares, up = dome_shares((16, 0.35 + 0.1 * number), np.array([top - z]), spacing[0])
        inside = labels[z] == 1
        section = blur_slice(image[z], image[z + up], inside, float(shares[0]))
        centre = np.array(ndimage.center_of_mass(inside))
    else:
        one = draw_lookalike(rng, kind, organ)
        if one is None:
            return None
        part, grid = box_around(image, spacing, one.centre_mm, one.reach_mm)
        new, mask = paint_lookalike(image[part], labels[part], one, grid, (1,), organ.level_hu)
        at = int(mask.sum(axis=(1, 2)).argmax())
        z, section = at + part[0].start, image[at + part[0].start].copy()
        section[part[1:]] = new[at]
        centre = one.centre_mm[1:] / spacing[1:]
    return [crop(one, centre, spacing) for one in (image[z], section)]


def box_around(image, spacing, centre, reach: float) -> tuple[tuple[slice, ...], Grid]:
    """The part of an image around a structure, and the positions of its voxels."""
    box, axes = [], []
    for size, mm, at in zip(image.shape, spacing, centre, strict=True):
        start, stop = max(0, int((at - reach) / mm)), min(size, int((at + reach) / mm) + 2)
        box.append(slice(start, stop))
        axes.append(np.arange(start, stop) * mm - at)
    return tuple(box), Grid(*axes, spacing[0], tuple(spacing[1:]))


def crop(section: np.ndarray, centre, spacing) -> np.ndarray:
    """Resample a square around a point to uint8."""
    steps = SIDE_MM / PIXELS / np.array(spacing[1:])
    axes = [
        at + (np.arange(PIXELS) - PIXELS / 2) * step for at, step in zip(centre, steps, strict=True)
    ]
    places = np.meshgrid(*axes, indexing="ij")
    values = ndimage.map_coordinates(section, places, order=1, mode="constant", cval=LOWER_HU)
    return np.clip((values - LOWER_HU) * 255 / (UPPER_HU - LOWER_HU), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
