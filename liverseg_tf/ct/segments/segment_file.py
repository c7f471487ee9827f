"""A file with named segments, each of which can be drawn on the grid of its image."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.volume import Volume


@dataclass(frozen=True)
class Segment:
    """One structure of a file.

    Args:
        number: SegmentNumber, ROINumber or label value.
        name: SegmentLabel, ROIName or name.
        colour: RGB, each 0 to 255. None if the file does not give one.
    """

    number: int
    name: str
    colour: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        return f"{self.name} (#{self.number})"


@dataclass(frozen=True, eq=False)
class ImageGrid:
    """The image to which a file of segments belongs.

    Args:
        volume: The image; only its grid is used.
        series: Series from which it was read. None for other files, which have no identifiers to
            compare.
    """

    volume: Volume
    series: DicomSeries | None = None


@dataclass(frozen=True, eq=False)
class SegmentFile:
    """The segments of a file, which are drawn one at a time.

    Args:
        path: Path of the file.
        kind: What the file is, for messages: "a DICOM-SEG".
        segments: Its segments in their order.
        draw: Function of a segment that returns its mask, (z, row, col) bool, on the grid of the
            image. It raises a `LiverSegError` if that cannot be done exactly, and appends what had
            to be assumed to `notes`.
        notes: What had to be assumed about the segments drawn so far, one line each.
        automatic: Whether the file says that a program made all of its segments. None if it does
            not say how they were made.
    """

    path: Path
    kind: str
    segments: tuple[Segment, ...]
    draw: Callable[[Segment], np.ndarray]
    notes: list[str] = field(default_factory=list)
    automatic: bool | None = None

    def __repr__(self) -> str:
        return f"SegmentFile({self.kind}; {', '.join(map(str, self.segments))}; {self.path})"
