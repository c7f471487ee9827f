"""What is added to and taken away from the masks of a network."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from liverseg_tf.ct import components
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.region_masks import RegionMasks

THRESHOLD = 0.5


@dataclass(frozen=True)
class PostProcessing:
    """Steps on the regions' masks; without any, masks stay as the network gave them.

    Regions are taken in their order, from the outside in. On each, the steps are done in the
    order of the arguments below. A region's voxels include those of the regions nested in it,
    and what is taken from it is taken from them: with the liver's small components go the
    tumours in them.

    Args:
        inside: (region, outer, mm): the region stays only where the outer one is, or is at most
            so many mm away. The outer region then means its own mask, without what is nested.
        smooth_z: regions of which a voxel is kept, or filled in, where two of three slices
            (the one below, its own, the one above) have it; the first and last slice stay.
        likely: (region, p): components whose mean probability is at least p.
        smallest_ml: (region, ml): components of at least this volume.
        largest: regions of which one component is kept, the largest (26 neighbours).
        fill_2d: regions whose holes within a slice are filled.
        fill_3d: regions whose holes, closed to all sides, are filled.
        threshold: (region, p): the probability above which a voxel is in it at all; 0.5 where a
            region isn't named. It is met where probabilities become masks, before the steps.

    Raises:
        SettingsError: on a negative size or distance, or a probability beyond 0..1.
    """

    inside: tuple[tuple[str, str, float], ...] = ()
    smooth_z: tuple[str, ...] = ()
    min_mean_probability: tuple[tuple[str, float], ...] = ()
    smallest_ml: tuple[tuple[str, float], ...] = ()
    largest: tuple[str, ...] = ()
    fill_2d: tuple[str, ...] = ()
    fill_3d: tuple[str, ...] = ()
    threshold: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, p in (*self.threshold, *self.min_mean_probability):
            if not 0 <= p <= 1:
                raise SettingsError(f"Expected a probability of 0 to 1 for {name}. Received {p:g}.")
        for *_, name, size in (*self.smallest_ml, *self.inside):
            if not 0 <= size < float("inf"):
                raise SettingsError(
                    f"Expected a size or distance of at least 0 for {name}. Received {size:g}."
                )

    @property
    def steps(self) -> dict[str, tuple]:
        """The steps that are set, in their order."""
        return {name: value for name, value in vars(self).items() if value}

    @property
    def needs_probabilities(self) -> bool:
        return bool(self.min_mean_probability)

    def thresholds(self, regions: Regions) -> tuple[float, ...]:
        """The probability above which a voxel is in each region."""
        given = dict(self.threshold)
        return tuple(given.get(name, THRESHOLD) for name in regions.names)

    def check(self, regions: Regions) -> None:
        """Raise a `SettingsError` for a name that is no region's."""
        for steps in self.steps.values():
            for step in steps:
                names = (step,) if isinstance(step, str) else step
                regions.check_names(name for name in names if isinstance(name, str))

    def updated(self, other: "PostProcessing") -> "PostProcessing":
        """These steps, with those that `other` sets in their place."""
        return replace(self, **other.steps)

    def shared_with(self, other: "PostProcessing") -> "PostProcessing":
        """The steps that both set alike."""
        return PostProcessing(
            **{name: step for name, step in self.steps.items() if other.steps.get(name) == step}
        )

    def __str__(self) -> str:
        """As in 'largest liver, tumour; fill_3d liver'; 'none' where no step is set."""
        steps = (
            f"{name} {', '.join(v if isinstance(v, str) else ' '.join(map(str, v)) for v in value)}"
            for name, value in self.to_json().items()
        )
        return "; ".join(steps) or "none"

    def to_json(self) -> dict:
        """The steps that are set; `from_json` undoes it."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, value: object) -> "PostProcessing":
        """The post-processing that `to_json` wrote.

        Raises:
            LiverSegError: when keys or types are others.
        """
        known = {field.name for field in fields(cls)}
        try:
            if not set(value) <= known:
                raise KeyError
            steps = {
                name: tuple(step if isinstance(step, str) else tuple(step) for step in steps)
                for name, steps in value.items()
            }
            return cls(**steps)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LiverSegError(
                f"Expected post-processing of {', '.join(sorted(known))}. Received {value!r}."
            ) from error

    def apply(self, found: RegionMasks) -> RegionMasks:
        """The masks after every step.

        Args:
            found: stays as it is.

        Raises:
            SettingsError: when a step names no region, or needs probabilities that aren't there.
        """
        self.check(found.regions)
        if self.needs_probabilities and found.probabilities is None:
            raise SettingsError("Expected probabilities for a step that needs them. Received none.")
        if not self.steps or not found.bits.any():
            return found
        processed = replace(found, bits=found.bits.copy())
        work = _Work.on(processed)
        for name in found.regions.names:
            self._process(work, name)
        work.write(processed)
        return processed

    def _process(self, work: "_Work", name: str) -> None:
        for inner, outer, mm in self.inside:
            if inner == name:
                work.keep(name, components.within_mm(work.of(name), work.own[outer], work.mm, mm))
        if name in self.smooth_z:
            smooth = components.majority_of_three(work.of(name))
            work.own[name] |= smooth
            work.keep(name, smooth)
        for keep in self._component_rules(work, name):
            work.keep(name, components.kept(work.of(name), keep))
        if name in self.fill_2d:
            work.own[name] |= components.fill_holes_2d(work.of(name))
        if name in self.fill_3d:
            work.own[name] |= components.fill_holes_3d(work.of(name))

    def _component_rules(self, work: "_Work", name: str) -> list[Callable]:
        rules: list[Callable] = []
        for region, p in self.min_mean_probability:
            if region == name:
                values = work.probabilities(name)
                rules.append(lambda parts, v=values, p=p: parts.means(v) >= 255 * p)
        for region, ml in self.smallest_ml:
            if region == name:
                least = ml * 1000 / float(np.prod(work.mm))
                # a lesion of just that size stays: rounding must not take it
                rules.append(lambda parts, least=least: parts.sizes() >= least * (1 - 1e-6))
        if name in self.largest:
            rules.append(components.Components.largest)
        return rules


class _Work:
    """The masks of each region, in the box around all of them."""

    def __init__(self, found: RegionMasks, box: tuple[slice, ...]):
        bits = found.canonical_bits[box]
        self.found, self.box = found, box
        self.mm = to_canonical(found.grid).spacing_mm
        self.own = {name: bits >> r & 1 == 1 for r, name in enumerate(found.regions.names)}
        self.nested = {name: found.regions.nested_in(name) for name in found.regions.names}

    @classmethod
    def on(cls, found: RegionMasks) -> "_Work":
        return cls(found, components.bounding_box(found.canonical_bits))

    def of(self, name: str) -> np.ndarray:
        """A region's mask with what is nested in it."""
        mask = self.own[name].copy()
        for inner in self.nested[name]:
            mask |= self.own[inner]
        return mask

    def keep(self, name: str, kept: np.ndarray) -> None:
        """Take what isn't kept of a region from it, and from what is nested in it."""
        removed = self.of(name) & ~kept
        for each in (name, *self.nested[name]):
            self.own[each] &= ~removed

    def probabilities(self, name: str) -> np.ndarray:
        return self.found.canonical_probabilities(self.found.regions.names.index(name))[self.box]

    def write(self, found: RegionMasks) -> None:
        bits = np.zeros_like(next(iter(self.own.values())), found.bits.dtype)
        for region, mask in enumerate(self.own.values()):
            bits |= np.multiply(mask, 1 << region, dtype=bits.dtype)
        found.canonical_bits[self.box] = bits
