"""One case's tiles, and how they are cut from its volumes."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.images import source_files
from liverseg_tf.ct.orientation import Orientation, contiguous, to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.reading import guesses_geometry, read_case
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.transform import TileTransform


@dataclass(frozen=True, eq=False)
class CaseTiles:
    """Tiles of one case, from the feet to the head.

    Args:
        image: (z, h, w, windows) uint8.
        mask: (z, h, w) uint8 label map.
        record: what the store keeps about the case: `grid` and `orientation` for the way
            back, `affine` and `shape` of the source, `labels` (native voxels of each label),
            `slices_with` (the tile slices that hold each label), `labelled_outside` (share of
            the labelled voxels that the tile cuts off), `checksum` of the pixels,
            `source` (size and time of the files and the correction of their grid, to see
            whether they changed), and `guessed_geometry` (the header says nothing:
            spacing and orientation are guesses).
    """

    image: np.ndarray
    mask: np.ndarray
    record: dict

    @property
    def grid(self) -> TileTransform:
        return TileTransform.from_json(self.record["grid"])

    @property
    def slice_mm(self) -> float:
        """Distance of the slices."""
        axis = self.record["orientation"]["axes"][0]
        return float(self.record["spacing_mm"][axis])

    def restore_labels(self) -> Volume:
        """The mask on the source's own grid and axis order."""
        return restore_labels(np.asarray(self.mask), self.record)


def cut_case(case: Case, spec: TileSpec) -> CaseTiles:
    """Read a case and cut its tiles.

    Args:
        case: image and mask files.
        spec: of the tiles.

    Raises:
        LiverSegError: when a file is missing or broken, the mask lies on another grid, or the
            case has no mask.
    """
    try:
        image, mask = read_case(case, spec.channel)
        tiles = cut_tiles(image, mask, spec)
    except LiverSegError as error:
        raise error.about(case.name) from error
    tiles.record["source"] = fingerprint(case)
    tiles.record["guessed_geometry"] = guesses_geometry(case, image)
    return tiles


def cut_tiles(image: Volume, mask: Volume, spec: TileSpec) -> CaseTiles:
    """Cut the tiles of an image and its label map, which lie on one grid.

    Args:
        image: HU or MR units, in any axis order.
        mask: uint8 labels.
        spec: of the tiles.
    """
    canonical = to_canonical(image)
    grid = TileTransform.of(canonical, spec)
    image_tiles = grid.cut_image(canonical.array)
    canonical_mask = contiguous(to_canonical(mask).array)
    mask_tiles = grid.cut_mask(canonical_mask)
    orientation = Orientation.of(image.affine)
    labelled = canonical_mask[bounding_box(canonical_mask)]
    counts = np.bincount(labelled.reshape(-1), minlength=256)
    record = {
        "grid": grid.to_json(),
        "orientation": {"axes": orientation.axes, "flips": orientation.flips},
        "affine": image.affine.tolist(),
        "shape": image.array.shape,
        "spacing_mm": image.spacing_mm,
        "slices": len(mask_tiles),
        "labels": {str(label): int(counts[label]) for label in np.flatnonzero(counts[1:]) + 1},
        "labelled_outside": round(grid.share_outside(canonical_mask), 4),
        "slices_with": _slices_with(mask_tiles),
        "checksum": checksum(image_tiles, mask_tiles),
    }
    return CaseTiles(image_tiles, mask_tiles, record)


def restore_labels(mask: np.ndarray, record: dict) -> Volume:
    """Mask tiles back on the source's grid.

    Args:
        mask: (z, h, w) uint8, tiles of the case.
        record: of the case, as the store keeps it.

    Returns:
        (z, row, col) uint8 in the source's axis order, without the source's header.
    """
    native = TileTransform.from_json(record["grid"]).restore_mask(mask)
    order = record["orientation"]
    orientation = Orientation(tuple(order["axes"]), tuple(order["flips"]))
    array = np.ascontiguousarray(orientation.from_canonical(native))
    return Volume(array, np.array(record["affine"]))


def checksum(image: np.ndarray, mask: np.ndarray) -> str:
    """BLAKE2 of the pixels, the same for every store of the same tiles."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (image, mask):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def fingerprint(case: Case) -> dict:
    """Size and time of a case's files and its correction: whether it has to be cut again.

    Returns:
        `bytes` and `modified_ns` of image and mask; of several files (a DICOM series) the sum
        and the newest, and how many `files` the image has. `correction` and `ambiguity` where
        there are any.
    """
    try:
        image, mask = (
            [file.stat() for file in source_files(source)] for source in (case.image, case.mask)
        )
    except OSError as error:
        raise LiverSegError(
            f"Expected a file at {error.filename}. Received: {error.strerror}. (case {case.name})"
        ) from error
    found = {
        "bytes": [sum(stat.st_size for stat in stats) for stats in (image, mask)],
        "modified_ns": [
            max((stat.st_mtime_ns for stat in stats), default=0) for stats in (image, mask)
        ],
    }
    if len(image) > 1:
        found["files"] = len(image)
    if case.ambiguity is not None:
        found["ambiguity"] = case.ambiguity
    if case.correction is not None:  # through JSON, as it comes back: tuples become lists
        found["correction"] = json.loads(json.dumps(case.correction.to_json()))
    return found


def _slices_with(mask: np.ndarray) -> dict[str, list[int]]:
    slices: dict[str, list[int]] = {}
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        plane = mask[z]
        for label in np.flatnonzero(np.bincount(plane.reshape(-1))[1:]) + 1:
            slices.setdefault(str(label), []).append(int(z))
    return slices
