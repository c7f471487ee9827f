import json
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import write_postprocessing
from liverseg_tf.predict.tuning.tune import tune_postprocessing
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

SPEC = TileSpec(spacing_mm=None, tile_shape=None)


def _store(folder, speck, bright, names=("a",)):
    """Create cases with a liver, two tumours in it, and optionally a bright speck elsewhere."""
    labels = np.zeros((4, 32, 32), np.uint8)
    labels[:, 4:20, 4:20] = 1
    labels[1:3, 6:10, 6:10] = labels[1:3, 12:14, 14:16] = 2
    values = np.array([-500, 60, 240], np.int16)[labels]
    if speck:
        values[1:3, 26:30, 26:30] = bright
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    tiles = cut_tiles(Volume(values, affine), Volume(labels, affine), SPEC)
    store = TileStore(folder, SPEC, "hdf5").create()
    for name in names:
        store.write(name, tiles)
    split = {"train": [], "val": list(names), "test": []}
    store = replace(store, cases=dict.fromkeys(names, tiles.record), split=split)
    store.save()
    return store


@pytest.fixture
def model(bright_is_liver):
    return bright_is_liver(tile=None)


def test_the_largest_component_is_selected_if_it_raises_the_dice(tmp_path, model):
    result = tune_postprocessing(model, _store(tmp_path / "s", True, 60), ["a"])
    # the smaller tumour is real, so that keeping only the largest one would lose it
    assert result.postprocessing == PostProcessing(largest=("liver",))
    liver, speck = 4 * 16 * 16, 2 * 4 * 4
    assert result.dice_before["a"]["liver"] == pytest.approx(2 * liver / (2 * liver + speck))
    assert result.dice_after == {"a": {"liver": 1, "tumour": 1}}
    assert result.means() == {"liver": (result.dice_before["a"]["liver"], 1), "tumour": (1, 1)}
    assert repr(result) == (
        "TuningResult(cases: 1; mean Dice: liver 0.985 to 1.000, tumour 1.000 to 1.000; "
        "post-processing: largest liver)"
    )


def test_a_false_tumour_outside_the_liver_is_removed(tmp_path, model):
    # the speck is predicted as a tumour; it is removed with the smaller component of the liver
    store = _store(tmp_path / "s", True, 240)
    result = tune_postprocessing(model, store, ["a"])
    assert result.postprocessing.largest == ("liver",)
    assert result.dice_after == {"a": {"liver": 1, "tumour": 1}}


class _LowProbabilityModel:
    """Predicts 0.45 in the liver, 0.35 beside it, 0.65 in tumours and 0.55 in a liver corner."""

    def __init__(self, network):
        self.network, self.postprocessing, self.fingerprint = network, PostProcessing(), "low"

    def probabilities(self, tiles):
        grey = tiles[..., 0].astype(np.int64)
        liver = np.select([grey > 198, grey > 100, grey > 20], [0.45, 0.45, 0.35], 0.0)
        tumour = np.where(grey > 198, 0.65, 0.0)
        tumour[:, 4:8, 4:6] = 0.55
        return np.stack([liver, tumour], axis=-1).astype(np.float32)


def test_thresholds_are_selected_for_each_region_on_two_cases(tmp_path, model):
    store = _store(tmp_path / "s", True, -100, names=("a", "b"))
    low = _LowProbabilityModel(model.network)
    result = tune_postprocessing(low, store, ["a", "b"])
    assert dict(result.postprocessing.threshold) == {"liver": 0.4, "tumour": 0.6}
    assert result.dice_before["a"]["liver"] < 1
    assert result.dice_after["b"] == {"liver": 1, "tumour": 1}
    # one case is not enough
    result = tune_postprocessing(low, store, ["a"])
    assert result.postprocessing.threshold == ()
    assert result.notes[0].startswith("liver: threshold 0.4 gains ")


def test_steps_without_effect_are_not_selected(tmp_path, model):
    result = tune_postprocessing(model, _store(tmp_path / "s", False, 0), ["a"])
    assert result.postprocessing == PostProcessing(largest=("liver",))
    assert result.notes == ()


def test_postprocessing_is_written_into_the_run(untrained_run):
    from liverseg_tf.model.run_record import RunRecord

    before = json.loads((untrained_run / "run.json").read_text())
    write_postprocessing(untrained_run, PostProcessing(largest=("liver",)))
    assert RunRecord.read(untrained_run).postprocessing == PostProcessing(largest=("liver",))
    after = json.loads((untrained_run / "run.json").read_text())
    assert after.pop("postprocessing") == {"largest": ["liver"]}
    assert after == before


def test_other_tiles_and_missing_validation_cases_are_refused(tmp_path, model, bright_is_liver):
    store = _store(tmp_path / "s", False, 0)
    with pytest.raises(
        LiverSegError,
        match=r"Expected a store of the network's tiles .* with spacing_mm native instead of 3, ",
    ):
        tune_postprocessing(bright_is_liver(spacing_mm=3.0), store, ["a"])
    with pytest.raises(LiverSegError, match="Expected validation cases"):
        tune_postprocessing(model, store, [])
