import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec

TWO_WINDOWS = TileSpec(windows=(Window(25, 450), Window(100, 2000)), spacing_mm=None)


def test_json_round_trip():
    spec = NetworkSpec(TWO_WINDOWS, Regions({"kidney": (3,), "cyst": (7, 9)}), 5, 32)
    assert NetworkSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert NetworkSpec.from_json(json.loads(json.dumps(NetworkSpec().to_json()))) == NetworkSpec()
    far = NetworkSpec(context=3, context_spacing_mm=4.5)
    assert NetworkSpec.from_json(json.loads(json.dumps(far.to_json()))) == far
    earlier = {key: value for key, value in far.to_json().items() if key != "context_spacing_mm"}
    assert NetworkSpec.from_json(earlier) == NetworkSpec(context=3)


def test_channels():
    assert NetworkSpec(context=3).channels == 3
    assert NetworkSpec(TWO_WINDOWS, context=3).channels == 6


@pytest.mark.parametrize("context", [0, -1, 2, 4, 65])
def test_context_must_be_odd(context):
    with pytest.raises(SettingsError, match=rf"odd number .* from 1 to 63. Received {context}"):
        NetworkSpec(context=context)


@given(st.integers(1, 700), st.sampled_from([1, 8, 16, 32]))
@settings(max_examples=40, deadline=None)
def test_padding_is_the_next_multiple(length, stride):
    rows, cols = NetworkSpec(stride=stride).padded((length, 512))
    assert cols == 512
    assert rows % stride == 0
    assert length <= rows < length + stride


@pytest.mark.parametrize(
    ("z", "expected"), [(0, [0, 0, 0, 1, 2]), (3, [1, 2, 3, 4, 5]), (5, [3, 4, 5, 5, 5])]
)
def test_context_slices_are_ordered_from_the_lowest_to_the_highest(z, expected):
    tiles = np.zeros((6, 4, 4, 2), np.uint8)
    tiles[..., 0] = np.arange(6)[:, None, None]
    tiles[..., 1] = 100
    stacked = NetworkSpec(TWO_WINDOWS, context=5).stack(tiles, z)
    assert stacked.shape == (4, 4, 10)
    assert stacked[0, 0, ::2].tolist() == expected
    assert (stacked[..., 1::2] == 100).all()


def test_a_single_slice_is_not_changed():
    tiles = np.random.default_rng(0).integers(0, 255, (1, 4, 4, 1)).astype(np.uint8)
    np.testing.assert_array_equal(NetworkSpec().stack(tiles, 0), tiles[0])
    assert NetworkSpec(context=3).stack(tiles, 0).shape == (4, 4, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"context": "three"},
        {"context": None},
        {"context": True},
        {"context": 3.5},
        {"context": 200_001},
        {"stride": 32_768},
        {"stride": 0},
        {"stride": float("inf")},
        {"context_spacing_mm": "3"},
        {"context_spacing_mm": float("nan")},
        {"regions": 3},
        {"regions": {"liver": ["1"]}},
        {"regions": {f"r{n}": [n] for n in range(1, 18)}},
        {"tiles": {}},
        {"tiles": NetworkSpec().to_json()["tiles"] | {"windows": [[0, 1]]}},
        {"tiles": NetworkSpec().to_json()["tiles"] | {"tile_shape": [float("inf"), 5]}},
        {"tiles": NetworkSpec().to_json()["tiles"] | {"tile_shape": 5}},
        {"tiles": NetworkSpec().to_json()["tiles"] | {"windows": 5}},
        {"tiles": NetworkSpec().to_json()["tiles"] | {"spacing_mm": "1"}},
        {"tiles": NetworkSpec().to_json()["tiles"] | {"windows": [{"level_hu": "a"}]}},
    ],
)
def test_invalid_json_is_refused(change):
    with pytest.raises(LiverSegError, match=r"^Expected .* Received") as caught:
        NetworkSpec.from_json(NetworkSpec().to_json() | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [{}, [], None, "x", {"tiles": {}}])
def test_other_values_are_refused(value):
    with pytest.raises(LiverSegError, match="network specification"):
        NetworkSpec.from_json(value)


def test_the_size_of_the_input_is_bounded():
    many = TileSpec(windows=(Window(25, 450),) * 20)
    with pytest.raises(SettingsError, match="at most 256 input channels"):
        NetworkSpec(many, context=63)
    with pytest.raises(SettingsError, match="at most 16 regions"):
        NetworkSpec(regions=Regions({f"r{n}": (n,) for n in range(1, 18)}))


@pytest.mark.parametrize(
    ("slice_mm", "context_spacing_mm", "slice_step"),
    [(1.0, None, 1), (1.0, 5.0, 5), (2.5, 5.0, 2), (3.0, 5.0, 2), (5.0, 5.0, 1), (12.0, 5.0, 1)],
)
def test_thin_and_thick_slices_have_the_same_context(slice_mm, context_spacing_mm, slice_step):
    assert (
        NetworkSpec(context=3, context_spacing_mm=context_spacing_mm).slice_step(slice_mm)
        == slice_step
    )


def test_a_slice_step_skips_slices():
    tiles = np.zeros((9, 2, 2, 1), np.uint8)
    tiles[...] = np.arange(9)[:, None, None, None]
    for z, expected in ((4, [0, 2, 4, 6, 8]), (1, [0, 0, 1, 3, 5]), (8, [4, 6, 8, 8, 8])):
        stacked = NetworkSpec(context=5).stack(tiles, z, 2)
        assert stacked[0, 0].tolist() == expected


@pytest.mark.parametrize("context_spacing_mm", [0, -1, 101])
def test_an_invalid_context_spacing_is_refused(context_spacing_mm):
    with pytest.raises(SettingsError, match="Expected a distance between context slices"):
        NetworkSpec(context=3, context_spacing_mm=context_spacing_mm)


def test_the_representation_is_one_line():
    assert repr(NetworkSpec()) == (
        "NetworkSpec(context: 1; channels: 1; spacing: 1.5 mm; stride: 16; regions: liver, tumour)"
    )
    spec = NetworkSpec(TWO_WINDOWS, Regions({"kidney": (3,)}), 5, 32, 4.5)
    assert str(spec) == (
        "NetworkSpec(context: 5, 4.5 mm apart; channels: 10; spacing: native; stride: 32; "
        "regions: kidney)"
    )
