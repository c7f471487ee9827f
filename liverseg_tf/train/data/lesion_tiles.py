"""Batches with synthetic lesions in the organs of a fraction of the patients."""

import functools
import math
import threading
from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.phantom.lesions.lesion import draw_diameter, draw_lesion
from liverseg_tf.phantom.lesions.paint import box_reach_mm, paint_lesion
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.tiles.case_patients import patients_of
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.lookalike_tiles import LookalikeTiles
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.data.tile_boxes import box_around, clip_level, paint_tiles, to_hu
from liverseg_tf.train.lesion_labels import lesion_labels

_WITH_LESIONS = 0.75  # fraction of the tiles of these patients, if they show the organ
_MAX_LESIONS = 5  # in a tile
_NEXT = 0.45  # probability of one more lesion
_FIRST_CONTRAST, _CONTRAST_STEPS = 3.0, 500  # see `contrast_factor`
_STREAM, _LOOKALIKES = 20, 21  # tell these random numbers from those of the augmentation


def contrast_factor(step: int) -> float:
    """Return by how much the contrast of the lesions is multiplied in a step: 3 at first, then 1.

    Many lesions differ from the organ by less than the noise. A network that saw only such lesions
    had the same probability of a lesion in the whole organ after thousands of steps. A network that
    first learns lesions of high contrast then learns the faint ones, too.
    """
    return 1 + (_FIRST_CONTRAST - 1) * math.exp(-step / _CONTRAST_STEPS)


@dataclass(frozen=True)
class LesionShare:
    """Which patients get lesions.

    Args:
        share: Fraction of the patients, above 0.
        seed: Seed of the run, from which the patients follow.
        lookalikes: Kinds of structures that look like lesions, drawn in the same patients.
        cysts_are_lesions: Whether cysts among them get the label of the lesions.
    """

    share: float
    seed: int
    lookalikes: tuple[str, ...] = ()
    cysts_are_lesions: bool = False

    def choose(self, names: list[str], records: dict[str, dict]) -> set[str]:
        """Choose the cases of this fraction of the patients, at least one.

        Args:
            names: Names of the cases with the organ.
            records: Records of all cases of the store.
        """
        patients = patients_of(records)
        known = sorted({patients.get(name, name) for name in names})
        count = min(len(known), max(1, round(self.share * len(known))))
        order = np.random.default_rng((self.seed, _STREAM)).permutation(len(known))
        chosen = {known[number] for number in order[:count]}
        return {name for name in names if patients.get(name, name) in chosen}


