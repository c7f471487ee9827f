"""Which segments of a file belong to which region."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.segments.segment_file import Segment, SegmentFile
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.plural import name_some
from liverseg_tf.printable import printable

_UNNAMED = re.compile(r"(segment|roi|label|structure)?[ _-]*\d+", re.IGNORECASE)


@dataclass(frozen=True)
class SegmentNames:
    """The regions of a mask, and the names of their segments.

    Args:
        regions: Regions.
        patterns: Pairs of a region and the name of a segment that belongs to it: a shell pattern
            without regard to letter case, or "#2" for the number of a segment. A region without a
            pattern has the segment of its own name.

    Raises:
        SettingsError: If there is no such region.
    """

    regions: Regions
    patterns: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        self.regions.check_names(region for region, _ in self.patterns)

    @classmethod
    def parse(cls, regions: Regions, texts: Iterable[str]) -> "SegmentNames":
        """Parse the option --segment, "REGION=NAME".

        Raises:
            SettingsError: If a text has another form, and as the class.
        """
        pairs = []
        for text in texts:
            region, separator, name = text.partition("=")
            if not separator or not name.strip():
                raise SettingsError(
                    f"Expected a segment as REGION=NAME, such as 'tumour=GTV*'. Received '{text}'."
                )
            pairs.append((region.strip(), name.strip()))
        return cls(regions, tuple(pairs))

    def find_segments(self, file: SegmentFile) -> tuple[dict[str, list[Segment]], list[str]]:
        """Find the segments of each region.

        Segments that have no name but a number, such as "Segment_1", belong to the region whose
        label is their number, if no segment has the name of a region.

        Args:
            file: Segments. Those of no region are left out.

        Returns:
            Segments by region; a region may have none. Then remarks on regions without segments.

        Raises:
            LiverSegError: If a region has no segment while others are left over, which may be its
                segments by another name.
        """
        found = {region: self._segments_of(region, file.segments) for region in self.regions.names}
        if not any(found.values()) and not self.patterns:
            found = self._segments_by_number(file) or found
        used = {segment.number for chosen in found.values() for segment in chosen}
        left = [segment for segment in file.segments if segment.number not in used]
        missing = [region for region, chosen in found.items() if not chosen]
        named = {region for region, _ in self.patterns}
        if missing and (left or not used or named & set(missing)):
            raise LiverSegError(
                f"Expected {file.kind} with segments of the regions {', '.join(found)} in "
                f"{file.path}. Received {_list(file.segments)}, and none for "
                f"{', '.join(missing)}: name it with --segment '{missing[0]}=NAME'."
            )
        notes = [
            f"No segment of {region} in {file.path.name}: the region is empty."
            for region in missing
        ]
        return found, notes

    def _segments_of(self, region: str, segments: tuple[Segment, ...]) -> list[Segment]:
        patterns = [pattern for name, pattern in self.patterns if name == region]
        if not patterns:
            return [segment for segment in segments if _plain(segment.name) == _plain(region)]
        return [s for s in segments if any(_matches(s, pattern) for pattern in patterns)]

    def _segments_by_number(self, file: SegmentFile) -> dict[str, list[Segment]] | None:
        if not all(_UNNAMED.fullmatch(segment.name) for segment in file.segments):
            return None
        known = {label for _, labels in self.regions.items for label in labels}
        if not {segment.number for segment in file.segments} <= known:
            return None
        return {
            region: [segment for segment in file.segments if segment.number in labels]
            for region, labels in self.regions.items
        }


def _matches(segment: Segment, pattern: str) -> bool:
    if re.fullmatch(r"#\d+", pattern):
        return segment.number == int(pattern[1:])
    return fnmatchcase(segment.name.casefold(), pattern.casefold())


def _plain(name: str) -> str:
    """Return a name without regard to case, separators, and the spelling of tumour."""
    words = re.split(r"[\s_-]+", name.casefold().strip())
    return " ".join(words).replace("tumor", "tumour")


def _list(segments: tuple[Segment, ...]) -> str:
    return name_some(map(printable, segments), 8)
