import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.choices import LESION_KINDS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.phantom.lesions.add_lesions import add_lesions
from liverseg_tf.phantom.lesions.spec import LesionSpec

from .conftest import LEVEL, SPACING, make_organ

PUSHED_MM = 7


def one(organ, seed: int, diameter: float, **settings):
    """Add one lesion of a diameter; return the canonical image, its mask and the record."""
    spec = LesionSpec(count=(1, 1), diameter_mm=(diameter, diameter), **settings)
    image, labels, records = add_lesions(*organ, seed, spec)
    assert len(records) == 1
    return image.array.astype(float), labels.array == 2, records[0]


def test_lesions_lie_in_the_organ_and_everything_else_stays(organ):
    for seed in range(4):
        image, labels, records = add_lesions(*organ, seed)
        assert 1 <= len(records) <= 10
        before, mask = organ[1].array, labels.array == 2
        # a lesion may bulge the surface of the organ
        away = ndimage.distance_transform_edt(before != 1, SPACING)
        assert away[mask].max() <= PUSHED_MM
        assert np.isin(labels.array, (0, 1, 2, 3)).all()
        np.testing.assert_array_equal(labels.array == 3, before == 3)
        changed = image.array != organ[0].array
        far = ndimage.distance_transform_edt(~mask, SPACING) > 45
        assert not changed[far].any()
        assert changed[mask].mean() > 0.8
        for new, old in ((image, organ[0]), (labels, organ[1])):
            assert new.array.dtype == old.array.dtype
            np.testing.assert_array_equal(new.affine, old.affine)
        assert image.array.min() >= organ[0].array.min()
        assert image.array.max() <= organ[0].array.max()


def test_the_same_seed_gives_the_same_lesions(organ):
    first, again, other = (add_lesions(*organ, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0].array, again[0].array)
    np.testing.assert_array_equal(first[1].array, again[1].array)
    assert first[2] == again[2]
    assert not np.array_equal(first[1].array, other[1].array)


