"""Series whose slices fit together but belong to several acquisitions."""

import numpy as np
import pytest

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

AFFINE = np.diag([-0.7, 0.8, 2.5, 1.0])
COUNT = 12


def make_ct():
    array = np.random.default_rng(0).integers(-1000, 1000, (COUNT, 3, 4)).astype(np.int16)
    return Volume(array, AFFINE)


def set_values(keyword, values, modality="CT"):
    def edit(dataset, z):
        dataset.Modality = modality
        if values[z] is not None:
            setattr(dataset, keyword, values[z])

    return edit


def interleave(first, second):
    return [value for pair in zip(first, second, strict=True) for value in pair]


EARLY, LATE = [f"1200{s:02}.5" for s in range(6)], [f"1201{s:02}" for s in range(6)]
ALTERNATING = {
    "AcquisitionNumber": [1, 2] * 6,
    "AcquisitionTime": [None, "120000"] * 6,
    "ContentTime": ["120000", "120100"] * 6,
    "TemporalPositionIdentifier": [1, 2, 3] * 4,
    "TriggerTime": [0, 300] * 6,
    "EchoTime": ["2.3", "4.6"] * 6,
    "EchoNumbers": [1, 2] * 6,
    "DiffusionBValue": [0.0, 800.0] * 6,
    "ImageType": [["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "MPR"]] * 6,
    "ConvolutionKernel": ["B30f", "B30f", "B60f"] * 4,
    "KVP": [80, 140] * 6,
    "SeriesDescription": ["arterial", "venous"] * 6,
    "StudyInstanceUID": ["1.2", "1.3"] * 6,
    "ContrastBolusAgent": [None, "X"] * 6,
    # any attribute
    "FilterType": ["BODY", "HEAD"] * 6,
    "ReconstructionDiameter": [400, 500] * 6,
    "GantryDetectorTilt": [0, 1, 2, 3] * 3,
}


@pytest.mark.parametrize("keyword", ALTERNATING)
def test_an_attribute_that_alternates_is_refused(tmp_path, write_series, keyword):
    write_series(tmp_path, make_ct(), set_values(keyword, ALTERNATING[keyword]))
    with pytest.raises(LiverSegError, match=f"one acquisition.*interleave.*{keyword}"):
        read_image(tmp_path)


MIXED = {
    "times of two acquisitions": (
        "AcquisitionTime",
        interleave(EARLY, LATE),
    ),
    "instance numbers of two acquisitions": (
        "InstanceNumber",
        interleave(range(1, 7), range(7, 13)),
    ),
    "acquisition numbers per slice": (
        "AcquisitionNumber",
        interleave(range(30, 24, -1), range(50, 44, -1)),
    ),
    "a kernel in between": ("ConvolutionKernel", ["B30f"] * 5 + ["B60f"] + ["B30f"] * 6),
    "phases mixed at random": ("AcquisitionNumber", [1, 1, 2, 1, 2, 2, 2, 1, 1, 2, 1, 1]),
}


@pytest.mark.parametrize("keyword_and_values", MIXED.values(), ids=MIXED.keys())
def test_mixed_acquisitions_are_refused(tmp_path, write_series, keyword_and_values):
    keyword, values = keyword_and_values
    write_series(tmp_path, make_ct(), set_values(keyword, values))
    with pytest.raises(LiverSegError, match=f"one acquisition.*{keyword}"):
        read_image(tmp_path)


VALID = {
    "a number per slice": ("AcquisitionNumber", list(range(1, 13)), "CT"),
    "a number per block": ("AcquisitionNumber", [1] * 4 + [2] * 4 + [3] * 4, "CT"),
    "falling numbers": ("AcquisitionNumber", list(range(12, 0, -1)), "CT"),
    "times per rotation": ("AcquisitionTime", sorted(["120000", "120001", "120002"] * 4), "CT"),
    "reconstruction out of order": (
        "ContentTime",
        ["10", "12", "11", "13", "12", "14", "16", "15", "16", "18", "17", "19"],
        "CT",
    ),
    "tube current": ("XRayTubeCurrent", [200, 210] * 6, "CT"),
    "interleaved MR": ("AcquisitionTime", interleave(EARLY, LATE), "MR"),
    "MR of two breath-holds": ("AcquisitionTime", ["120000", "120100"] * 6, "MR"),
    "instance numbers of interleaved MR": (
        "InstanceNumber",
        interleave(range(1, 7), range(7, 13)),
        "MR",
    ),
    "a unique frame of reference per file": (
        "FrameOfReferenceUID",
        [f"1.{z}" for z in range(12)],
        "CT",
    ),
}


@pytest.mark.parametrize("count", [4, 6])
def test_short_stacks_with_two_times_are_refused(tmp_path, write_series, count):
    volume = Volume(make_ct().array[:count], AFFINE)
    times = ["120000", "120100"] * 3
    write_series(tmp_path, volume, set_values("AcquisitionTime", times))
    with pytest.raises(LiverSegError, match=r"one acquisition.*AcquisitionTime"):
        read_image(tmp_path)


@pytest.mark.parametrize("case", VALID.values(), ids=VALID.keys())
def test_values_of_one_acquisition_are_read(tmp_path, write_series, case):
    ct = make_ct()
    write_series(tmp_path, ct, set_values(*case))
    volume = read_image(tmp_path)
    np.testing.assert_array_equal(volume.array, ct.array)
    assert volume.modality == case[2]
