import numpy as np

from liverseg_tf.phantom.lesions.fields import LocalField
from liverseg_tf.phantom.lesions.grid import Grid
from liverseg_tf.phantom.lesions.lesion import draw_diameter, draw_lesion
from liverseg_tf.phantom.lesions.mass_effect import displace
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.shape import LesionShape
from liverseg_tf.phantom.lesions.spec import LesionSpec

from .conftest import SPACING


def test_diameters_are_log_normal_between_their_limits():
    rng, spec = np.random.default_rng(0), LesionSpec()
    logs = np.log([draw_diameter(rng, spec) for _ in range(800)])
    assert np.exp(logs.min()) >= 4
    assert np.exp(logs.max()) <= 60
    assert 9 < np.exp(np.median(logs)) < 16
    assert abs(np.mean(logs) - np.median(logs)) < 0.08
    fixed = LesionSpec(diameter_mm=(7, 7))
    assert draw_diameter(rng, fixed) == 7


def test_small_lesions_have_no_necrosis_and_no_capsule():
    rng = np.random.default_rng(0)
    kinds = {draw_lesion(rng, LesionSpec(), 8.0, 100.0, 10.0).look.kind for _ in range(60)}
    assert kinds == {"hypodense", "rim", "hyperdense", "calcified"}
    both = LesionSpec(kinds=("necrotic", "capsule"))  # if nothing else was asked for
    assert draw_lesion(rng, both, 8.0, 100.0, 10.0).look.kind in both.kinds


def test_the_section_through_a_shape_does_not_depend_on_the_other_slices():
    rng = np.random.default_rng(1)
    shape = LesionShape.draw(rng, 30.0)
    plane = np.arange(-30, 31, 2.0)
    stack = shape.depth(np.arange(-30, 31, 3.0), plane, plane)
    np.testing.assert_allclose(stack[10:11], shape.depth(np.zeros(1), plane, plane), atol=1e-4)
    beyond = shape.depth(np.array([-1, 1]) * shape.reach_mm, plane, plane)
    assert beyond.max() < 0
    volume = (stack > 0).sum() * 12
    assert 0.6 < volume / (np.pi / 6 * 30**3) < 1.5


def test_fields_are_smooth_and_have_unit_variance():
    field = LocalField.draw(np.random.default_rng(2), 60.0, 5.0)
    axis = np.arange(-50, 51, 1.0)
    values = field.at(np.zeros(1), axis, axis)[0, 0]
    assert 0.8 < values.std() < 1.25
    assert np.abs(np.diff(values, axis=0)).max() < 1.2


def test_vessels_beside_a_lesion_are_pushed_away():
    axis = np.arange(-20, 21.0)
    grid = Grid(np.arange(-2, 3.0), axis, axis, 1.0, (1.0, 1.0))
    image = np.zeros((5, 41, 41), np.float32)
    image[:, :, 31:34] = 100  # 12 mm beside the centre
    labels = (image > 50).astype(np.uint8)
    depth = 10 - grid.distance_mm()
    moved, new_labels = displace(image, labels, depth, grid, 3.0, 10.0)
    centre = (moved[2, 20] * axis).sum() / moved[2, 20].sum()
    assert 13 < centre < 15.5
    assert 0 < (new_labels[2, 20] * axis).sum() / new_labels[2, 20].sum() - 12 < 3.5
    np.testing.assert_array_equal(moved[:, 0], image[:, 0])  # nothing moves at the edge


def test_centres_stay_away_from_vessels_and_from_the_surface_as_chosen(organ):
    image, labels = (volume.array[::-1] for volume in organ)
    places = OrganMap.of(image.astype(np.float32), labels, SPACING, LesionSpec())
    assert abs(places.level_hu - 110) < 3
    rng = np.random.default_rng(0)
    for place, low, high in (("inside", 12, 60), ("any", 4, 60), ("surface", 1.5, 11)):
        for _ in range(20):
            z, y, x = places.choose(rng, 10.0, place) / SPACING
            # distances to the vessel, and to the surface of the ellipsoid
            assert np.hypot(y - 32, x - 42) * 2 > 7
            index = tuple(np.rint([z, y, x]).astype(int))
            away = places.surface_mm[np.abs(places.places - index).sum(axis=1).argmin()]
            assert low <= away <= high
    near = places.choose(rng, 5.0, "any", (np.array([48.0, 64, 64]), 12.0))
    assert np.linalg.norm(near - (48, 64, 64)) < 16
    assert 10 <= places.choose(rng, 5.0, "any", slices=(10, 12))[0] / 4 + 0.5 <= 12
    assert places.choose(rng, 500.0, "any") is None
    assert OrganMap.of(image.astype(np.float32), labels * 0, SPACING, LesionSpec()) is None
