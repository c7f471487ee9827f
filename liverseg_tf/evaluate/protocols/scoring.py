"""Scoring of a case: protocols with their regions, surfaces, tolerances and missing cases."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.metrics import distances
from liverseg_tf.evaluate.metrics.overlap import Overlap, count_overlap, score_overlap
from liverseg_tf.evaluate.metrics.surface_distances import compute_surface_distances


@dataclass(frozen=True)
class Protocol:
    """Established way of scoring, such as that of a challenge.

    Args:
        description: Description in one line.
        regions: Regions that are compared by default.
        surface: One of `SURFACES`; None if only the overlap is scored.
        tolerance_mm: Default tolerance of the surface Dice.
        missing_as_empty: Whether a case without a usable prediction counts as an empty
            prediction (Dice and surface Dice 0). Otherwise it is ignored. It is reported as a
            failure in both cases.
        lesions: Whether the connected components of the regions are counted.
    """

    description: str
    regions: Regions = LIVER_REGIONS
    surface: str | None = "faces"
    tolerance_mm: float = 2.0
    missing_as_empty: bool = False
    lesions: bool = False


_LABELS = Regions({"liver": (1,), "tumour": (2,)})
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "default": Protocol(
            "overlap, volumes, distances between boundary voxels (as MONAI) and lesions",
            lesions=True,
        ),
        "lits": Protocol(
            "the Liver Tumor Segmentation challenge",
            surface="edges",
            missing_as_empty=True,
            lesions=True,
        ),
        "msd": Protocol(
            "the Medical Segmentation Decathlon: Dice and surface Dice of each label; 7 mm is the "
            "tolerance usually quoted for its liver task, but no file of the data set states it",
            _LABELS,
            "surfels",
            tolerance_mm=7.0,
            missing_as_empty=True,
        ),
        "nnunet": Protocol("nnU-Net's summary.json: overlap of each label", _LABELS, surface=None),
    }
)


@dataclass(frozen=True, init=False)
class Scoring:
    """Settings of an evaluation.

    Args:
        protocol: One of `PROTOCOLS`.
        regions: Regions that are compared; None for those of the protocol.
        tolerance_mm: Tolerance of the surface Dice; None for that of the protocol.
        distances: Whether distance scores are computed, if the protocol has them.
        compat: Only with 'lits': whether to reproduce the public scorer exactly, with its errors
            and with 9001 for undefined scores.

    Raises:
        SettingsError: If the settings are not compatible.
    """

    protocol: str
    regions: Regions
    tolerance_mm: float
    distances: bool
    compat: bool
    has_default_regions: bool  # other labels in a mask are then an error

    def __init__(
        self,
        protocol: str = "default",
        regions: Regions | None = None,
        tolerance_mm: float | None = None,
        distances: bool = True,
        compat: bool = False,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise SettingsError(
                f"Expected a protocol of {', '.join(PROTOCOLS)}. Received {protocol!r}."
            )
        defaults = PROTOCOLS[protocol]
        values = {
            "protocol": protocol,
            "regions": defaults.regions if regions is None else regions,
            "tolerance_mm": defaults.tolerance_mm if tolerance_mm is None else tolerance_mm,
            "distances": distances,
            "compat": compat,
            "has_default_regions": regions is None,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.protocol == "lits" and self.regions != LIVER_REGIONS:
            raise SettingsError(
                f"Expected the regions {LIVER_REGIONS} for the protocol lits, which fixes its "
                f"regions. Received {self.regions}."
            )
        if self.compat and self.protocol != "lits":
            raise SettingsError(
                f"Expected compat with lits only. Received the protocol {self.protocol!r}."
            )
        if not self.tolerance_mm >= 0:
            raise SettingsError(
                f"Expected a tolerance of at least 0 mm. Received {self.tolerance_mm:g} mm."
            )

    @property
    def surface(self) -> str | None:
        """Surface whose distances are computed; None if no distances are computed."""
        return PROTOCOLS[self.protocol].surface if self.distances else None

    @property
    def lesions(self) -> bool:
        """Whether the connected components of the regions are counted."""
        return PROTOCOLS[self.protocol].lesions

    @property
    def missing_as_empty(self) -> bool:
        """Whether a missing prediction counts as an empty one."""
        return PROTOCOLS[self.protocol].missing_as_empty


def score_region(
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: tuple[float, float, float],
    scoring: Scoring,
) -> tuple[Overlap, dict[str, float]]:
    """Compute all scores of a region from its voxel counts and surface distances.

    Args:
        truth: (z, row, col) bool.
        prediction: (z, row, col) bool.
        spacing_mm: Spacing along (z, row, col).
        scoring: Settings with the surface and the tolerance.

    Returns:
        The voxel counts, and the scores by the names in `overlap.DEFINITIONS` and
        `distances.DEFINITIONS`; undefined scores are NaN.
    """
    overlap = count_overlap(truth, prediction)
    scores = score_overlap(overlap, float(np.prod(spacing_mm)) / 1000)
    if scoring.surface is None:
        return overlap, scores
    surfaces = compute_surface_distances(truth, prediction, spacing_mm, scoring.surface)
    percentiles = (
        {"hd95_area": distances.hd95_by_area_mm(surfaces)}
        if scoring.surface == "surfels"
        else {
            "hd95": distances.hd95_mm(surfaces),
            "hd95_pooled": distances.hd95_pooled_mm(surfaces),
        }
    )
    return overlap, {
        **scores,
        "assd": distances.assd_mm(surfaces),
        "rmsd": distances.rmsd_mm(surfaces),
        "msd": distances.hausdorff_mm(surfaces),
        **percentiles,
        "nsd": distances.nsd(surfaces, scoring.tolerance_mm),
        "centroid_shift": distances.centroid_shift_mm(truth, prediction, spacing_mm),
    }
