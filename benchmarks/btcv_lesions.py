"""Count the dark spots in the livers of a data set whose lesions are labelled liver, as in BTCV.

    python benchmarks/btcv_lesions.py --data btcv/ --out spots/

A spot is a compact part of the liver that is darker than the liver, and lies away from its
surface and from other labelled structures (veins and gallbladder). OUT gets spots.csv and a
picture of the largest spots of each case, at a window of -75 to 225 HU: the rule finds candidates,
and whoever uses it looks at them.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from liverseg_tf.atomic import write_csv
from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.reading import read_case

PIXEL_MM = 1.5  # the livers are sampled at about this distance within slices
SMOOTH_MM = 2.0
SURFACE_MM, OTHER_MM = 3.5, 5.0  # least distances of a spot
DARKER_HU, DARKER_STDS = 18.0, 3.0
SMALLEST_MM = 6.0  # diameter of a ball of the same volume
COMPACT = 0.33  # least fraction of the box around a spot that it fills (a ball fills 0.52)
ROUND = 0.55  # least radius of the largest ball in a spot, relative to that of its volume
LOWER_HU, UPPER_HU = -75, 225
SIDE_MM, PIXELS, PER_ROW = 90, 140, 8
STEPS = np.arange(PIXELS) - PIXELS / 2


@dataclass(frozen=True)
class Spot:
    """A dark spot: its centre (z, row, col) in voxels, diameter in mm and contrast in HU."""

    centre: tuple[float, float, float]
    diameter_mm: float
    contrast_hu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--liver", type=int, default=1, help="label of the liver")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in find_cases(options.data):
        image, labels = map(to_canonical, read_case(case))
        array = np.asarray(image.array, np.float32)
        spots, level = find_spots(array, labels.array, image.spacing_mm, options.liver)
        sizes = " ".join(f"{spot.diameter_mm:.0f}" for spot in spots)
        print(f"{case.name}: liver {level:.0f} HU, {len(spots)} spots, mm: {sizes or '-'}")
        for number, spot in enumerate(spots, 1):
            z, row, col = (round(place) for place in spot.centre)
            values = (case.name, number, z, row, col, spot.diameter_mm, spot.contrast_hu)
            rows.append(dict(zip(_COLUMNS, values, strict=True)))
        if spots:
            picture = draw_spots(array, spots[: 2 * PER_ROW], image.spacing_mm)
            picture.save(options.out / f"{case.name}.png")
    write_csv(options.out / "spots.csv", _COLUMNS, rows)


_COLUMNS = ("case", "spot", "slice", "row", "col", "diameter_mm", "contrast_hu")


def find_spots(image, labels, spacing_mm, liver: int) -> tuple[list[Spot], float]:
    """Return the dark spots of a liver, the largest first, and the median of the liver in HU."""
    box = bounding_box(labels == liver)
    steps = [1, *(max(1, round(PIXEL_MM / mm)) for mm in spacing_mm[1:])]
    sparse = tuple(slice(None, None, step) for step in steps)
    spacing = [mm * step for mm, step in zip(spacing_mm, steps, strict=True)]
    sigma = [SMOOTH_MM / mm for mm in spacing_mm]
    values = ndimage.gaussian_filter(image[box], sigma, truncate=2)[sparse]
    tissue = labels[box][sparse]
    # vessels and gaps that the mask leaves out of the liver are not its surface, but are no spots
    inside = ndimage.distance_transform_edt(np.pad(tissue == liver, 1), spacing)[1:-1, 1:-1, 1:-1]
    allowed = inside > SURFACE_MM
    other = (tissue != liver) & (tissue != 0)
    if other.any():
        allowed &= ndimage.distance_transform_edt(~other, spacing) > OTHER_MM
    found = values[allowed]
    level = float(np.median(found))
    spread = 1.4826 * float(np.median(np.abs(found - level)))
    dark = allowed & (values < level - max(DARKER_HU, DARKER_STDS * spread))
    dark = ndimage.binary_opening(dark, np.ones((1, 2, 2), bool))
    numbers, count = ndimage.label(dark)
    spots = []
    for number, part in enumerate(ndimage.find_objects(numbers, count), 1):
        mask = numbers[part] == number
        volume = mask.sum() * np.prod(spacing)
        diameter = float(np.cbrt(6 * volume / np.pi))
        inner_mm = ndimage.distance_transform_edt(np.pad(mask, 1), spacing).max()
        if (
            diameter < SMALLEST_MM
            or mask.mean() < COMPACT
            or inner_mm < ROUND * diameter / 2
            or part[0].stop - part[0].start < 2  # noise of one slice
        ):
            continue
        centre = np.add(ndimage.center_of_mass(mask), [one.start for one in part])
        centre = [c * s + one.start for c, s, one in zip(centre, steps, box, strict=True)]
        contrast = float(values[part][mask].mean()) - level
        spots.append(Spot(tuple(centre), round(diameter, 1), round(contrast, 1)))
    return sorted(spots, key=lambda spot: -spot.diameter_mm), level


def draw_spots(image, spots, spacing_mm) -> Image.Image:
    """Draw a square around each spot, with a tick at its height on the left."""
    tiles = []
    steps = SIDE_MM / PIXELS / np.array(spacing_mm[1:])
    for spot in spots:
        row, col = spot.centre[1:]
        axes = [row + STEPS * steps[0], col + STEPS * steps[1]]
        places = np.meshgrid(*axes, indexing="ij")
        section = image[round(spot.centre[0])]
        tile = ndimage.map_coordinates(section, places, order=1, mode="constant", cval=LOWER_HU)
        tile = np.clip((tile - LOWER_HU) * 255 / (UPPER_HU - LOWER_HU), 0, 255).astype(np.uint8)
        tile[PIXELS // 2, :8] = tile[:8, PIXELS // 2] = 255
        tile[:, -2:] = tile[-2:] = 255
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % PER_ROW)
    rows = [np.hstack(tiles[n : n + PER_ROW]) for n in range(0, len(tiles), PER_ROW)]
    return Image.fromarray(np.vstack(rows))


if __name__ == "__main__":
    main()
