"""The tiles of one case: cutting them from its volumes and restoring its mask from them."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.fingerprint import fingerprint_source
from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.size_limit import memory_bytes
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import Case
from liverseg_tf.dataset.check.measurements import voxel_digest
from liverseg_tf.dataset.check.rules import CheckSettings, judge_volumes
from liverseg_tf.dataset.reading import has_guessed_geometry, read_case, segments_entry
from liverseg_tf.errors import LiverSegError, MemoryLimitError
from liverseg_tf.tiles.case_record import CUTTER_VERSION, annotation_entry
from liverseg_tf.tiles.mask_tiles import cut_mask
from liverseg_tf.tiles.memory import cutting_memory_bytes
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.transform import TileTransform


class TileSequence(Protocol):
    """Slices that can be counted and indexed: an array, a list, or files read on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, z: int, /) -> np.ndarray: ...


class TileArray(TileSequence, Protocol):
    """Tiles in memory, memory-mapped, or in files that are read when a slice is indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (z, h, w) or (z, h, w, windows)."""

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the slices."""

    def __array__(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class CaseTiles:
    """Tiles of one case, ordered from inferior to superior.

    Args:
        image: (z, h, w, windows) uint8.
        mask: (z, h, w) uint8 label map.
        record: Properties of the case that the store keeps: `transform` and `orientation` (needed
            to restore masks), `affine`, `shape` and `spacing_mm` of the source image, `slices`
            (number of slices), `labels` (native voxels of each label), `slices_with` (indices of
            the tiles that contain each label), `labelled_outside` (fraction of the labelled voxels
            outside the tiles), `checksum` of the pixels, `spec` and `cutter` (settings and version
            with which the tiles were cut), `source` (fingerprint of the source files) and
            `guessed_geometry` (whether spacing and orientation are guesses because the header has
            none), `patient` (None if the files do not name one), `image_digest` (checksum of the
            voxels of the image), `warnings` of the check, `accepted` (the rules whose errors were
            accepted), and `annotation` (what the mask labels) if that is not everything.
    """

    image: TileArray
    mask: TileArray
    record: dict

    def __repr__(self) -> str:
        slices, rows, cols, channels = self.image.shape
        labels = ", ".join(self.record.get("labels", ())) or "none"
        return (
            f"CaseTiles(slices: {slices}; tile: {rows} x {cols} pixels; channels: {channels}; "
            f"labels: {labels})"
        )

    @property
    def transform(self) -> TileTransform:
        """Transform from the slices of the case to these tiles."""
        return TileTransform.from_json(self.record["transform"])

    @property
    def slice_mm(self) -> float:
        """Distance between neighbouring slices."""
        axis = self.record["orientation"]["axes"][0]
        return float(self.record["spacing_mm"][axis])

    def restore_labels(self) -> Volume:
        """Restore the label map on the grid and in the axis order of the source."""
        return restore_labels(np.asarray(self.mask), self.record)


def cut_case(case: Case, spec: TileSpec, check: CheckSettings | None = None) -> CaseTiles:
    """Read a case, check it with the rules of `liverseg check`, and cut its tiles.

    Args:
        case: Case with image and mask.
        spec: Settings of the tiles.
        check: What the case should contain. None takes `spec.check_settings()`.

    Raises:
        LiverSegError: If the case has no mask, a file is missing or damaged, image and mask are
            on different grids, a rule finds an error, or there is not enough memory.
    """
    check = spec.check_settings() if check is None else check
    image = None
    try:
        before = source_fingerprint(case)
        image, mask = read_case(case, spec.channel)
        _check_memory(image, spec)
        guessed_geometry = has_guessed_geometry(case, image)
        warnings = judge_volumes(case.name, (image, mask), guessed_geometry, check)
        annotation = check.annotations.of(case.name)
        tiles = cut_tiles(image, mask, spec, annotation)
        if source_fingerprint(case) != before:
            raise LiverSegError(
                f"Expected the files of {case.image} and {case.mask} to be unchanged while they "
                "were read. Received files that another program has just changed: try again."
            )
    except LiverSegError as error:
        raise error.about(case.name) from error
    except MemoryError as error:
        needed = "" if image is None else f" (needs about {_memory_gb(image, spec):.1f} GB)"
        message = f"Not enough memory to cut the tiles{needed}: use fewer workers."
        raise LiverSegError(message).about(case.name) from error
    tiles.record["source"] = before
    entries = {
        "guessed_geometry": guessed_geometry,
        "patient": case.patient,
        "image_digest": voxel_digest(image),
        "warnings": [issue.line for issue in warnings],
        "accepted": sorted({issue.kind for issue in warnings} & set(check.accepted)),
    }
    tiles.record.update(entries | annotation_entry(annotation))
    return tiles


def cut_tiles(
    image: Volume, mask: Volume, spec: TileSpec, annotation: Annotation = Annotation()
) -> CaseTiles:
    """Cut the tiles of an image and its label map.

    Args:
        image: HU or MR units, in any axis order.
        mask: uint8 labels on the same grid.
        spec: Settings of the tiles.
        annotation: What the mask labels; see `cut_mask`.

    Raises:
        LiverSegError: If the list of labelled slices is not that of the mask.
    """
    canonical = to_canonical(image)
    transform = TileTransform.for_volume(canonical, spec)
    image_tiles = transform.image_to_tiles(canonical.array)
    masks = cut_mask(mask, transform, annotation)
    orientation = Orientation.of(image.affine)
    record = {
        "transform": transform.to_json(),
        "orientation": {"axes": orientation.axes, "flips": orientation.flips},
        "affine": image.affine.tolist(),
        "shape": image.array.shape,
        "spacing_mm": image.spacing_mm,
        "slices": len(masks.tiles),
        "labels": masks.labels,
        "labelled_outside": masks.labelled_outside,
        "slices_with": masks.slices_with,
        "checksum": checksum(image_tiles, masks.tiles),
        "spec": spec.to_json(),
        "cutter": CUTTER_VERSION,
    }
    return CaseTiles(image_tiles, masks.tiles, record)


def restore_labels(mask: np.ndarray, record: dict) -> Volume:
    """Restore a label map on the grid and in the axis order of the source.

    Args:
        mask: (z, h, w) uint8, mask tiles of the case.
        record: Record of the case; see `CaseTiles`.

    Returns:
        (z, row, col) uint8 in the axis order of the source, without its header.
    """
    native = TileTransform.from_json(record["transform"]).mask_to_native(mask)
    order = record["orientation"]
    orientation = Orientation(tuple(order["axes"]), tuple(order["flips"]))
    array = np.ascontiguousarray(orientation.from_canonical(native))
    return Volume(array, np.array(record["affine"]))


def checksum(image: TileArray, mask: TileArray) -> str:
    """Compute the SHA-256 checksum of the pixels; it does not depend on the storage format."""
    digest = hashlib.sha256()  # processors have instructions for it, but not for BLAKE2
    for array in (image, mask):
        digest.update(f"{tuple(array.shape)}".encode())
        for z in range(len(array)):  # slice by slice: they may be files, or larger than the memory
            digest.update(np.ascontiguousarray(array[z]).data)
    return digest.hexdigest()


def source_fingerprint(case: Case) -> dict:
    """Summarise the source files of a case; it changes whenever the case must be cut again.

    Returns:
        `image` and `mask`: number, total size, and names, sizes and times of their files; see
        `fingerprint_source`. `correction` and `ambiguity` are present if the case has them.

    Raises:
        LiverSegError: If the case has no mask, or a file is missing.
    """
    if case.mask is None:
        raise LiverSegError(f"Expected a mask for {case.image}. Received an image without one.")
    try:
        fingerprint: dict[str, Any] = {
            "image": fingerprint_source(case.image),
            "mask": fingerprint_source(case.mask),
        }
    except LiverSegError as error:
        raise error.about(case.name) from error
    if case.ambiguity is not None:
        fingerprint["ambiguity"] = case.ambiguity
    fingerprint |= segments_entry(case)
    if case.correction is not None:
        # through JSON, so that it equals the one that is read from a file: tuples become lists
        fingerprint["correction"] = json.loads(json.dumps(case.correction.to_json()))
    return fingerprint


def _check_memory(image: Volume, spec: TileSpec) -> None:
    needed, limit = _memory_gb(image, spec), memory_bytes() / 1e9
    if needed > limit:
        raise MemoryLimitError(
            f"Expected tiles that need at most {limit:.1f} GB, the memory of this process. "
            f"Received tiles of {spec} that need {needed:.1f} GB: use a larger --spacing or a "
            "smaller --tile."
        )


def _memory_gb(image: Volume, spec: TileSpec) -> float:
    canonical = to_canonical(image)
    shape, voxel_bytes = canonical.array.shape, canonical.array.itemsize
    return cutting_memory_bytes(shape, canonical.spacing_mm, voxel_bytes, spec) / 1e9
