"""How a lesion looks in a CT: its kind, and its intensities relative to those of the organ.

The frequencies of rims and bright centres follow the portal venous CTs of 74 colorectal metastases
in Ann Acad Med Singap 2003; 32: 191 (73 % with a rim, 84 % of them enhancing); that of bright
lesions in the arterial phase and dark ones in the portal phase follows the 51 patients with
hepatocellular carcinoma of Lee et al., AJR 2004; 182: 643.
"""

from dataclasses import dataclass, replace

import numpy as np

# how often each kind is drawn, by the phase of the contrast agent
FREQUENCIES = {
    "portal": {
        "hypodense": 0.49,
        "rim": 0.09,
        "hyperdense": 0.05,
        "necrotic": 0.19,
        "capsule": 0.12,
        "calcified": 0.06,
    },
    "arterial": {
        "hypodense": 0.25,
        "rim": 0.2,
        "hyperdense": 0.27,
        "necrotic": 0.14,
        "capsule": 0.09,
        "calcified": 0.05,
    },
}
# fraction of the organ's intensity above that of water that a lesion lacks, or has in addition
_DARKER = {"portal": (0.16, 0.62), "arterial": (0.1, 0.5)}
_BRIGHTER = {"portal": (0.12, 0.35), "arterial": (0.25, 0.8)}
_SMALLEST_CONTRAST_HU = 12.0
_NECROTIC_FROM_MM = 14.0  # diameter: smaller lesions have no visible necrosis or capsule
NECROSIS_HU = (5.0, 35.0)


@dataclass(frozen=True)
class Appearance:
    """Intensities of a lesion in HU, relative to those of the organ around it.

    Args:
        kind: Kind of the lesion.
        contrast_hu: Of its body.
        edge_mm: Standard deviation of the blur of its border.
        coarse_hu: Standard deviation of the coarse texture.
        fine_hu: Standard deviation of the fine texture.
        rim_hu: Of its rim.
        rim_mm: Width of its rim; 0: none.
        core_hu: Of its centre.
        core_mm: Depth at which the centre begins; infinity: none.
        calcifications: Number of calcifications.
        push: Fraction of the radius by which tissue beside the lesion is displaced.
    """

    kind: str
    contrast_hu: float
    edge_mm: float
    coarse_hu: float
    fine_hu: float
    rim_hu: float = 0.0
    rim_mm: float = 0.0
    core_hu: float = 0.0
    core_mm: float = float("inf")
    calcifications: int = 0
    push: float = 0.0

    def with_contrast(self, factor: float) -> "Appearance":
        """Return the same look, with the differences from the organ multiplied by a factor."""
        return replace(
            self,
            contrast_hu=factor * self.contrast_hu,
            coarse_hu=factor * self.coarse_hu,
            rim_hu=factor * self.rim_hu,
            core_hu=factor * self.core_hu,
        )


def draw_kind(
    rng: np.random.Generator, phase: str, kinds: tuple[str, ...], diameter_mm: float
) -> str:
    """Draw the kind of a lesion; small ones have neither a necrotic centre nor a capsule."""
    small = diameter_mm < _NECROTIC_FROM_MM
    usable = [kind for kind in kinds if not (small and kind in ("necrotic", "capsule"))]
    weights = np.array([FREQUENCIES[phase][kind] for kind in usable or kinds])
    return str(rng.choice(usable or kinds, p=weights / weights.sum()))


def draw_appearance(
    rng: np.random.Generator,
    kind_and_phase: tuple[str, str],
    radius_mm: float,
    level_hu: float,
    noise_hu: float,
) -> Appearance:
    """Draw the intensities of a lesion.

    Args:
        rng: Generator of the lesion.
        kind_and_phase: Kind of the lesion, and phase of the contrast agent.
        radius_mm: Radius of the lesion.
        level_hu: Intensity of the organ. A lesion in a dark organ is darker, too.
        noise_hu: Standard deviation of its noise: a small lesion needs more contrast to be seen.
    """
    kind, phase = kind_and_phase
    scale = float(np.clip(level_hu, 30, 160))
    visible = max(_SMALLEST_CONTRAST_HU, noise_hu * (0.6 + 5 / radius_mm))
    visible = min(visible, 0.6 * scale)
    low, high = _DARKER[phase]
    darker = -max(scale * (low + (high - low) * rng.beta(1.5, 2)), visible)
    low, high = _BRIGHTER[phase]
    brighter = max(scale * rng.uniform(low, high), visible)
    look = Appearance(
        kind,
        contrast_hu=darker,
        edge_mm=float(np.clip(rng.lognormal(np.log(1.8), 0.4), 0.6, 0.25 * radius_mm + 0.3)),
        coarse_hu=rng.uniform(0.08, 0.28) * abs(darker),
        fine_hu=rng.uniform(2, 6),
        push=max(0.0, rng.uniform(-0.1, 0.22)),
    )
    thin = float(np.clip(rng.uniform(0.12, 0.3) * radius_mm, 1.2, 7))
    if kind == "hyperdense":
        return replace(look, contrast_hu=brighter, coarse_hu=rng.uniform(0.08, 0.25) * brighter)
    if kind == "rim":
        # a body like the organ, in a ring that is darker or brighter
        least = max(1.5 * visible, 0.18 * scale)
        ring = max(brighter, least) if rng.random() < 0.5 else min(darker, -least)
        return replace(
            look, contrast_hu=rng.uniform(-0.08, 0.03) * scale, rim_hu=ring, rim_mm=max(thin, 2)
        )
    if kind == "necrotic":
        core = rng.uniform(*NECROSIS_HU) - level_hu
        body = rng.uniform(0.3, 0.75) * darker
        return replace(
            look,
            contrast_hu=body,
            core_hu=min(core, 1.2 * body),
            core_mm=rng.uniform(0.2, 0.5) * radius_mm,
        )
    if kind == "capsule":
        return replace(
            look, rim_hu=rng.uniform(0.05, 0.3) * scale, rim_mm=float(np.clip(thin, 1.0, 2.4))
        )
    if kind == "calcified":
        return replace(look, calcifications=int(rng.integers(2, 11)))
    if rng.random() < 0.5:  # hypodense, with a paler rim or a paler centre
        rim = rng.uniform(0.25, 0.75) * darker
        return replace(look, rim_hu=rim, rim_mm=max(thin, 1.5))
    if rng.random() < 0.35:
        return replace(look, core_hu=rng.uniform(0.5, 0.85) * darker, core_mm=0.45 * radius_mm)
    return look
