"""What the training cases of a model were like: their spacing, and the volumes of their regions.

It is measured when a model is trained and travels with it, so that `predict` can tell images that
lie outside. It consists of numbers and of names of regions only: it tells which volumes occurred,
and not whose they were.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from msgspec import Meta

from liverseg_tf.ct.annotation import read_annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import convert_record, digest_json

Count = Annotated[int, Meta(ge=0, le=10**9)]
Interval = tuple[Annotated[float, Meta(ge=0, le=10**9)], Annotated[float, Meta(ge=0, le=10**9)]]


@dataclass(frozen=True)
class RegionRange:
    """How often a region occurs in the masks of the training cases, and its volumes.

    Args:
        cases: Number of cases in which the whole region is labelled, or known to be absent.
        present: Number of these cases that have it.
        cut_off: Number of these cases in which it reaches the first or the last slice.
        volume_ml: Smallest and largest volume in the cases that have it; None if none does.
    """

    cases: Count = 0
    present: Count = 0
    cut_off: Count = 0
    volume_ml: Interval | None = None

    def __post_init__(self) -> None:
        _check_order(self.volume_ml)
        if max(self.present, self.cut_off) > self.cases or bool(self.present) != bool(
            self.volume_ml
        ):
            raise LiverSegError(
                "Expected the volumes of the cases that have a region in the section "
                "training_range. Received numbers of cases that contradict each other."
            )


@dataclass(frozen=True)
class TrainingRange:
    """The section `training_range` of the record of a model.

    Args:
        cases: Number of training cases; 0 if nothing is known about them.
        slice_mm: Smallest and largest distance between neighbouring slices.
        pixel_mm: Smallest and largest size of a pixel within the slices.
        regions: What is known about each region, by name.
    """

    cases: Count = 0
    slice_mm: Interval | None = None
    pixel_mm: Interval | None = None
    regions: dict[str, RegionRange] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_order(self.slice_mm)
        _check_order(self.pixel_mm)

    def __bool__(self) -> bool:
        return self.cases > 0

    @classmethod
    def measure(cls, records: Sequence[Mapping[str, Any]], regions: Regions) -> "TrainingRange":
        """Measure the training cases of a model.

        Args:
            records: Records of the cases in their store; see `CaseTiles`.
            regions: Regions of the model.
        """
        known = [record for record in records if not record.get("guessed_geometry")]
        if not known:
            return cls()
        pixels = [mm for record in known for mm in record["transform"]["native_spacing_mm"]]
        return cls(
            len(known),
            _interval(_slice_mm(record) for record in known),
            _interval(pixels),
            {name: _measure_region(known, labels) for name, labels in regions.items},
        )

    def only(self, regions: Regions) -> "TrainingRange":
        """Return the same without regions that are not among these."""
        kept = {name: one for name, one in self.regions.items() if name in regions.names}
        return replace(self, regions=kept)

    def check(self, regions: Regions) -> None:
        """Check that every entry is that of a region.

        Raises:
            SettingsError: If a name is not that of a region.
        """
        regions.check_names(self.regions)

    @property
    def digest(self) -> str:
        """Identifier that changes whenever the record does; empty for an empty record."""
        return digest_json(self.to_json()) if self else ""

    def to_json(self) -> dict:
        """Return plain JSON values, the inverse of `from_json`; {} for an empty record."""
        return asdict(self) if self else {}

    @classmethod
    def from_json(cls, value: object) -> "TrainingRange":
        """Create the record from the value that `to_json` returned.

        Raises:
            LiverSegError: If an entry has a wrong type or is out of range.
        """
        return convert_record(value, cls, "the section training_range")


def combine_ranges(ranges: Sequence[TrainingRange]) -> TrainingRange:
    """Return what the training cases of several models were like, taken together.

    The cases of one model may be among those of another one, so that their numbers are not added.

    Args:
        ranges: At least one record. If one of them is empty, so is the result.
    """
    if not all(ranges):
        return TrainingRange()
    names = dict.fromkeys(name for one in ranges for name in one.regions)
    return TrainingRange(
        max(one.cases for one in ranges),
        _union(one.slice_mm for one in ranges),
        _union(one.pixel_mm for one in ranges),
        {
            name: _combine([one.regions[name] for one in ranges if name in one.regions])
            for name in names
        },
    )


def _combine(regions: Sequence[RegionRange]) -> RegionRange:
    return RegionRange(
        max(one.cases for one in regions),
        max(one.present for one in regions),
        max(one.cut_off for one in regions),
        _union(one.volume_ml for one in regions),
    )


def _measure_region(records: Sequence[Mapping[str, Any]], labels: Sequence[int]) -> RegionRange:
    volumes, cut_off = [], 0
    for record in records:
        annotation = read_annotation(record)
        # of masks with voxels that nobody looked at, the volumes are not known
        if annotation.ignored is not None or not annotation.knows(labels):
            continue
        voxels = sum(record["labels"].get(str(label), 0) for label in labels)
        volumes.append(voxels * math.prod(record["spacing_mm"]) / 1000)
        slices = {z for label in labels for z in record["slices_with"].get(str(label), ())}
        cut_off += bool(slices & {0, record["slices"] - 1})
    present = [volume for volume in volumes if volume > 0]
    return RegionRange(len(volumes), len(present), cut_off, _interval(present))


def _slice_mm(record: Mapping[str, Any]) -> float:
    return float(record["spacing_mm"][record["orientation"]["axes"][0]])


def _interval(values: Iterable[float]) -> tuple[float, float] | None:
    """Return the range of positive values, rounded outwards to three digits; None without any."""
    found = list(values)
    if not found:
        return None
    return _round(min(found), math.floor), _round(max(found), math.ceil)


def _round(value: float, to_integer: Callable[[float], int]) -> float:
    digits = 2 - math.floor(math.log10(value))
    # rounded to six digits first: 2.3 * 100 is 229.99999999999997, of which the floor would be 229
    return round(to_integer(round(value * 10.0**digits, 6)) / 10.0**digits, 12)


def _union(intervals: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    known = [one for one in intervals if one is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _check_order(interval: tuple[float, float] | None) -> None:
    if interval is not None and interval[0] > interval[1]:
        raise LiverSegError(
            "Expected ranges from a smaller to a larger value in the section training_range. "
            f"Received {interval[0]:g} to {interval[1]:g}."
        )
