import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from liverseg_tf.ct.intensity import PercentileRange, Window, to_uint8, without_padding
from liverseg_tf.errors import LiverSegError, SettingsError

LIVER = Window(25, 450)
INT16 = hnp.arrays(np.int16, (2, 3, 4), elements=st.integers(-32768, 32767))


def line(*values, dtype=np.int16):
    return np.array(values, dtype)[None, None]


def test_window_ends():
    assert (LIVER.lower_hu, LIVER.upper_hu) == (-200, 250)
    pixels = to_uint8(line(-201, -200, 25, 250, 251), LIVER)
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [[[0, 0, 128, 255, 255]]]


def test_windows_in_words():
    assert repr(LIVER) == "Window(level_hu: 25; width_hu: 450; range: -200 to 250)"
    computed = PercentileRange(10, 90).window_of(np.arange(102).reshape(1, 1, -1))
    assert repr(computed) == "Window(level_hu: 51; width_hu: 80; range: 11 to 91)"
    assert repr(PercentileRange()) == "PercentileRange(lower: 0.5; upper: 99.5)"


@pytest.mark.filterwarnings("error")  # a cast of NaN to uint8 is 0 on some machines only
def test_extreme_values_do_not_wrap_around():
    assert to_uint8(line(-32768, -3024, 32767), LIVER).tolist() == [[[0, 0, 255]]]
    floats = line(-1e38, 1e38, -np.inf, np.inf, np.nan, dtype=np.float32)
    assert to_uint8(floats, LIVER).tolist() == [[[0, 255, 0, 255, 0]]]


@given(INT16, st.integers(-500, 500), st.integers(1, 3000))
@settings(max_examples=60, deadline=None)
def test_rounding_costs_half_a_step_at_most(slices, level, width):
    window = Window(level, width)
    clipped = np.clip(slices.astype(float), window.lower_hu, window.upper_hu)
    values = to_uint8(slices, window).astype(float) / 255 * width + window.lower_hu
    assert np.abs(values - clipped).max() <= width / 255 / 2 * 1.001


@given(INT16)
@settings(max_examples=40, deadline=None)
def test_integers_and_floats_give_the_same_pixels(slices):
    expected = to_uint8(slices, LIVER)
    for dtype in (np.int32, np.int64, np.float32, np.float64):
        np.testing.assert_array_equal(to_uint8(slices.astype(dtype), LIVER), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_unsigned_images(dtype):
    slices = line(0, 100, 200, dtype=dtype)
    assert to_uint8(slices, Window(50, 200)).tolist() == [[[64, 191, 255]]]
    np.testing.assert_array_equal(without_padding(slices), slices)
    assert without_padding(slices).dtype == dtype


@given(INT16)
@settings(max_examples=20, deadline=None)
def test_a_brighter_voxel_never_gets_darker(slices):
    order = np.argsort(slices, axis=None)
    pixels = to_uint8(slices, LIVER).ravel()[order].astype(int)
    assert (np.diff(pixels) >= 0).all()


def test_the_input_is_left_alone():
    slices = line(-2048, 0, np.nan, dtype=np.float32)
    kept = slices.copy()
    to_uint8(slices, LIVER)
    without_padding(slices)
    np.testing.assert_array_equal(slices, kept)


def test_padding_becomes_air():
    assert without_padding(line(-3024, -2048, -1024, 0)).tolist() == [[[-1024, -1024, -1024, 0]]]
    floats = without_padding(line(np.nan, -np.inf, -2000.5, 1.5, dtype=np.float32))
    assert floats.tolist() == [[[-1024, -1024, -1024, 1.5]]]
    assert floats.dtype == np.float32


def test_an_mr_floor_is_rounded_down_for_whole_numbers():
    assert without_padding(line(0, 10, 20), 10.7).tolist() == [[[10, 10, 20]]]
    assert without_padding(line(0, 10, 20), -0.5).tolist() == [[[0, 10, 20]]]


@pytest.mark.parametrize(("level", "width"), [(0, 0), (0, -1), (np.nan, 1), (0, np.inf)])
def test_windows_that_are_none(level, width):
    with pytest.raises(SettingsError, match=r"^Expected a window .* Received .*$"):
        Window(level, width)


@pytest.mark.parametrize(("lower", "upper"), [(5, 5), (6, 5), (-1, 50), (0, 101), (np.nan, 5)])
def test_percentiles_that_are_none(lower, upper):
    with pytest.raises(SettingsError, match=r"^Expected percentiles .* Received .*$"):
        PercentileRange(lower, upper)


def test_percentiles_by_hand():
    array = np.concatenate([np.zeros(500), np.arange(1, 102)]).reshape(1, 1, -1)
    window = PercentileRange(10, 90).window_of(array)  # the zeros are background
    assert (window.lower_hu, window.upper_hu) == (11, 91)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.float64])
def test_percentiles_of_any_dtype(dtype):
    array = np.random.default_rng(0).integers(0, 1000, (4, 30, 30)).astype(dtype)
    window = PercentileRange().window_of(array)
    low, high = np.percentile(array[array > 0], (0.5, 99.5))
    assert (window.lower_hu, window.upper_hu) == pytest.approx((low, high))


def test_percentiles_leave_out_nan_and_infinity():
    array = np.arange(1000, dtype=np.float32)
    expected = PercentileRange().window_of(array)
    odd = np.append(array, [np.nan, np.inf, -np.inf]).astype(np.float32)
    assert PercentileRange().window_of(odd) == expected


def test_percentiles_of_a_sample_are_near():
    array = np.random.default_rng(0).normal(100, 20, 5_000_000).astype(np.float32)
    low, high = np.percentile(array, (0.5, 99.5))
    window = PercentileRange().window_of(array.reshape(5, 1000, 1000))
    assert (window.lower_hu, window.upper_hu) == pytest.approx((low, high), abs=0.5)


@pytest.mark.parametrize("value", [0, 7, np.nan, np.inf])
def test_percentiles_of_a_constant_image(value):
    with pytest.raises(LiverSegError, match=r"^Expected an image with contrast\. Received .*$"):
        PercentileRange().window_of(np.full((2, 3, 4), value, np.float32))


def test_two_values_make_a_narrow_window():
    window = PercentileRange().window_of(line(0, 5, 5, 5))
    assert window.width_hu > 0
    assert to_uint8(line(0, 5, 6), window)[0, 0, [0, 2]].tolist() == [0, 255]
