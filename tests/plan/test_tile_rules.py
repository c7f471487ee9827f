import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liverseg_tf.ct.regions import Regions
from liverseg_tf.plan.tile_rules import plan_tiles, tile_spec_of


def _spec(fingerprint):
    return tile_spec_of(plan_tiles(fingerprint), None)


def _value(fingerprint, key):
    return next(one.value for one in plan_tiles(fingerprint) if one.key == key)


def _reason(fingerprint, key):
    return next(one.reason for one in plan_tiles(fingerprint) if one.key == key)


def test_an_abdomen_gets_the_values_of_the_presets(make_fingerprint, make_region):
    spec = _spec(make_fingerprint({"liver": make_region()}))
    (window,) = spec.windows
    assert (window.lower_hu, window.upper_hu, spec.spacing_mm) == (-200, 250, 1.5)
    assert spec.tile_shape == (160, 256), "rows are saved where no body is"


@pytest.mark.parametrize(
    ("width_mm", "pixel_mm", "spacing"),
    [
        (70, 0.8, 1.5),
        (20, 0.8, 1.0),
        (6, 0.8, 0.975),
        (6, 1.4, 1.5),
        (70, 2.3, 2.3),
        (28, 0.8, 1.5),
    ],
)
def test_the_spacing_follows_the_thinnest_region(
    make_fingerprint, make_region, width_mm, pixel_mm, spacing
):
    regions = {"liver": make_region(), "pancreas": make_region(width_mm=width_mm)}
    found = _value(make_fingerprint(regions, spacing_mm=(2.5, pixel_mm, pixel_mm)), "spacing")
    assert found == pytest.approx(spacing, abs=0.03)


def test_a_small_field_gets_finer_pixels(make_fingerprint, make_region):
    fingerprint = make_fingerprint(
        {"prostate": make_region(reach_mm=(40, 40), width_mm=28)},
        has_hu=False,
        shape=(20, 320, 320),
        spacing_mm=(3.6, 0.625, 0.625),
        body_mm=(200, 200),
    )
    spec = _spec(fingerprint)
    assert spec.percentiles is not None
    assert 0.625 <= spec.spacing_mm <= 0.8
    assert spec.tile_shape == (256, 256)


def test_nested_regions_do_not_make_pixels_finer(make_fingerprint, make_region):
    regions = {"liver": make_region(), "tumour": make_region(width_mm=8)}
    nested = Regions({"liver": (1, 2), "tumour": (2,)})
    assert _value(make_fingerprint(regions, nested), "spacing") == 1.5
    assert _value(make_fingerprint(regions), "spacing") < 1.1


@pytest.mark.parametrize(
    ("percentiles", "window"),
    [
        ((-950, -900, -850, -600, -100), (-900, 250)),
        ((100, 200, 400, 900, 1200), (-200, 900)),
        ((-900, -500, 30, 60, 90), (-200, 250)),  # a stomach with gas
    ],
)
def test_the_window_is_widened_for_lung_and_bone(
    make_fingerprint, make_region, percentiles, window
):
    fingerprint = make_fingerprint({"organ": make_region(percentiles=percentiles)})
    (found,) = _spec(fingerprint).windows
    assert (found.lower_hu, found.upper_hu) == window


@pytest.mark.parametrize(
    ("clipped", "window"),
    [
        ((-125, 275), (-125, 275)),
        ((-125, None), (-125, 325)),
        ((-1024, 3071), (-200, 250)),
        ((None, 200.4), (-250, 200)),
        ((20, 40), (-200, 250)),  # nothing is left: `check` refuses the images
    ],
)
def test_the_window_stays_where_the_images_were_not_clipped(
    make_fingerprint, make_region, clipped, window
):
    (found,) = _spec(make_fingerprint({"liver": make_region()}, clipped_hu=clipped)).windows
    assert (found.lower_hu, found.upper_hu) == window


_MM = st.floats(1, 400)


@given(
    reach=st.tuples(_MM, _MM),
    width=st.floats(0.5, 200),
    body=st.tuples(_MM, _MM),
    grid=st.tuples(st.floats(0.1, 6), st.integers(8, 1024)),
    has_hu=st.booleans(),
)
def test_any_fingerprint_gives_tiles_that_hold_every_region(
    make_fingerprint, make_region, reach, width, body, grid, has_hu
):
    pixel, side = grid
    field = side * pixel
    reach = tuple(min(mm, field) for mm in reach)  # from a centre that may be at the edge
    regions = {"organ": make_region(reach_mm=reach, width_mm=width)}
    changes = {"shape": (40, side, side), "spacing_mm": (3.0, pixel, pixel), "body_mm": body}
    fingerprint = make_fingerprint(regions, count=3, has_hu=has_hu, **changes)
    spec = _spec(fingerprint)
    assert spec == _spec(fingerprint)
    for mm, length in zip(reach, spec.tile_shape, strict=True):
        assert length % 32 == 0
        assert length * spec.spacing_mm >= min(2 * mm, field) - 1e-6
        assert length <= 32 * math.ceil((field / spec.spacing_mm) / 32)
    assert spec.spacing_mm >= min(1.5, pixel) * 0.95
    for one in plan_tiles(fingerprint):
        assert one.reason
        assert "\n" not in one.reason
