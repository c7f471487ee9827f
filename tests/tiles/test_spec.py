import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.tiles.spec import LIVER_WINDOW, TileSpec

windows = st.builds(Window, st.floats(-1000, 1000), st.floats(1, 4000))
specs = st.builds(
    TileSpec,
    windows=st.lists(windows, min_size=1, max_size=3).map(tuple),
    percentiles=st.one_of(st.none(), st.builds(PercentileRange, st.floats(0, 40))),
    spacing_mm=st.one_of(st.none(), st.floats(0.05, 50)),
    tile_shape=st.one_of(st.none(), st.tuples(st.integers(16, 512), st.integers(16, 512))),
)


@given(specs)
@settings(max_examples=50, deadline=None)
def test_specs_survive_json(spec):
    assert TileSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_channels():
    both = (LIVER_WINDOW, Window(50, 2000))
    assert TileSpec().channels == 1
    assert TileSpec(windows=both).channels == 2
    assert TileSpec(windows=both, percentiles=PercentileRange()).channels == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"windows": ()},
        {"spacing_mm": 0},
        {"spacing_mm": -1.5},
        {"spacing_mm": 51},
        {"spacing_mm": float("nan")},
        {"tile_shape": (0, 256)},
        {"tile_shape": (256, 15)},
        {"channel": -1},
    ],
)
def test_invalid_settings(fields):
    with pytest.raises(SettingsError, match=r"^Expected .* Received .*\.$"):
        TileSpec(**fields)


@pytest.mark.parametrize(
    "change",
    [
        {"windows": [{"level": 1}]},
        {"windows": None},
        {"windows": [{"level_hu": "x", "width_hu": 1}]},
        {"percentiles": [1, 2]},
        {"spacing_mm": "1.5"},
        {"tile_shape": ["a", "b"]},
        {"tile_shape": [256]},
        {"tile_shape": [256.5, 256.5]},
        {"tile_shape": [float("inf"), 256]},
        {"channel": 1.5},
        {"channel": True},
    ],
)
def test_invalid_json(change):
    with pytest.raises(LiverSegError, match=r"^Expected .* in a tile spec\. Received ") as caught:
        TileSpec.from_json(TileSpec().to_json() | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [{}, None, [], "spec"])
def test_json_without_the_keys(value):
    with pytest.raises(LiverSegError, match=r"^Expected .* in a tile spec\. Received "):
        TileSpec.from_json(value)


def test_specs_without_a_channel_can_be_read():
    value = TileSpec().to_json()
    del value["channel"]
    assert TileSpec.from_json(value) == TileSpec()
    assert TileSpec.from_json(TileSpec(channel=1).to_json()).channel == 1


def test_a_spec_is_one_line_in_a_notebook():
    both = (LIVER_WINDOW, Window(50, 2000))
    native = TileSpec(windows=both, spacing_mm=None, tile_shape=None, channel=1)
    assert repr(native) == (
        "TileSpec(windows: -200 to 250 HU, -950 to 1050 HU; spacing_mm: native; "
        "tile_shape: whole slices; channel: 1)"
    )
    assert repr(TileSpec(percentiles=PercentileRange())) == (
        "TileSpec(percentiles: 0.5 to 99.5; spacing_mm: 1.5; tile_shape: 256 x 256; channel: none)"
    )
