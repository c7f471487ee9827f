"""The input and output of a network. The specification is stored with runs and exported models."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.region_masks import MAX_REGIONS
from liverseg_tf.records import convert_record
from liverseg_tf.tiles.case_tiles import TileSequence
from liverseg_tf.tiles.spec import TileSpec

# bounds that keep the memory of a batch in proportion, whoever wrote the specification
MAX_CONTEXT = 63
MAX_CHANNELS = 256
MAX_STRIDE = 1024  # that of the deepest network is 512


@dataclass(frozen=True)
class NetworkSpec:
    """The tiles that a network takes and the regions that it predicts.

    Args:
        tiles: How slices become tiles.
        regions: Regions to predict, each with one sigmoid output channel.
        context: Number of neighbouring slices in the input, odd. The middle one is segmented.
        stride: Rows and columns of the input must be multiples of this number.
        context_spacing_mm: Approximate distance between neighbouring context slices. Slices in
            between are skipped, so that thin-slice and thick-slice volumes show the same
            anatomy. None takes adjacent slices.

    Raises:
        SettingsError: If `context` is even or not in 1..63, the stride is not in 1..1024, the
            spacing is not in 0..100 mm, or there are too many regions or channels.

    Example:
        >>> NetworkSpec(context=3)
        NetworkSpec(context: 3; channels: 3; spacing: 1.5 mm; stride: 16; regions: liver, tumour)
    """

    tiles: TileSpec = TileSpec()
    regions: Regions = LIVER_REGIONS
    context: int = 1
    stride: int = 16
    context_spacing_mm: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.context <= MAX_CONTEXT or self.context % 2 == 0:
            raise SettingsError(
                f"Expected an odd number of context slices from 1 to {MAX_CONTEXT}. "
                f"Received {self.context}."
            )
        if not 1 <= self.stride <= MAX_STRIDE:
            raise SettingsError(
                f"Expected a stride from 1 to {MAX_STRIDE} pixels. Received {self.stride}."
            )
        if self.channels > MAX_CHANNELS:
            raise SettingsError(
                f"Expected at most {MAX_CHANNELS} input channels (context slices times windows). "
                f"Received {self.channels}."
            )
        if len(self.regions) > MAX_REGIONS:
            raise SettingsError(
                f"Expected at most {MAX_REGIONS} regions. Received {len(self.regions)}."
            )
        if self.context_spacing_mm is not None and not 0 < self.context_spacing_mm <= 100:
            raise SettingsError(
                "Expected a distance between context slices above 0 and at most 100 mm. "
                f"Received {self.context_spacing_mm:g} mm."
            )

    def __repr__(self) -> str:
        context, spacing_mm = f"{self.context}", self.tiles.spacing_mm
        if self.context_spacing_mm is not None:
            context += f", {self.context_spacing_mm:g} mm apart"
        return (
            f"NetworkSpec(context: {context}; channels: {self.channels}; "
            f"spacing: {'native' if spacing_mm is None else f'{spacing_mm:g} mm'}; "
            f"stride: {self.stride}; regions: {', '.join(self.regions.names)})"
        )

    @property
    def channels(self) -> int:
        """Number of input channels: context slices times intensity windows."""
        return self.context * self.tiles.channels

    def padded(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Round a shape (rows, cols) up to multiples of the stride."""
        rows, cols = (-(-length // self.stride) * self.stride for length in shape)
        return rows, cols

    def slice_step(self, slice_mm: float) -> int:
        """Number of slices from one context slice to the next, at least 1.

        Args:
            slice_mm: Distance between the slices of the volume.
        """
        if self.context_spacing_mm is None:
            return 1
        return max(1, round(self.context_spacing_mm / slice_mm))

    def stack(self, tiles: TileSequence, z: int, slice_step: int = 1) -> np.ndarray:
        """Stack a slice and its context slices as channels.

        Beyond the ends of the volume, the first or last slice is repeated.

        Args:
            tiles: (z, h, w, windows) array, or any sequence of (h, w, windows) arrays.
            z: Index of the slice to segment.
            slice_step: Number of slices from one context slice to the next; see `slice_step`.

        Returns:
            (h, w, context * windows), from the lowest slice to the highest.
        """
        reach = self.context // 2 * slice_step
        indices = np.clip(np.arange(z - reach, z + reach + 1, slice_step), 0, len(tiles) - 1)
        return np.concatenate([tiles[int(i)] for i in indices], axis=-1)

    def to_json(self) -> dict:
        """Return a dictionary of plain JSON values, the inverse of `from_json`."""
        return {
            "tiles": self.tiles.to_json(),
            "regions": self.regions.to_json(),
            "context": self.context,
            "stride": self.stride,
            "context_spacing_mm": self.context_spacing_mm,
        }

    @classmethod
    def from_json(cls, value: object) -> "NetworkSpec":
        """Create a specification from the value that `to_json` returned.

        Raises:
            LiverSegError: If an entry is missing, has a wrong type or is out of range.
        """
        entries = convert_record(value, _Entries, "a network specification")
        return cls(
            TileSpec.from_json(entries.tiles),
            Regions.from_json(entries.regions),
            entries.context,
            entries.stride,
            entries.context_spacing_mm,
        )


@dataclass(frozen=True)
class _Entries:
    """The JSON values of a network specification."""

    tiles: dict[str, Any]
    regions: dict[str, list[int]]
    context: Annotated[int, Meta(ge=1, le=MAX_CONTEXT)]
    stride: Annotated[int, Meta(ge=1, le=MAX_STRIDE)]
    context_spacing_mm: float | None = None
