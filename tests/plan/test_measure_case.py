import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.check.measurements import measure_volumes
from liverseg_tf.plan.measure_case import fingerprint_case


def _fingerprint(image, mask, annotation=Annotation(), regions=LIVER_REGIONS):
    measured = measure_volumes(image, mask, guessed_geometry=False)
    return fingerprint_case("case", (image, mask), measured, annotation, regions, True)


def test_the_geometry_of_regions_in_mm():
    """A body of 80 x 60 pixels, a disc of 40 mm and two blocks in every other of its slices."""
    affine = np.diag([-0.5, -1.0, 4.0, 1.0])
    array = np.full((10, 100, 120), -1000, np.int16)
    array[:, 10:90, 20:100] = 40
    rows, cols = np.mgrid[:100, :120]
    labels = np.zeros(array.shape, np.uint8)
    labels[2:8, ((rows - 50) ** 2 + ((cols - 60) / 2) ** 2) < 400] = 1
    labels[3:8:2, 48:52, 55:59] = labels[3:8:2, 48:52, 65:69] = 2
    found = _fingerprint(Volume(array, affine), Volume(labels, affine))
    assert found.field_mm == (100, 60)
    assert found.body_mm == pytest.approx((80, 40), abs=1)
    liver, tumour = found.regions["liver"], found.regions["tumour"]
    assert liver.extent_mm == pytest.approx((24, 39, 39), abs=2)
    assert liver.reach_mm == pytest.approx((20, 20), abs=1)
    assert liver.width_mm == pytest.approx(40 * np.pi / 4, rel=0.1)
    assert (liver.slices, liver.components) == (6, 1)
    assert (tumour.slices, tumour.components) == (3, 6)
    assert tumour.volume_ml == pytest.approx(3 * 32 * 2.0 / 1000)
    assert tumour.percentiles == (40,) * 5


def test_partial_labels_and_unknown_slices(make_volumes):
    image, mask = make_volumes()
    mask.array[0] = 255
    liver_only = Annotation(Regions({"liver": (1, 2)}), ignored=255)
    found = _fingerprint(image, mask, liver_only)
    assert (found.labelled, tuple(found.regions)) == (("liver",), ("liver",))
    assert found.known_slices == len(mask.array) - 1
    assert found.unnamed_labels == ()
    spleen = Regions({"spleen": (2,)})
    assert _fingerprint(image, mask, Annotation(ignored=255), spleen).unnamed_labels == (1,)


def test_axis_order_does_not_matter(make_volumes):
    image, mask = make_volumes()
    flipped = image.affine @ np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    turned = [
        Volume(np.ascontiguousarray(one.array.transpose(0, 2, 1)), flipped) for one in (image, mask)
    ]
    assert _fingerprint(*turned) == _fingerprint(image, mask)


def test_large_regions_are_reduced_before_components_are_counted(monkeypatch, make_volumes):
    image, mask = make_volumes(shape=(6, 40, 40))
    whole = _fingerprint(image, mask)
    monkeypatch.setattr("liverseg_tf.plan.measure_case._COMPONENT_VOXELS", 100)
    assert _fingerprint(image, mask) == whole
