import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.viewer.findings import MAX_FINDINGS, find_differences, list_components

AFFINE = np.array([[-2.0, 0, 0, 10], [0, -2, 0, 20], [0, 0, 5, -30], [0, 0, 0, 1]])  # 0.02 ml


def labels(*boxes, shape=(8, 30, 30)):
    array = np.zeros(shape, np.uint8)
    for label, box in boxes:
        array[box] = label
    return Volume(array, AFFINE)


def test_lesions():
    mask = labels(
        (1, np.s_[1:7, 2:28, 2:28]),
        (2, np.s_[2:3, 4:5, 4:5]),
        (2, np.s_[4:7, 10:15, 20:25]),
    )
    large, small = list_components(mask, LIVER_REGIONS)
    assert (large.volume_ml, small.volume_ml) == pytest.approx((75 * 0.02, 0.02))
    assert large.position_mm == (10 - 2 * 22, 20 - 2 * 12, -30 + 5 * 5)
    assert small.position_mm == (10 - 2 * 4, 20 - 2 * 4, -30 + 5 * 2)
    assert {large.text, small.text} == {"tumour"}


def test_lesions_are_connected_by_corners():
    assert len(list_components(labels((2, (1, 1, 1)), (2, (2, 2, 2))), LIVER_REGIONS)) == 1


def test_position_is_inside_a_hollow_lesion():
    mask = labels((2, np.s_[1:7, 5:25, 5:25]), (0, np.s_[3:5, 8:22, 8:22]))
    (lesion,) = list_components(mask, LIVER_REGIONS)
    col, row, z = np.linalg.inv(AFFINE)[:3] @ (*lesion.position_mm, 1)
    assert mask.array[round(z), round(row), round(col)] == 2


def test_differences():
    first = labels((1, np.s_[1:4, 5:15, 5:15]))
    second = labels((1, np.s_[1:4, 5:15, 8:15]), (2, np.s_[2:3, 6:8, 10:12]))
    findings = find_differences(first, second, LIVER_REGIONS, ("a", "b"))
    assert [(finding.text, round(finding.volume_ml, 6)) for finding in findings] == [
        ("liver only in a", 90 * 0.02),
        ("tumour only in b", 4 * 0.02),
    ]


def test_no_findings():
    empty = labels()
    assert list_components(empty, LIVER_REGIONS) == []
    assert find_differences(empty, empty, LIVER_REGIONS, ("a", "b")) == []


def test_number_of_findings_is_limited():
    array = np.zeros((2, 60, 60), np.uint8)
    array[0, ::2, ::2] = 1
    assert len(list_components(Volume(array, AFFINE), Regions({"organ": (1,)}))) == MAX_FINDINGS
