"""Settings of the tiles: intensity window, spacing and shape."""

from dataclasses import asdict, dataclass

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.dataset.check.rules import CheckSettings
from liverseg_tf.errors import SettingsError
from liverseg_tf.records import convert_record

LIVER_WINDOW = Window(level_hu=25, width_hu=450)
MAX_TILE = 8192  # rows or columns; larger ones come from damaged records


@dataclass(frozen=True)
class TileSpec:
    """How slices become tiles. It is stored with the tiles, the run and the exported model.

    Args:
        windows: HU windows, one channel each; ignored if `percentiles` is given.
        percentiles: Intensity range between two percentiles of each volume, as the only channel;
            for images without HU (MR).
        spacing_mm: In-plane spacing of the tiles. None keeps the spacing of each image.
        tile_shape: Shape (rows, cols) of every tile, centred on the body and padded with 0. None
            keeps whole slices.
        channel: Index of the volume to use from 4D images (such as an MR sequence). None for 3D
            images.

    Raises:
        SettingsError: If a value is out of range.

    Example:
        >>> TileSpec()
        TileSpec(windows: -200 to 250 HU; spacing_mm: 1.5; tile_shape: 256 x 256; channel: none)
    """

    windows: tuple[Window, ...] = (LIVER_WINDOW,)
    percentiles: PercentileRange | None = None
    spacing_mm: float | None = 1.5
    tile_shape: tuple[int, int] | None = (256, 256)
    channel: int | None = None

    def __post_init__(self) -> None:
        if not self.windows and self.percentiles is None:
            raise SettingsError("Expected an HU window or a percentile range. Received neither.")
        if self.spacing_mm is not None and not 0.05 <= self.spacing_mm <= 50:
            raise SettingsError(
                f"Expected an in-plane spacing from 0.05 to 50 mm. Received {self.spacing_mm:g} mm."
            )
        if (
            self.tile_shape is not None
            and not 16 <= min(self.tile_shape) <= max(self.tile_shape) <= MAX_TILE
        ):
            raise SettingsError(
                f"Expected a tile shape from 16 x 16 to {MAX_TILE} x {MAX_TILE}. "
                f"Received {self.tile_shape[0]} x {self.tile_shape[1]}."
            )
        if self.channel is not None and self.channel < 0:
            raise SettingsError(f"Expected a channel of at least 0. Received {self.channel}.")

    def __repr__(self) -> str:
        text = self.describe()
        unused = "windows" if self.percentiles is not None else "percentiles"
        return f"TileSpec({'; '.join(f'{n}: {t}' for n, t in text.items() if n != unused)})"

    @property
    def channels(self) -> int:
        """Number of channels of a tile."""
        return 1 if self.percentiles is not None else len(self.windows)

    def check_settings(self, accepted: tuple[str, ...] = ()) -> CheckSettings:
        """Return the settings of the check of images that become such tiles.

        Args:
            accepted: Rules of which errors are turned into warnings.
        """
        has_hu = self.percentiles is None
        windows = self.windows if has_hu else ()
        return CheckSettings(
            has_hu=has_hu, channel=self.channel, windows=windows, accepted=accepted
        )

    def describe(self) -> dict[str, str]:
        """Return the settings as readable text, by name."""
        ranges = [f"{window.lower_hu:g} to {window.upper_hu:g} HU" for window in self.windows]
        between, shape = self.percentiles, self.tile_shape
        return {
            "windows": ", ".join(ranges),
            "percentiles": "none" if between is None else f"{between.lower:g} to {between.upper:g}",
            "spacing_mm": "native" if self.spacing_mm is None else f"{self.spacing_mm:g}",
            "tile_shape": "whole slices" if shape is None else f"{shape[0]} x {shape[1]}",
            "channel": "none" if self.channel is None else str(self.channel),
        }

    def to_json(self) -> dict:
        """Return the settings as a dictionary that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> "TileSpec":
        """Read the dictionary that `to_json` returned.

        Raises:
            LiverSegError: If keys are missing or values are of the wrong type.
        """
        entries = convert_record(value, _Entries, "a tile spec")
        return cls(
            entries.windows,
            entries.percentiles,
            entries.spacing_mm,
            entries.tile_shape,
            entries.channel,
        )


@dataclass(frozen=True)
class _Entries:
    """The JSON values of a `TileSpec`. The channel was added later than the others."""

    windows: tuple[Window, ...]
    percentiles: PercentileRange | None
    spacing_mm: float | None
    tile_shape: tuple[int, int] | None
    channel: int | None = None
