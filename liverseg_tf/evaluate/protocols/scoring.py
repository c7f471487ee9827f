"""How cases are scored: the protocol's regions, surface, tolerance and treatment of gaps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.evaluate.metrics import distances as views
from liverseg_tf.evaluate.metrics.overlap import Overlap, count_overlap, score_overlap
from liverseg_tf.evaluate.metrics.surface_distances import measure_surfaces


@dataclass(frozen=True)
class Protocol:
    """A convention that others score by.

    Args:
        text: what it is, in one line.
        regions: where the user names none.
        surface: of `surface.SURFACES`; None for overlap alone.
        tolerance_mm: of the surface Dice, where the user gives none.
        counts_missing: whether a case without a usable prediction counts as an empty
            prediction (Dice and surface Dice 0); otherwise it is left out. It is a failure
            either way.
    """

    text: str
    regions: Regions = LIVER_REGIONS
    surface: str | None = "faces"
    tolerance_mm: float = 2.0
    counts_missing: bool = False


_LABELS = Regions({"liver": (1,), "tumour": (2,)})
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "default": Protocol("overlap, volumes and distances between boundary voxels (as MONAI)"),
        "lits": Protocol(
            "the Liver Tumor Segmentation challenge", surface="edges", counts_missing=True
        ),
        "msd": Protocol(
            "the Medical Segmentation Decathlon: Dice and surface Dice of each label; 7 mm is the "
            "tolerance usually quoted for its liver task and stands in no file of the data set",
            _LABELS,
            "surfels",
            tolerance_mm=7.0,
            counts_missing=True,
        ),
        "nnunet": Protocol("nnU-Net's summary.json: overlap of each label", _LABELS, surface=None),
    }
)


@dataclass(frozen=True)
class Scoring:
    """How an evaluation scores its cases.

    Args:
        protocol: of `PROTOCOLS`.
        regions: what is compared; the protocol's where None.
        tolerance_mm: of the surface Dice; the protocol's where None.
        distances: whether surfaces are measured where the protocol has them.
        compat: with 'lits', whether to count as the public scorer does, defects and 9001s
            included.

    Raises:
        SettingsError: when the settings do not go together.
    """

    protocol: str = "default"
    regions: Regions | None = None
    tolerance_mm: float | None = None
    distances: bool = True
    compat: bool = False
    knows_all: bool = field(init=False)  # a label outside the protocol's own regions is wrong

    def __post_init__(self) -> None:
        object.__setattr__(self, "knows_all", self.regions is None)
        if self.protocol not in PROTOCOLS:
            raise SettingsError(
                f"Expected a protocol of {', '.join(PROTOCOLS)}. Received {self.protocol!r}."
            )
        of = PROTOCOLS[self.protocol]
        for name, value in (("regions", of.regions), ("tolerance_mm", of.tolerance_mm)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.protocol == "lits" and self.regions != LIVER_REGIONS:
            raise SettingsError(
                "Expected liver=1,2 and tumour=2 for the protocol lits, which fixes its regions. "
                f"Received {self.regions.to_json()}."
            )
        if self.compat and self.protocol != "lits":
            raise SettingsError(f"Expected compat with lits alone. Received {self.protocol!r}.")
        if not self.tolerance_mm >= 0:
            raise SettingsError(f"Expected a tolerance from 0 mm. Received {self.tolerance_mm:g}.")

    @property
    def surface(self) -> str | None:
        """The surface that is measured; None where none is."""
        return PROTOCOLS[self.protocol].surface if self.distances else None

    @property
    def counts_missing(self) -> bool:
        return PROTOCOLS[self.protocol].counts_missing


def score_region(
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: tuple[float, float, float],
    scoring: Scoring,
) -> tuple[Overlap, dict[str, float]]:
    """Count voxels and measure surfaces once; every score is a view of these.

    Args:
        truth: (z, row, col) bool.
        prediction: bool, the same shape.
        spacing_mm: along (z, row, col).
        scoring: names the surface.

    Returns:
        The counts, and the scores by the names of `scores.DEFINITIONS` and
        `distances.DEFINITIONS`; NaN where undefined.
    """
    overlap = count_overlap(truth, prediction)
    scores = score_overlap(overlap, float(np.prod(spacing_mm)) / 1000)
    if scoring.surface is None:
        return overlap, scores
    found = measure_surfaces(truth, prediction, spacing_mm, scoring.surface)
    percentiles = (
        {"hd95_area": views.hd95_by_area_mm(found)}
        if scoring.surface == "surfels"
        else {"hd95": views.hd95_mm(found), "hd95_pooled": views.hd95_pooled_mm(found)}
    )
    return overlap, {
        **scores,
        "assd": views.assd_mm(found),
        "rmsd": views.rmsd_mm(found),
        "msd": views.hausdorff_mm(found),
        **percentiles,
        "nsd": views.nsd(found, scoring.tolerance_mm),
        "centroid_shift": views.centroid_shift_mm(truth, prediction, spacing_mm),
    }
