"""The record of a case in a store, and its validation: stores may be damaged or untrusted."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.records import decode_record
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.transform import MAX_SLICE_SIDE, TileTransform

# increase it whenever the same files and the same spec give other tiles or another record
CUTTER_VERSION = 2  # 2: `image_digest` is a SHA-256

Side = Annotated[int, Meta(ge=1, le=100_000)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Millimetres = Annotated[float, Meta(gt=0, le=10**6)]
Row = tuple[float, float, float, float]


@dataclass(frozen=True)
class CaseRecord:
    """Types and ranges of the record of a case; see `CaseTiles` for the meaning of its entries."""

    transform: TileTransform
    orientation: Orientation
    affine: tuple[Row, Row, Row, Row]
    shape: tuple[Side, Side, Side]
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    slices: Side
    labels: dict[str, Count]
    labelled_outside: Annotated[float, Meta(ge=0, le=1)]
    slices_with: dict[str, list[Count]]
    checksum: str
    spec: dict[str, Any]
    cutter: int
    source: dict[str, Any] | None = None
    guessed_geometry: bool = False
    patient: str | None = None
    image_digest: str | None = None
    warnings: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    annotation: dict[str, Any] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int, int]:
        """Shape (z, h, w, windows) of the image tiles."""
        return (*self.mask_shape, len(self.transform.windows))

    @property
    def mask_shape(self) -> tuple[int, int, int]:
        """Shape (z, h, w) of the mask tiles."""
        return (self.slices, *self.transform.shape)

    @property
    def tile_spec(self) -> TileSpec:
        """The settings with which the tiles were cut."""
        return TileSpec.from_json(self.spec)

    def check(self, source: Path) -> None:
        """Check that the entries agree with each other.

        Args:
            source: Where the record comes from, for error messages.

        Raises:
            LiverSegError: If two entries contradict each other.
        """
        try:
            wrong = self._contradiction(self.tile_spec)
            if self.annotation is not None:
                Annotation.from_json(self.annotation)
        except LiverSegError as error:  # wrong settings of the tiles, or of the regions
            raise LiverSegError(f"{error} (in {source})") from error
        if wrong is not None:
            raise LiverSegError(
                f"Expected the record of a case in {source}. Received one whose {wrong}: it is "
                "damaged, so preprocess the data set again."
            )

    def _contradiction(self, spec: TileSpec) -> str | None:
        transform = self.transform
        if sorted(self.orientation.axes) != [0, 1, 2]:
            return "axes are no permutation"
        slices, rows, cols = (self.shape[axis] for axis in self.orientation.axes)
        if (slices, (rows, cols)) != (self.slices, transform.native_shape):
            return "shape differs from that of its slices"
        if min(*transform.native_spacing_mm, *transform.spacing_mm) <= 0:
            return "spacing is not above 0"
        if min(transform.shape) < 1 or max(transform.shape) > MAX_SLICE_SIDE:
            return f"tiles do not have 1 to {MAX_SLICE_SIDE} rows and columns"
        if max(transform.resampler.target_shape) > MAX_SLICE_SIDE:
            return f"slices have more than {MAX_SLICE_SIDE} rows or columns"
        if spec.tile_shape not in (None, transform.shape):
            return "tiles do not have the shape of its settings"
        if len(transform.windows) != spec.channels:
            return "windows are not those of its settings"
        if any(z >= self.slices for listed in self.slices_with.values() for z in listed):
            return "list of slices with a label goes beyond the last slice"
        if not all(label in _LABELS for label in (*self.labels, *self.slices_with)):
            return "labels are not from 1 to 255"
        return None


_DIGEST = "digest"
_LABELS = {str(label) for label in range(1, 256)}


def annotation_entry(annotation: Annotation) -> dict[str, Any]:
    """Return the entry of a record that says what a mask labels; empty if that is everything."""
    return {} if annotation.is_complete else {"annotation": annotation.to_json()}


def record_checksum(record: dict) -> str:
    """Return the checksum of a case's tiles; of a part of the regions, also that of the entry."""
    if record.get("annotation") is None:
        return record["checksum"]
    return _digest({name: record[name] for name in ("annotation", "checksum")})


def format_record(record: dict) -> str:
    """Return the record of a case as JSON, with a digest of all its entries."""
    return json.dumps(record | {_DIGEST: _digest(record)})


def parse_record(content: bytes, source: Path) -> tuple[dict, CaseRecord]:
    """Parse and check the record of a case.

    Args:
        content: The record as `format_record` returned it.
        source: Where it comes from, for error messages.

    Returns:
        The record as a dictionary, and the same as a typed value.

    Raises:
        LiverSegError: If it is no valid record.
    """
    try:
        record = decode_record(content, CaseRecord, str(source))
    except SettingsError as error:  # a window without width
        raise LiverSegError(f"{error} (in {source})") from error
    value = json.loads(content)
    if value.pop(_DIGEST, None) != _digest(value):
        raise LiverSegError(
            f"Expected the record of a case in {source} as it was written. Received one that has "
            "changed: it is damaged, so preprocess the data set again."
        )
    record.check(source)
    return value, record


def _digest(record: dict) -> str:
    text = json.dumps(record, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
