"""Reading DICOM-SEG: binary segments and label maps, placed by the positions of their frames."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from liverseg_tf.ct.dicom.file import transfer_syntax
from liverseg_tf.ct.segments.placement import check_every_slice, lps_to_voxels, place_pixels
from liverseg_tf.ct.segments.references import check_references, items
from liverseg_tf.ct.segments.segment_file import ImageGrid, Segment, SegmentFile
from liverseg_tf.ct.size_limit import check_size
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable

KIND = "a DICOM-SEG"


def read_seg(dataset: Dataset, grid: ImageGrid, path: Path) -> SegmentFile:
    """Read the segments of a DICOM-SEG file.

    Args:
        dataset: Its data set, with pixels. Segments of type BINARY, label maps (LABELMAP), and
            FRACTIONAL ones that hold nothing but 0 and their maximum are read.
        grid: Image of the segments.
        path: Path of the file.

    Raises:
        LiverSegError: If it is of another type or belongs to another image.
    """
    check_references(dataset, grid, path)
    kind = str(dataset.get("SegmentationType") or "BINARY").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise LiverSegError(
            f"Expected a BINARY, FRACTIONAL or LABELMAP DICOM-SEG at {path}. "
            f"Received the type {printable(kind)}."
        )
    frames = _Frames(dataset, path)
    segments = [_segment(item) for item in items(dataset, "Segment")]
    if kind == "LABELMAP":
        segments = [segment for segment in segments if segment.number]  # 0 is the background
    numbers = [segment.number for segment in segments]
    if not segments or len(set(numbers)) < len(numbers):
        raise LiverSegError(
            f"Expected segments with different numbers in {path}. "
            f"Received {', '.join(map(str, segments)) or 'no segments'}."
        )
    found = [str(item.get("SegmentAlgorithmType") or "") for item in items(dataset, "Segment")]
    automatic = set(found) == {"AUTOMATIC"} if all(found) else None

    def draw(segment: Segment) -> np.ndarray:
        mask = np.zeros(grid.volume.array.shape, bool)
        places = []
        for index, groups in enumerate(frames.groups):
            if kind != "LABELMAP" and _segment_number(groups) != segment.number:
                continue
            pixels = _pixels_of(frames.read(index), kind, segment, frames.maximum, path)
            corners = lps_to_voxels(_corners_mm(groups, dataset), grid.volume)
            if pixels.any():
                places.append(corners[0])
            shape = (int(dataset.Rows), int(dataset.Columns))
            place_pixels(mask, np.argwhere(pixels), corners, shape, path)
        if places:
            axis = int(np.ptp(places, axis=0).argmax())
            check_every_slice(np.rint(np.array(places)[:, axis]), str(segment), path)
        return mask

    return SegmentFile(path, KIND, tuple(segments), draw, automatic=automatic)


@dataclass(frozen=True)
class _Groups:
    """The functional groups of a frame and those that all frames share."""

    own: Dataset
    shared: Dataset

    def get(self, name: str, keyword: str) -> Any:
        for groups in (self.own, self.shared):
            for item in items(groups, name):
                if item.get(keyword) is not None:
                    return item.get(keyword)
        raise ValueError(f"a frame without {keyword}")  # the caller names the file


class _Frames:
    """The frames of a segmentation, of which one is in memory at a time."""

    def __init__(self, dataset: Dataset, path: Path):
        self._dataset, self._path = dataset, path
        own = list(items(dataset, "PerFrameFunctionalGroups"))
        shared = next(items(dataset, "SharedFunctionalGroups"), Dataset())
        self.groups = [_Groups(one, shared) for one in own]
        self.maximum = int(dataset.get("MaximumFractionalValue") or 255)
        self._shape = (int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0))
        self._bits = int(dataset.get("BitsAllocated") or 0)
        check_size((len(own), *self._shape), 1, path)
        stated = int(dataset.get("NumberOfFrames") or 0)
        if stated != len(own) or not own or min(self._shape) < 1 or self._bits not in (1, 8, 16):
            raise LiverSegError(
                f"Expected frames of 1, 8 or 16 bits, each with its position, in {path}. Received "
                f"{stated} frames and {len(own)} positions, {self._bits} bits."
            )
        self._is_compressed = transfer_syntax(dataset).is_encapsulated
        available = len(dataset.get("PixelData") or b"")
        needed = -(-len(own) * self._shape[0] * self._shape[1] * self._bits // 8)
        if not self._is_compressed and available < needed:
            raise LiverSegError(
                f"Expected {needed} bytes of pixels in {path}. "
                f"Received {available}: the file is truncated."
            )

    def read(self, index: int) -> np.ndarray:
        """Return the values of a frame, (rows, cols)."""
        if self._is_compressed:
            from pydicom.pixels import pixel_array

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return pixel_array(self._dataset, index=index)
        size = self._shape[0] * self._shape[1]
        first = index * size
        if self._bits == 1:  # frames do not begin at whole bytes
            data = self._dataset.PixelData[first // 8 : -(-(first + size) // 8)]
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
            return bits[first % 8 :][:size].reshape(self._shape)
        dtype = np.dtype("u1" if self._bits == 8 else "<u2")
        data = self._dataset.PixelData[first * dtype.itemsize : (first + size) * dtype.itemsize]
        return np.frombuffer(data, dtype).reshape(self._shape)


def _pixels_of(
    values: np.ndarray, kind: str, segment: Segment, maximum: int, path: Path
) -> np.ndarray:
    if kind == "LABELMAP":
        return values == segment.number
    if kind == "FRACTIONAL" and ((values != 0) & (values != maximum)).any():
        raise LiverSegError(
            f"Expected a mask in the segment {segment} of {path}. Received fractions, of which a "
            "mask would be a guess: convert them to a binary segment first."
        )
    return values != 0


def _segment_number(groups: _Groups) -> int:
    return int(groups.get("SegmentIdentification", "ReferencedSegmentNumber"))


def _corners_mm(groups: _Groups, dataset: Dataset) -> np.ndarray:
    """Return the centres of the first pixel, the last of its column, and the last of its row.

    (3, 3) float64, (x, y, z) in mm, LPS.
    """
    position = np.array(groups.get("PlanePosition", "ImagePositionPatient"), float)
    cosines = np.array(groups.get("PlaneOrientation", "ImageOrientationPatient"), float)
    row_mm, col_mm = map(float, groups.get("PixelMeasures", "PixelSpacing"))
    if position.shape != (3,) or cosines.shape != (6,):
        raise ValueError("a position of other than three numbers")
    across, down = cosines.reshape(2, 3)
    last_row = position + down * row_mm * (int(dataset.Rows) - 1)
    last_col = position + across * col_mm * (int(dataset.Columns) - 1)
    return np.stack([position, last_row, last_col])


def _segment(item: Dataset) -> Segment:
    number = int(item.get("SegmentNumber") or 0)
    name = printable(item.get("SegmentLabel") or f"Segment_{number}").strip()
    return Segment(number, name, _rgb(item.get("RecommendedDisplayCIELabValue")))


def _rgb(lab: Any) -> tuple[int, int, int] | None:
    """Convert DICOM's scaled CIELab values to sRGB."""
    if lab is None or len(lab) != 3:
        return None
    from skimage.color import lab2rgb

    scaled = np.array(list(lab), float)
    values = (scaled[0] * 100 / 65535, *(scaled[1:] * 255 / 65535 - 128))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about colours that sRGB does not have
        red, green, blue = np.rint(np.clip(lab2rgb(np.array(values)), 0, 1) * 255).astype(int)
    return int(red), int(green), int(blue)