class LesionSampler(BatchSampler):
    """A `BatchSampler` that draws lesions into the tiles of some patients, different in each step.

    Such a patient counts as one whose lesions are labelled, also if its mask labels the organ only.

    Attributes:
        with_lesions: Names of the cases with lesions.

    Args:
        share: Which patients get lesions.
        arguments: Those of `BatchSampler`.

    Raises:
        SettingsError: If the regions are not those of an organ and its lesions, or the tiles do
            not show HU.
        LiverSegError: As `BatchSampler`, or if no case labels the organ.
    """

    def __init__(self, share: LesionShare, *arguments):
        self._share = share
        self._maps_lock = threading.Lock()
        self._organ_map = functools.cache(self._make_organ_map)
        super().__init__(*arguments)

    def batch(
        self, seed: int, step: int, positions: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `BatchSampler`."""
        image, mask = super().batch(seed, step, positions)
        slices = self.draw(seed, step, positions)
        cases = self._case_of[slices[:, slices.shape[1] // 2]]
        indices = slices - self._first[cases][:, None]
        for i, case in enumerate(cases.tolist()):
            if self._names[case] not in self.with_lesions:
                continue
            tile = (seed, step, (positions.start or 0) + i)
            labels = self._draw(tile, case, image[i], indices[i])
            if labels is not None:
                h, w = labels.shape
                mask[i, :h, :w, 0] = self._translate(case, labels)
        return image, mask

    def _read_annotations(self, store: TileStore, names: list[str]) -> dict[str, Annotation]:
        """Count the lesions as labelled in the patients that get some."""
        annotations = super()._read_annotations(store, names)
        regions = self.network.regions
        organ, label = lesion_labels(regions)
        share = self._share
        self._spec = LesionSpec(
            organ=organ,
            lesion=label,
            lookalikes=share.lookalikes,
            cysts_are_lesions=share.cysts_are_lesions,
        )
        if self.network.tiles.percentiles is not None:
            raise SettingsError(
                "Expected tiles in HU together with synthetic_lesions, whose contrast is that of "
                "CT. Received tiles between percentiles."
            )
        self._lookalikes = LookalikeTiles(self._spec, self.network.tiles.windows)
        lesion = next(name for name in regions.names if regions.containing(name))
        inner = dict(regions.items)[lesion]
        outer = dict(regions.items)[regions.containing(lesion)[0]]
        usable = [
            name
            for name, annotation in annotations.items()
            if annotation.knows(outer)
            and any(str(label) in store.cases[name]["labels"] for label in self._spec.organ)
        ]
        if not usable:
            raise LiverSegError(
                f"Expected training cases with {regions.containing(lesion)[0]}, in which lesions "
                "are drawn. Received none that contains it."
            )
        self.with_lesions = self._share.choose(usable, store.cases)
        for name in self.with_lesions:
            annotation = annotations[name]
            if annotation.labelled is not None and not annotation.knows(inner):
                labelled = annotation.labelled.joined(Regions({lesion: inner}))
                annotations[name] = replace(annotation, labelled=labelled)
        return annotations

    def _read_records(self) -> list[dict]:
        """Count each slice with the organ as one with a lesion, in the patients that get some."""
        records = super()._read_records()
        lesion = str(self._spec.lesion)
        changed = []
        for name, record in zip(self._names, records, strict=True):
            listed = record["slices_with"]
            if name in self.with_lesions:
                own = (str(label) for label in (*self._spec.organ, self._spec.lesion))
                found = sorted({z for label in own for z in listed.get(label, [])})
                record = record | {"slices_with": listed | {lesion: found}}
            changed.append(record)
        return changed

    def _make_organ_map(self, case: int) -> OrganMap | None:
        tiles, labels = self._arrays[case]
        window, channel = self._widest_window()
        values = to_hu(np.asarray(tiles)[..., channel], window)
        return OrganMap.of(values, np.asarray(labels), self._spacing_mm(case), self._spec)

    def _widest_window(self) -> tuple[Window, int]:
        windows = self.network.tiles.windows
        channel = max(range(len(windows)), key=lambda n: windows[n].width_hu)
        return windows[channel], channel

    def _spacing_mm(self, case: int) -> tuple[float, float, float]:
        row_mm, col_mm = self._cases[case].transform.spacing_mm
        return self._cases[case].slice_mm, float(row_mm), float(col_mm)

    def _draw(
        self, tile: tuple[int, int, int], case: int, image: np.ndarray, indices: np.ndarray
    ) -> np.ndarray | None:
        """Draw lookalikes and then lesions into a tile and its context; see `paint_lesion`.

        Args:
            tile: Seed, step and position in the batch, from which they follow.
            case: Number of the case.
            image: (h, w, channels) uint8, which is changed.
            indices: Numbers of the slices in the case.

        Returns:
            (h, w) uint8 labels of the middle slice; None if it has none of the organ.
        """
        rng, others = (np.random.default_rng((*tile, stream)) for stream in (_STREAM, _LOOKALIKES))
        with self._maps_lock:
            organ = self._organ_map(case)
        if organ is None:
            return None
        tiles, stored = self._arrays[case]
        labels = np.stack([stored[z] for z in indices.tolist()])
        self._lookalikes.draw(others, image, labels, indices, organ, tiles)
        if rng.random() >= _WITH_LESIONS:
            return labels[len(indices) // 2]
        middle, slice_mm = int(indices[len(indices) // 2]), organ.spacing_mm[0]
        for _ in range(min(int(rng.geometric(1 - _NEXT)), _MAX_LESIONS)):
            diameter = draw_diameter(rng, self._spec)
            # the middle slice shows a section of it
            reach = int(0.4 * diameter / slice_mm)
            slices = (middle - reach, middle + reach + 1)
            centre = organ.choose(rng, diameter / 2, self._spec.place, slices=slices)
            if centre is not None:
                lesion = draw_lesion(rng, self._spec, diameter, organ.level_hu, organ.noise_hu)
                look = lesion.look.with_contrast(contrast_factor(tile[1]))
                lesion = replace(lesion, look=look)
                self._paint(image, labels, indices, centre, lesion, organ)
        return labels[len(indices) // 2]

    def _paint(self, image, labels, indices, centre_mm, lesion, organ) -> None:
        """Draw one lesion into each window of a tile, and into its labels."""
        h, w = labels.shape[1:]
        z_mm = indices * organ.spacing_mm[0]
        box, grid = box_around(centre_mm, box_reach_mm(lesion), (h, w), z_mm, organ.spacing_mm)
        tissue = (*self._spec.organ, self._spec.lesion)

        def paint(values: np.ndarray, part: np.ndarray, window: Window):
            level = clip_level(organ.level_hu, window)
            painted = paint_lesion(values, part, lesion, grid, tissue, level)
            return painted.image, painted.labels, painted.mask

        drawn = paint_tiles(image, labels, box, self.network.tiles.windows, paint)
        if drawn is not None:  # otherwise too small to be seen in these slices
            new_labels, mask = drawn
            labels[:, box[0], box[1]] = np.where(mask, np.uint8(self._spec.lesion), new_labels)
