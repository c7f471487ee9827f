"""The settings of phantoms."""

from dataclasses import dataclass

from liverseg_tf.errors import SettingsError

MODALITIES = ("ct", "mr")
# The RAS+ axis that each letter lies on, and which way it runs.
DIRECTIONS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
AXES = [0, 1, 2]


@dataclass(frozen=True)
class PhantomSpec:
    """What phantoms look like. None stands for a random choice in each case.

    The same seed gives the same patient whatever the grid: a finer grid samples the same organs.

    Args:
        shape: (slices, rows, columns) of the axial slices; None: 160 × 160 pixels (more where
            `spacing_mm` asks for it) and as many slices as the liver and its neighbourhood need.
        spacing_mm: (slice, row, column); None: slices of 4 to 6 mm, pixels of 2.0 to 2.6 mm
            (or what fits the body into `shape`).
        tumours: how many in the liver; None: 0 to 5.
        noise_hu: standard deviation of the noise in HU; None: 10 to 20.
        axes: the file's axis order as three letters, such as "LPS"; None: any of the 48.
        oblique: the share of cases whose slices are tilted by a few degrees.
        organs: also label the spleen (3) and the kidneys (4).
        modality: "ct" in HU or "mr" in arbitrary units, with a bias field and no padding.
    """

    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    tumours: int | None = None
    noise_hu: float | None = None
    axes: str | None = None
    oblique: float = 0.25
    organs: bool = False
    modality: str = "ct"

    def __post_init__(self) -> None:
        if self.shape is not None and (len(self.shape) != 3 or min(self.shape) < 2):
            raise SettingsError(f"Expected a shape of three sizes from 2. Received {self.shape}.")
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0):
            raise SettingsError(f"Expected three spacings above 0. Received {self.spacing_mm}.")
        if self.tumours is not None and not 0 <= self.tumours <= 32:
            raise SettingsError(f"Expected 0 to 32 tumours. Received {self.tumours}.")
        if self.noise_hu is not None and self.noise_hu < 0:
            raise SettingsError(f"Expected noise of at least 0 HU. Received {self.noise_hu}.")
        if not 0 <= self.oblique <= 1:
            raise SettingsError(
                f"Expected a share from 0 to 1 as oblique. Received {self.oblique}."
            )
        if self.modality not in MODALITIES:
            raise SettingsError(f"Expected the modality ct or mr. Received {self.modality!r}.")
        if self.axes is not None and sorted(DIRECTIONS.get(a, (3,))[0] for a in self.axes) != AXES:
            raise SettingsError(f"Expected axes such as LPS or RAS. Received {self.axes!r}.")
