"""Values of a header that tell the acquisitions, phases and reconstructions of a series apart."""

from collections.abc import Iterable, Iterator

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset

_LONGEST_VALUE = 256
# These differ from slice to slice of any acquisition, or say nothing about it.
_OF_A_SLICE = {
    *("SOPInstanceUID", "ImagePositionPatient", "SliceLocation", "PixelData", "ImageComments"),
    *("WindowCenter", "WindowWidth", "SmallestImagePixelValue", "LargestImagePixelValue"),
    *("SmallestPixelValueInSeries", "LargestPixelValueInSeries", "DataSetTrailingPadding"),
    *("XRayTubeCurrent", "XRayTubeCurrentInuA", "XRayTubeCurrentInmA", "Exposure"),
    *("ExposureInuAs", "ExposureInmAs", "ExposureTime", "ExposureTimeInms", "CTDIvol"),
    *("InstanceCreationDate", "InstanceCreationTime", "InStackPositionNumber", "SAR"),
    *("DimensionIndexValues", "TableHeight", "TablePosition", "FrameLabel", "FrameComments"),
    *("PixelPaddingValue", "RescaleSlope", "RescaleIntercept"),
}
_BINARY = {"US", "SS", "UL", "SL", "FD", "FL"}


def read_attributes(dataset: Dataset) -> dict[str, str]:
    """Return the short values of a header by keyword, as text, without sequences and private tags.

    Values that differ from slice to slice of any acquisition are left out, except times and
    InstanceNumber.
    """
    return dict(_short_values([dataset]))


def read_group_attributes(group: Dataset) -> dict[str, str]:
    """Return the short values of a frame of a multi-frame file, from all of its groups."""
    items = [item for element in group if element.VR == "SQ" for item in element.value or ()]
    return dict(_short_values(items))


def _short_values(datasets: Iterable[Dataset]) -> Iterator[tuple[str, str]]:
    for dataset in datasets:
        for tag in dataset.keys():  # noqa: SIM118 - iterating over a dataset parses its values
            keyword = keyword_for_tag(tag) if not tag.is_private else ""
            if not keyword or keyword in _OF_A_SLICE:
                continue
            element = dataset.get_item(tag)
            value = "" if element.value is None else element.value
            if element.VR == "SQ" or (isinstance(value, bytes) and len(value) > _LONGEST_VALUE):
                continue
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            yield keyword, text if dictionary_VR(tag) in _BINARY else text.strip(" \0")
