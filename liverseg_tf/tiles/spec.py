"""What a tile is: intensity, spacing and shape."""

from dataclasses import asdict, dataclass

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.errors import LiverSegError, SettingsError

LIVER_WINDOW = Window(level_hu=25, width_hu=450)


@dataclass(frozen=True)
class TileSpec:
    """How slices become tiles; it travels with the store, the run and the exported model.

    Args:
        windows: HU windows, one channel each; used where `percentiles` is None.
        percentiles: for images without HU (MR): one channel, the range between two
            percentiles of each volume.
        spacing_mm: in-plane spacing of the tiles; None keeps each image's own.
        tile_shape: (rows, cols) of every tile, cut around the body's middle and padded with 0;
            None stores whole slices.
        channel: of 4D images, the volume that is taken (MR: the modality); None for 3D ones.
    """

    windows: tuple[Window, ...] = (LIVER_WINDOW,)
    percentiles: PercentileRange | None = None
    spacing_mm: float | None = 1.5
    tile_shape: tuple[int, int] | None = (256, 256)
    channel: int | None = None

    def __post_init__(self) -> None:
        if not self.windows and self.percentiles is None:
            raise SettingsError("Expected at least one window. Received none.")
        if self.spacing_mm is not None and not 0.05 <= self.spacing_mm <= 50:
            raise SettingsError(
                f"Expected an in-plane spacing from 0.05 to 50 mm. Received {self.spacing_mm:g} mm."
            )
        if self.tile_shape is not None and min(self.tile_shape) < 16:
            raise SettingsError(
                "Expected a tile shape of at least 16 x 16. "
                f"Received {self.tile_shape[0]} x {self.tile_shape[1]}."
            )
        if self.channel is not None and self.channel < 0:
            raise SettingsError(f"Expected a channel from 0. Received {self.channel}.")

    @property
    def channels(self) -> int:
        """Channels of one slice."""
        return 1 if self.percentiles is not None else len(self.windows)

    def to_json(self) -> dict:
        """A plain dictionary; `from_json` undoes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict) -> "TileSpec":
        """The spec that `to_json` wrote.

        Raises:
            LiverSegError: when keys or types are others.
        """
        try:
            percentiles, shape = value["percentiles"], value["tile_shape"]
            return cls(
                windows=tuple(Window(**window) for window in value["windows"]),
                percentiles=None if percentiles is None else PercentileRange(**percentiles),
                spacing_mm=value["spacing_mm"],
                tile_shape=None if shape is None else (int(shape[0]), int(shape[1])),
                channel=value.get("channel"),
            )
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise LiverSegError(f"Expected a tile spec. Received {value!r}.") from error
