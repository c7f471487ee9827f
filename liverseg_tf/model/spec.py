"""What a network takes and gives; it travels with the run and the exported model."""

from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles.spec import TileSpec


@dataclass(frozen=True)
class NetworkSpec:
    """The way from tiles to the network's input and from its output to labels.

    Args:
        tiles: how slices become tiles.
        regions: one sigmoid output channel each.
        context: slices that a network sees at once, odd; the middle one is segmented.
        stride: rows and columns of its input must be multiples of it.
        context_spacing_mm: approximate distance between neighbouring context slices; thin slices
            in between are skipped, so that thin and thick slices show the same anatomy. None
            takes adjacent slices.
    """

    tiles: TileSpec = TileSpec()  # noqa: RUF009 (frozen)
    regions: Regions = LIVER_REGIONS
    context: int = 1
    stride: int = 16
    context_spacing_mm: float | None = None

    def __post_init__(self) -> None:
        if self.context < 1 or self.context % 2 == 0:
            raise SettingsError(
                f"Expected an odd number of slices as context. Received {self.context}."
            )
        if self.context_spacing_mm is not None and not 0 < self.context_spacing_mm <= 100:
            raise SettingsError(
                f"Expected a distance of 0 to 100 mm between the slices of the context. "
                f"Received {self.context_spacing_mm:g} mm."
            )

    @property
    def channels(self) -> int:
        """Channels of the network's input: slices, and windows within each."""
        return self.context * self.tiles.channels

    def padded(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The next (rows, cols) that the network can take."""
        return tuple(-(-length // self.stride) * self.stride for length in shape)

    def slice_step(self, slice_mm: float) -> int:
        """Slices from one of the context to the next, at least 1.

        Args:
            slice_mm: distance of a volume's slices.
        """
        return (
            1
            if self.context_spacing_mm is None
            else max(1, round(self.context_spacing_mm / slice_mm))
        )

    def stack(self, tiles: np.ndarray, z: int, slice_step: int = 1) -> np.ndarray:
        """A slice with its neighbours; beyond the ends the last slice is repeated.

        Args:
            tiles: (z, h, w, windows), or anything that gives (h, w, windows) for an index.
            z: the slice that is segmented.
            pace: slices from one to the next; see `slice_step`.

        Returns:
            (h, w, context * windows), from the lowest slice to the highest.
        """
        reach = self.context // 2 * slice_step
        indices = np.clip(np.arange(z - reach, z + reach + 1, slice_step), 0, len(tiles) - 1)
        return np.concatenate([tiles[int(i)] for i in indices], axis=-1)

    def to_json(self) -> dict:
        """A plain dictionary; `from_json` undoes it."""
        return {
            "tiles": self.tiles.to_json(),
            "regions": self.regions.to_json(),
            "context": self.context,
            "stride": self.stride,
            "context_spacing_mm": self.context_spacing_mm,
        }

    @classmethod
    def from_json(cls, value: dict) -> "NetworkSpec":
        """The spec that `to_json` wrote.

        Raises:
            LiverSegError: when keys or types are others.
        """
        try:
            return cls(
                TileSpec.from_json(value["tiles"]),
                Regions.from_json(value["regions"]),
                int(value["context"]),
                int(value["stride"]),
                value.get("context_spacing_mm"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LiverSegError(f"Expected a network's spec. Received {value!r}.") from error
