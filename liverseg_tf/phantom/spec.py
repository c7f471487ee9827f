"""Settings of phantoms."""

import math
from dataclasses import dataclass

from liverseg_tf.choices import MODALITIES
from liverseg_tf.errors import SettingsError

# the RAS+ axis of each letter, and its direction along that axis
DIRECTIONS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
AXES = [0, 1, 2]
MAX_SPACING_MM = 1000


@dataclass(frozen=True)
class PhantomSpec:
    """Settings of phantoms. None stands for a random choice for each case.

    The same seed gives the same patient on every grid: a finer grid samples the same organs.

    Args:
        shape: Number of slices, rows and columns. None: 160 x 160 pixels (more if `spacing_mm`
            requires it), and as many slices as needed to cover the liver and its surroundings.
        spacing_mm: Spacing (slice, row, column). None: slices of 4 to 6 mm, pixels of 2.0 to
            2.6 mm (or the spacing at which the body fits into `shape`).
        tumours: Number of tumours in the liver. None: 0 to 5.
        noise_hu: Standard deviation of the noise. None: 10 to 20.
        axes: Axis order of the file as three letters, such as "LPS". None: any of the 48 orders.
        oblique: Fraction of the cases whose slices are tilted by a few degrees.
        organs: Whether to label the spleen (3) and the kidneys (4) as well.
        modality: "ct" (HU) or "mr" (arbitrary units, with a bias field and without padding).

    Raises:
        SettingsError: If a value is out of range.
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
            raise SettingsError(
                "Expected three sizes of at least 2 as the shape. "
                f"Received {' x '.join(map(str, self.shape))}."
            )
        if self.spacing_mm is not None and (
            len(self.spacing_mm) != 3 or not all(0 < mm <= MAX_SPACING_MM for mm in self.spacing_mm)
        ):
            raise SettingsError(
                f"Expected three spacings above 0 and at most {MAX_SPACING_MM} mm. "
                f"Received {' x '.join(f'{mm:g}' for mm in self.spacing_mm)} mm."
            )
        if self.tumours is not None and not 0 <= self.tumours <= 32:
            raise SettingsError(f"Expected 0 to 32 tumours. Received {self.tumours}.")
        if self.noise_hu is not None and not 0 <= self.noise_hu < math.inf:
            raise SettingsError(f"Expected noise of at least 0 HU. Received {self.noise_hu:g} HU.")
        if not 0 <= self.oblique <= 1:
            raise SettingsError(
                f"Expected a fraction of oblique cases from 0 to 1. Received {self.oblique:g}."
            )
        if self.modality not in MODALITIES:
            raise SettingsError(f"Expected the modality ct or mr. Received '{self.modality}'.")
        if self.axes is not None and sorted(DIRECTIONS.get(a, (3,))[0] for a in self.axes) != AXES:
            raise SettingsError(f"Expected axes such as LPS or RAS. Received '{self.axes}'.")
