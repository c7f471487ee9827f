"""Structures that look like lesions but are not, drawn into the tiles of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.intensity import Window, to_uint8
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lookalikes.lookalike import Lookalike, draw_lookalike
from liverseg_tf.phantom.lookalikes.paint import (
    blur_slice,
    dome_shares,
    draw_dome,
    paint_lookalike,
)
from liverseg_tf.tiles.case_tiles import TileArray
from liverseg_tf.train.data.tile_boxes import box_around, clip_level, paint_tiles, to_hu

_WITH_LOOKALIKES = 0.5  # fraction of the tiles with the organ
_MAX_COUNT = 3  # in a tile
_NEXT = 0.4  # probability of one more


@dataclass(frozen=True)
class LookalikeTiles:
    """Draws structures that look like lesions.

    Args:
        spec: Kinds, and labels of organ and lesions.
        windows: Windows of the tiles.
    """

    spec: LesionSpec
    windows: tuple[Window, ...]

    def draw(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        labels: np.ndarray,
        slices: np.ndarray,
        organ: OrganMap,
        tiles: TileArray,
    ) -> None:
        """Draw structures into half of the tiles.

        Args:
            rng: Generator of the tile.
            image: (h, w, channels) uint8 of the tile and its context, which is changed.
            labels: (slices, h, w) uint8, which is changed if cysts are lesions.
            slices: Numbers of the slices in the case.
            organ: The organ of the case.
            tiles: Tiles of the case, (z, h, w, windows) uint8.
        """
        if not self.spec.lookalikes or rng.random() >= _WITH_LOOKALIKES:
            return
        middle = int(slices[len(slices) // 2])
        kinds: Sequence[str] = self.spec.lookalikes
        for _ in range(min(int(rng.geometric(1 - _NEXT)), _MAX_COUNT)):
            kind = str(rng.choice(kinds))
            if kind == "dome":
                self._blur_dome(rng, image, labels, slices, organ, tiles)
                kinds = [other for other in kinds if other != "dome"]  # an organ has one
            elif (lookalike := draw_lookalike(rng, kind, organ, middle)) is not None:
                self._paint(image, labels, slices, lookalike, organ)
            if not kinds:
                return

    def _paint(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        slices: np.ndarray,
        lookalike: Lookalike,
        organ: OrganMap,
    ) -> None:
        h, w = labels.shape[1:]
        z_mm = slices * organ.spacing_mm[0]
        box, grid = box_around(
            lookalike.centre_mm, lookalike.reach_mm, (h, w), z_mm, organ.spacing_mm
        )

        def paint(values: np.ndarray, tissue: np.ndarray, window: Window):
            level = clip_level(organ.level_hu, window)
            new, mask = paint_lookalike(values, tissue, lookalike, grid, self.spec.organ, level)
            return new, tissue, mask

        drawn = paint_tiles(image, labels, box, self.windows, paint)
        if drawn is not None and lookalike.kind == "cyst" and self.spec.cysts_are_lesions:
            labels[:, box[0], box[1]][drawn[1]] = self.spec.lesion

    def _blur_dome(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        labels: np.ndarray,
        slices: np.ndarray,
        organ: OrganMap,
        tiles: TileArray,
    ) -> None:
        """Blur the slices below the top of the organ."""
        top = int(organ.ends[1][0])
        shares, up = dome_shares(draw_dome(rng), top - slices, organ.spacing_mm[0])
        h, w = labels.shape[1:]
        for place in np.flatnonzero(shares > 0.01).tolist():
            above = np.asarray(tiles[min(int(slices[place]) + up, len(tiles) - 1)])
            inside = np.isin(labels[place], self.spec.organ)
            for number, window in enumerate(self.windows):
                part = image[:h, :w, place * len(self.windows) + number]
                mixed = blur_slice(
                    to_hu(part, window), to_hu(above[..., number], window), inside, shares[place]
                )
                part[...] = to_uint8(mixed, window)
