"""Settings of synthetic lesions in real organs."""

from dataclasses import dataclass

from liverseg_tf.choices import LESION_KINDS, LESION_PHASES, LESION_PLACES, LOOKALIKES
from liverseg_tf.errors import SettingsError

MAX_LESIONS = 100
DIAMETER_LIMITS_MM = (2.0, 200.0)


@dataclass(frozen=True)
class LesionSpec:
    """Settings of the lesions that are drawn in an organ.

    Args:
        organ: Labels of the organ, the lesion's own excluded.
        lesion: Label of the lesions.
        count: Lowest and highest number of lesions in a patient.
        diameter_mm: Smallest and largest diameter; between them, diameters are log-normal.
        phase: Phase of the contrast agent, 'portal' or 'arterial'.
        place: 'any', 'inside' (away from the organ's surface) or 'surface' (bulging it).
        kinds: Kinds of lesions, each as often as in `kinds.FREQUENCIES` relative to the others.
        lookalikes: Kinds of structures that look like lesions but are not, drawn beside them.
        cysts_are_lesions: Whether the cysts among them get the label of the lesions.

    Raises:
        SettingsError: If a value is out of range.
    """

    organ: tuple[int, ...] = (1,)
    lesion: int = 2
    count: tuple[int, int] = (1, 10)
    diameter_mm: tuple[float, float] = (4.0, 60.0)
    phase: str = "portal"
    place: str = "any"
    kinds: tuple[str, ...] = LESION_KINDS
    lookalikes: tuple[str, ...] = ()
    cysts_are_lesions: bool = False

    def __post_init__(self) -> None:
        labels = (*self.organ, self.lesion)
        if not self.organ or not all(1 <= label <= 255 for label in labels):
            raise SettingsError(
                "Expected labels from 1 to 255 for the organ and its lesions. "
                f"Received {', '.join(map(str, labels))}."
            )
        if self.lesion in self.organ:
            raise SettingsError(
                "Expected a label for the lesions that is not one of the organ. "
                f"Received {self.lesion} for both."
            )
        low, high = self.count
        if not 1 <= low <= high <= MAX_LESIONS:
            raise SettingsError(
                f"Expected from 1 to {MAX_LESIONS} lesions in a patient, the lower number first. "
                f"Received {low} to {high}."
            )
        smallest, largest = DIAMETER_LIMITS_MM
        if not smallest <= self.diameter_mm[0] <= self.diameter_mm[1] <= largest:
            raise SettingsError(
                f"Expected diameters from {smallest:g} to {largest:g} mm, the smaller one first. "
                f"Received {self.diameter_mm[0]:g} to {self.diameter_mm[1]:g} mm."
            )
        for name, value, choices in (
            ("phase", (self.phase,), LESION_PHASES),
            ("place", (self.place,), LESION_PLACES),
            ("lookalikes", self.lookalikes, LOOKALIKES),
            ("kinds of lesions", self.kinds or ("none",), LESION_KINDS),
        ):
            wrong = [one for one in value if one not in choices]
            if wrong:
                raise SettingsError(
                    f"Expected {name} from {', '.join(choices)}. Received {wrong[0]}."
                )
        check_cysts(self.cysts_are_lesions, self.lookalikes)


def check_cysts(are_lesions: bool, lookalikes: tuple[str, ...]) -> None:
    """Refuse cysts that count as lesions where no cysts are drawn.

    Raises:
        SettingsError: If they are not drawn.
    """
    if are_lesions and "cyst" not in lookalikes:
        raise SettingsError(
            "Expected cyst among the lookalikes together with cysts_are_lesions. "
            f"Received {', '.join(lookalikes) or 'no lookalikes'}."
        )
