"""Post-processing of predicted masks: thresholds, connected components, holes and containment."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from liverseg_tf.ct import morphology
from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.components import Components, filter_components
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.records import convert_record

THRESHOLD = 0.5


@dataclass(frozen=True)
class PostProcessing:
    """Post-processing steps for the masks of the regions. By default there are none.

    Regions are processed in their order, outer regions first. For each region the steps run in
    the order of the arguments below. The mask of a region includes the regions nested in it, and
    voxels that are removed from a region are also removed from its nested regions: a small
    component of the liver is removed together with the tumours in it.

    Args:
        inside: (region, outer, mm): voxels of the region are kept if they lie in the outer
            region or at most `mm` away from it. Only here, the mask of the outer region does
            not include its nested regions.
        smooth_z: Regions that are smoothed along z. A voxel belongs to the region if at least
            two of three slices agree (the one below, its own and the one above). The first and
            the last slice are not changed.
        min_mean_probability: (region, p): connected components are kept if their mean
            probability is at least `p`.
        min_peak_probability: (region, p): the same for the largest probability in a component.
        min_volume_ml: (region, ml): connected components are kept if their volume is at least
            `ml`.
        largest: Regions of which only the largest connected component is kept (26 neighbours).
        fill_2d: Regions whose holes within a slice are filled.
        fill_3d: Regions whose holes in 3D are filled.
        threshold: (region, p): a voxel belongs to the region if its probability is above `p`;
            0.5 for regions that are not named. Thresholds turn probabilities into masks, before
            all steps.

    Raises:
        SettingsError: If a volume or distance is negative or a probability is not in 0..1.

    Example:
        >>> PostProcessing(largest=("liver",), min_volume_ml=(("tumour", 0.1),))
        PostProcessing(min_volume_ml tumour 0.1; largest liver)
    """

    inside: tuple[tuple[str, str, float], ...] = ()
    smooth_z: tuple[str, ...] = ()
    min_mean_probability: tuple[tuple[str, float], ...] = ()
    min_peak_probability: tuple[tuple[str, float], ...] = ()
    min_volume_ml: tuple[tuple[str, float], ...] = ()
    largest: tuple[str, ...] = ()
    fill_2d: tuple[str, ...] = ()
    fill_3d: tuple[str, ...] = ()
    threshold: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, p in (*self.threshold, *self.min_mean_probability, *self.min_peak_probability):
            if not 0 <= p <= 1:
                raise SettingsError(f"Expected a probability of 0 to 1 for {name}. Received {p:g}.")
        for name, size in (*self.min_volume_ml, *((outer, mm) for _, outer, mm in self.inside)):
            if not 0 <= size < float("inf"):
                raise SettingsError(
                    f"Expected a volume or distance of at least 0 for {name}. Received {size:g}."
                )

    def __str__(self) -> str:
        """Return the steps as in 'largest liver, tumour; fill_3d liver', or 'none'."""
        steps = (
            f"{name} {', '.join(v if isinstance(v, str) else ' '.join(map(str, v)) for v in value)}"
            for name, value in self.to_json().items()
        )
        return "; ".join(steps) or "none"

    def __repr__(self) -> str:
        return f"PostProcessing({self})"

    @property
    def steps(self) -> dict[str, tuple]:
        """The steps that are set, in the order in which they run."""
        return {name: value for name, value in vars(self).items() if value}

    @property
    def needs_probabilities(self) -> bool:
        """Whether a step needs the probabilities in addition to the masks."""
        return bool(self.min_mean_probability or self.min_peak_probability)

    def thresholds(self, regions: Regions) -> tuple[float, ...]:
        """Return the probability threshold of each region."""
        given = dict(self.threshold)
        return tuple(given.get(name, THRESHOLD) for name in regions.names)

    def check(self, regions: Regions) -> None:
        """Check that every step names one of the regions.

        Raises:
            SettingsError: If a name is not that of a region.
        """
        for steps in self.steps.values():
            for step in steps:
                names = (step,) if isinstance(step, str) else step
                regions.check_names(name for name in names if isinstance(name, str))

    def updated(self, other: "PostProcessing") -> "PostProcessing":
        """Return these steps, overridden by the steps that `other` sets."""
        return replace(self, **other.steps)

    def common_steps(self, other: "PostProcessing") -> "PostProcessing":
        """Return the steps that both set to the same value."""
        return PostProcessing(
            **{name: step for name, step in self.steps.items() if other.steps.get(name) == step}
        )

    def to_json(self) -> dict:
        """Return the steps that are set as plain JSON values, the inverse of `from_json`."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, value: object) -> "PostProcessing":
        """Create the post-processing from the value that `to_json` returned.

        Raises:
            LiverSegError: If a step is unknown or its value has a wrong type.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(map(str, value.keys() - set(known))) if isinstance(value, dict) else []
        if unknown:
            raise LiverSegError(
                f"Expected post-processing steps among {', '.join(known)}. "
                f"Received {', '.join(unknown)}."
            )
        return convert_record(value, cls, "the post-processing")

    def apply(self, masks: RegionMasks) -> RegionMasks:
        """Apply all steps.

        Args:
            masks: Predicted masks. They are not changed.

        Returns:
            The processed masks.

        Raises:
            SettingsError: If a step names an unknown region, or needs probabilities and `masks`
                has none.
        """
        self.check(masks.regions)
        if self.needs_probabilities and masks.probabilities is None:
            raise SettingsError(
                "Expected masks with probabilities, which min_mean_probability and "
                "min_peak_probability need."
            )
        if not self.steps or not masks.bits.any():
            return masks
        processed = replace(masks, bits=masks.bits.copy())
        cropped = _CroppedMasks(processed)
        for name in masks.regions.names:
            self._process_region(cropped, name)
        cropped.write_to(processed)
        return processed

    def _process_region(self, masks: "_CroppedMasks", name: str) -> None:
        for inner, outer, mm in self.inside:
            if inner == name:
                near = morphology.within_distance(
                    masks.with_nested(name), masks.by_name[outer], masks.spacing_mm, mm
                )
                masks.restrict(name, near)
        if name in self.smooth_z:
            smooth = morphology.smooth_z(masks.with_nested(name))
            masks.by_name[name] |= smooth
            masks.restrict(name, smooth)
        for select in self._component_selectors(masks, name):
            masks.restrict(name, filter_components(masks.with_nested(name), select))
        if name in self.fill_2d:
            masks.by_name[name] |= morphology.fill_holes_2d(masks.with_nested(name))
        if name in self.fill_3d:
            masks.by_name[name] |= morphology.fill_holes_3d(masks.with_nested(name))

    def _component_selectors(self, masks: "_CroppedMasks", name: str) -> list[Callable]:
        """Functions from `Components` to the components to keep, in the order of the steps."""
        selectors: list[Callable] = []
        for region, p in self.min_mean_probability:
            if region == name:
                values = masks.probabilities(name)
                selectors.append(lambda parts, v=values, p=p: parts.means(v) >= 255 * p)
        for region, p in self.min_peak_probability:
            if region == name:
                values = masks.probabilities(name)
                selectors.append(lambda parts, v=values, p=p: parts.maxima(v) >= 255 * p)
        for region, ml in self.min_volume_ml:
            if region == name:
                min_voxels = ml * 1000 / float(np.prod(masks.spacing_mm))
                # the tolerance keeps components of exactly this volume in spite of rounding
                selectors.append(lambda parts, n=min_voxels: parts.sizes >= n * (1 - 1e-6))
        if name in self.largest:
            selectors.append(Components.largest)
        return selectors


class _CroppedMasks:
    """Editable masks of all regions in canonical order, cropped to their joint bounding box.

    `by_name` holds one bool mask (z, row, col) per region, without its nested regions.
    """

    def __init__(self, masks: RegionMasks):
        self._source = masks
        self._box = bounding_box(masks.canonical_bits)
        self._nested = {name: masks.regions.nested_in(name) for name in masks.regions.names}
        self.spacing_mm = to_canonical(masks.grid).spacing_mm
        bits = masks.canonical_bits[self._box]
        self.by_name = {name: bits >> r & 1 == 1 for r, name in enumerate(masks.regions.names)}

    def with_nested(self, name: str) -> np.ndarray:
        """Return the mask of a region, including its nested regions."""
        mask = self.by_name[name].copy()
        for inner in self._nested[name]:
            mask |= self.by_name[inner]
        return mask

    def restrict(self, name: str, allowed: np.ndarray) -> None:
        """Remove the voxels outside `allowed` from a region and from its nested regions."""
        removed = self.with_nested(name) & ~allowed
        for region in (name, *self._nested[name]):
            self.by_name[region] &= ~removed

    def probabilities(self, name: str) -> np.ndarray:
        """Return the probabilities of a region in the bounding box, (z, row, col) uint8."""
        region = self._source.regions.names.index(name)
        return self._source.canonical_probabilities(region)[self._box]

    def write_to(self, masks: RegionMasks) -> None:
        """Write all masks into the bits of `masks`."""
        bits = np.zeros_like(next(iter(self.by_name.values())), masks.bits.dtype)
        for region, mask in enumerate(self.by_name.values()):
            bits |= np.multiply(mask, 1 << region, dtype=bits.dtype)
        masks.canonical_bits[self._box] = bits
