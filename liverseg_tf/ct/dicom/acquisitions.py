"""Series that mix acquisitions, phases, echoes or reconstructions, although their slices fit."""

import itertools
from collections.abc import Iterator, Sequence

from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.errors import LiverSegError

# Slices of one volume have one value, a value each, or one value per block of neighbours.
_DEFINING = (
    *("AcquisitionNumber", "FrameAcquisitionNumber", "TemporalPositionIdentifier"),
    *("TemporalPositionIndex", "TemporalPositionTimeOffset", "StackID", "ImageType", "FrameType"),
    *("ConvolutionKernel", "KVP", "EchoTime", "EchoNumbers", "EffectiveEchoTime"),
    *("InversionTime", "DiffusionBValue", "DiffusionGradientOrientation", "SeriesNumber"),
    *("SeriesDescription", "ProtocolName", "StudyInstanceUID", "FrameOfReferenceUID"),
    *("AcquisitionUID", "IrradiationEventUID", "ContrastBolusAgent", "StudyDate", "SeriesTime"),
    *("StudyTime", "SeriesDate", "Manufacturer", "StationName", "DeviceSerialNumber"),
)
# In the order of a CT, these grow or fall along the volume.
_GROWING = (
    *("AcquisitionNumber", "FrameAcquisitionNumber", "AcquisitionTime", "AcquisitionDateTime"),
    *("FrameAcquisitionDateTime", "FrameReferenceDateTime", "ContentTime", "TriggerTime"),
    *("NominalPercentageOfCardiacPhase", "InstanceNumber"),
)
# Slices of a stack from which an order is no chance; software may number images at random.
_SMALLEST = dict.fromkeys(_GROWING, 3) | {"InstanceNumber": 4}
# Interleaved MR takes every second slice first, so that these alternate in a valid volume.
_ALTERNATING_IN_MR = {
    *("AcquisitionTime", "AcquisitionDateTime", "FrameAcquisitionDateTime", "ContentTime"),
    *("FrameReferenceDateTime", "ContentDate", "AcquisitionDate", "TriggerTime", "InstanceNumber"),
    *("ImageTriggerDelay", "AcquisitionDuration"),
}
_MOST_STACKS = 16
_LONGEST_SHOWN = 40


def check_one_acquisition(slices: Sequence[DicomSlice]) -> None:
    """Check that the slices of a volume belong to one acquisition.

    Two acquisitions of one series whose positions differ by half a slice distance look like one
    volume of half the distance. They differ in an attribute, which then alternates from slice to
    slice. Values that change between blocks of neighbouring slices, or with every slice, are valid.

    Args:
        slices: Slices in the order of the volume.

    Raises:
        LiverSegError: If an attribute splits the slices into stacks that interleave.
    """
    for keyword in sorted({keyword for current in slices for keyword in current.attributes}):
        values = [current.attributes.get(keyword, "") for current in slices]
        distinct = len(set(values))
        if distinct == 1:
            continue
        alternating_is_valid = slices[0].modality != "CT" and keyword in _ALTERNATING_IN_MR
        if alternating_is_valid:
            continue
        if (
            (keyword in _DEFINING and _count_runs(values) > distinct)
            or _alternates(values, 2 if keyword in (*_DEFINING, *_GROWING) else 3)
            or (keyword in _GROWING and _has_sorted_stacks(values, _SMALLEST[keyword]))
        ):
            _raise_mixed(slices, keyword, values)


def _count_runs(values: Sequence[str]) -> int:
    return 1 + sum(first != second for first, second in itertools.pairwise(values))


def _stacks(values: Sequence, smallest: int) -> Iterator[list[Sequence]]:
    """Yield the splits into 2, 3, ... stacks of every second, third, ... value."""
    for count in range(2, min(_MOST_STACKS, len(values) // smallest) + 1):
        yield [values[start::count] for start in range(count)]


def _alternates(values: Sequence[str], smallest: int) -> bool:
    """Return whether each of several interleaved stacks has one value of its own."""
    for stacks in _stacks(values, smallest):
        if all(len(set(stack)) == 1 for stack in stacks):
            return True
    return False


def _has_sorted_stacks(values: Sequence[str], smallest: int) -> bool:
    """Return whether all values of each interleaved stack are below those of the next one."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return False
    for stacks in _stacks(numbers, smallest):
        stacks = sorted(stacks, key=min)
        if all(max(first) < min(second) for first, second in itertools.pairwise(stacks)):
            return True
    return False


def _raise_mixed(slices: Sequence[DicomSlice], keyword: str, values: Sequence[str]) -> None:
    other = next(n for n, value in enumerate(values) if value != values[0])
    shown = [value if value.isprintable() else "" for value in (values[0], values[other])]
    shown = [value[:_LONGEST_SHOWN] or "another" for value in shown]
    raise LiverSegError(
        f"Expected the slices of one acquisition. Received stacks of slices that interleave and "
        f"differ in {keyword}, for example {shown[0]} in {slices[0].file} and {shown[1]} in "
        f"{slices[other].file}: separate the acquisitions, phases or reconstructions."
    )