def test_a_mask_may_have_another_axis_order_than_its_image(organ):
    image, labels = organ
    turned = labels.affine @ np.array([[-1, 0, 0, 63], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    flipped = Volume(np.ascontiguousarray(labels.array[:, :, ::-1]), turned)
    _, expected, records = add_lesions(image, labels, 2)
    _, found, same = add_lesions(image, flipped, 2)
    np.testing.assert_array_equal(found.array[:, :, ::-1], expected.array)
    assert records == same


@pytest.mark.parametrize("diameter", [12.0, 30.0])
def test_a_lesion_is_connected_and_has_its_size_and_its_place(organ, diameter):
    measured = []
    for seed in range(4):
        _, mask, record = one(organ, seed, diameter, place="inside")
        assert ndimage.label(mask)[1] == 1
        measured.append(record.diameter_mm)
        i, j, k = record.centre
        assert ndimage.distance_transform_edt(~mask, SPACING)[k, j, i] < 0.3 * diameter
        places = np.argwhere(mask)[:, ::-1]
        mm = (organ[0].affine[:3, :3] @ places.mean(axis=0)) + organ[0].affine[:3, 3]
        assert np.linalg.norm(mm - record.centre_mm) < 0.4 * diameter
        np.testing.assert_allclose(
            record.volume_ml, mask.sum() * np.prod(SPACING) / 1000, rtol=0.01
        )
    assert 0.75 * diameter < np.median(measured) < 1.2 * diameter


@pytest.mark.parametrize("kind", LESION_KINDS)
def test_each_kind_has_its_contrast(organ, kind):
    for seed in range(2):
        image, mask, record = one(organ, seed, 36.0, kinds=(kind,), place="inside")
        assert record.kind == kind
        depth = ndimage.distance_transform_edt(mask, SPACING)
        body = image[mask].mean() - LEVEL
        centre = image[depth > 0.7 * depth.max()].mean() - LEVEL
        if kind == "hyperdense":
            assert 5 < body < 70
        elif kind == "rim":
            assert abs(centre) < 30
        else:
            assert -95 < body < -5
        if kind == "necrotic":
            assert centre < body - 5
            assert centre + LEVEL > -20  # still a fluid
        if kind == "calcified":
            assert image[mask].max() - LEVEL > 25


def test_the_border_is_soft_and_the_noise_continues(organ):
    image, mask, _ = one(organ, 3, 36.0, kinds=("hypodense",), place="inside")
    inside, outside = (ndimage.distance_transform_edt(part, SPACING) for part in (mask, ~mask))
    depth = np.where(mask, inside, -outside)
    edges = (-10, -6, -3, 0, 3, 6, 12)
    means = [
        image[(depth > low) & (depth <= high) & (organ[1].array == 1)].mean()
        for low, high in pairwise(edges)
    ]
    assert all(later < earlier + 4 for earlier, later in pairwise(means))
    assert means[-1] + 5 < means[3] < means[0] - 3
    fine = image - ndimage.gaussian_filter(image, (0, 1.5, 1.5))
    healthy = fine[(depth < -10) & (organ[0].array > 60)]
    assert 0.75 < fine[depth > 3].std() / healthy[np.abs(healthy) < 35].std() < 1.35


def test_a_dark_organ_has_darker_lesions():
    means = {}
    for level in (60, 120):
        organ = make_organ(level)
        found = [one(organ, seed, 26.0, kinds=("hypodense",), place="inside") for seed in range(5)]
        means[level] = np.mean([image[mask].mean() for image, mask, _ in found])
    assert means[60] < 60 - 8
    assert means[60] < means[120] - 25


def test_lesions_at_the_surface_bulge_it(organ):
    grown = 0
    for seed in range(4):
        _, labels, _ = add_lesions(
            *organ, seed, LesionSpec(count=(1, 1), diameter_mm=(36, 36), place="surface")
        )
        mask = labels.array == 2
        away = ndimage.distance_transform_edt(organ[1].array == 1, SPACING)
        assert away[mask].min() < 8
        grown += int(((labels.array > 0) & (organ[1].array == 0)).sum())
    assert grown > 5


def test_values_in_steps_stay_in_steps(organ):
    stepped = dataclasses.replace(organ[0], array=(organ[0].array // 5 * 5).astype(np.int16))
    image, _, _ = add_lesions(stepped, organ[1], 1)
    assert (image.array % 5 == 0).all()
    floats = dataclasses.replace(organ[0], array=organ[0].array.astype(np.float32))
    assert add_lesions(floats, organ[1], 1)[0].array.dtype == np.float32


def test_an_organ_that_is_missing_or_too_small_is_refused(organ):
    image, labels = organ
    with pytest.raises(LiverSegError, match=r"label 7.* Received none"):
        add_lesions(image, labels, 0, LesionSpec(organ=(7,)))
    with pytest.raises(LiverSegError, match="choose a smaller diameter"):
        add_lesions(image, labels, 0, LesionSpec(organ=(3,), diameter_mm=(50, 60)))
    kidney = LesionSpec(organ=(3,), lesion=9, diameter_mm=(4, 6), count=(1, 1))
    _, new, _ = add_lesions(image, labels, 0, kidney)
    assert ((new.array == 9) & (labels.array == 3)).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"organ": ()},
        {"organ": (0,)},
        {"organ": (2,)},
        {"count": (0, 3)},
        {"count": (4, 3)},
        {"diameter_mm": (1.0, 5.0)},
        {"diameter_mm": (9.0, 5.0)},
        {"diameter_mm": (float("nan"), 5.0)},
        {"phase": "late"},
        {"place": "outside"},
        {"kinds": ()},
        {"kinds": ("cyst",)},
    ],
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(SettingsError, match=r"Expected .*Received"):
        LesionSpec(**wrong)
