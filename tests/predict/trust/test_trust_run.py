import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.atomic import read_json, write_json
from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import RunRecord, write_postprocessing, write_run_record
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor
from liverseg_tf.predict.trust import measure_cases
from liverseg_tf.predict.trust import trust_run as module
from liverseg_tf.predict.trust.trust_run import count_cases, trust_run
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

SPEC = TileSpec(spacing_mm=None, tile_shape=None)
NETWORK = NetworkSpec(SPEC, Regions({"liver": (1,)}), 1, 16)
NAMES = [f"case_{number}" for number in range(12)]
BAD = ("case_3", "case_9")


class Greys:
    """A model whose probability is the grey value; mirrored, it is lower in the first columns."""

    def __init__(self):
        self.network, self.postprocessing = NETWORK, PostProcessing()
        self.fingerprint = "greys"

    def probabilities(self, tiles):
        values = tiles[..., :1].astype(np.float32) / 255
        values[:, :, -12:] *= 0.9
        return values


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve cases, of which two have a bright false liver that is less certain."""
    folder = tmp_path_factory.mktemp("trust") / "store"
    labels = np.zeros((4, 32, 32), np.uint8)
    labels[:, 4:20, 4:20] = 1
    store, records = TileStore(folder, SPEC, "hdf5").create(), {}
    for number, name in enumerate(NAMES):
        rng = np.random.default_rng(number)
        values = np.where(labels == 1, 215, -160) + rng.normal(0, 8, labels.shape)
        if name in BAD:
            values[:, 4:30, 22:30] = 55 + rng.normal(0, 10, (4, 26, 8))
        affine = np.diag([-1.0, -1.0, 2.0, 1.0])
        volumes = Volume(values.astype(np.int16), affine), Volume(labels, affine)
        tiles = cut_tiles(*volumes, SPEC)
        store.write(name, tiles)
        records[name] = tiles.record
    store = replace(store, cases=records, split={"train": [], "val": NAMES, "test": []})
    store.save()
    return store


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose model predicts grey values; two cases are for validation, ten for tests."""

    def load(runs, is_mirrored):
        predictors = [Greys() for _ in runs]
        if len(runs) > 1:
            return Ensemble(predictors), ("ensemble",)
        return MirroredPredictor(predictors[0]), ("single", "mirrored")

    monkeypatch.setattr(module, "_load", load)
    _write_run(tmp_path / "run", NAMES[:2], NAMES[2:])
    return tmp_path / "run"


def _write_run(folder, val, test=()):
    folder.mkdir(parents=True)
    split = {"train": ["other"], "val": list(val), "test": list(test)}
    write_run_record(folder, NETWORK, "tensorflow", store={"split": split}, result={})


def test_the_bad_masks_of_a_run_are_flagged_and_stored(run, store):
    done = []
    result = trust_run(run, store, on_case=done.append)
    assert done == NAMES
    assert count_cases(run) == 12
    for kind, score in (("single", "confidence"), ("mirrored", "agreement")):
        known = RunRecord.read(run).trust.passes[kind]["liver"]
        assert known == result.record.passes[kind]["liver"]
        assert (known.score, known.source) == (score, "validation and test")
        assert (known.good, known.bad, known.flagged_bad) == (10, 2, 2)
        assert known.flagged_good <= 1
        assert known.rank_correlation > 0.4
        assert known.always_present
    assert "only 2 masks with a Dice below 0.85" in "\n".join(result.notes)
    assert "chosen on the validation cases" in result.notes[-1]
    with open(run / "trust.csv") as file:
        rows = list(csv.DictReader(file))
    flagged = {row["case"] for row in rows if row["flagged"] == "yes" and float(row["dice"]) < 0.85}
    assert flagged == set(BAD)
    assert len(rows) == 24
    written = json.loads((run / "trust.json").read_text())
    assert set(written) == {"passes", "notes", "definitions"}
    assert (run / "trust.png").read_bytes()[1:4] == b"PNG"
    # no name of a case is in what travels with the model
    assert "case_" not in json.dumps(result.record.to_json())


def test_few_cases_give_no_threshold_and_no_picture(run, store):
    result = trust_run(run, store, "val")
    known = result.record.passes["single"]["liver"]
    assert (known.threshold, known.temperature, known.good) == (None, None, 2)
    assert not (run / "trust.png").exists()


def test_runs_of_a_cross_validation_predict_their_own_folds(run, store, tmp_path):
    folder = tmp_path / "cv"
    for fold in range(3):
        _write_run(folder / f"fold_{fold + 1}", NAMES[3 * fold : 3 * fold + 3], NAMES[9:])
    write_json(folder / "crossval.json", {"runs": [f"fold_{k}" for k in (1, 2, 3)]})
    result = trust_run(folder, store)
    assert [one.fold for one in result.measured if one.passes == "single"] == [1] * 3 + [2] * 3 + (
        [3] * 3
    )
    assert result.record.passes["single"]["liver"].source == "cross-validation"
    ensemble = trust_run(folder, store, "test")  # what was measured before stays
    assert {one.case for one in ensemble.measured} == set(NAMES[9:])
    for fold in (1, 2, 3):
        record = RunRecord.read(folder / f"fold_{fold}").trust
        assert record == ensemble.record
        assert set(record.passes) == {"single", "mirrored", "ensemble"}
    shutil.rmtree(folder / "fold_3")
    _write_run(folder / "fold_3", NAMES[:1])
    with pytest.raises(LiverSegError, match="Received one that two runs share"):
        trust_run(folder, store)
    write_postprocessing(folder / "fold_3", PostProcessing(largest=("liver",)))
    with pytest.raises(LiverSegError, match="with the same post-processing"):
        trust_run(folder, store)


def test_cases_that_the_run_has_learnt_from_are_not_measured(tmp_path, store, run):
    _write_run(tmp_path / "all", ())
    with pytest.raises(LiverSegError, match="without validation and test cases"):
        trust_run(tmp_path / "all", store)
    with pytest.raises(LiverSegError, match="Expected a region of liver"):
        trust_run(run, store, None, module.TrustSettings(min_dice_of={"spleen": 0.5}))


def test_cases_that_label_no_region_of_the_model_are_refused(run, store, monkeypatch):
    spleen = Annotation(Regions({"spleen": (3,)}))
    monkeypatch.setattr(measure_cases, "read_annotation", lambda record: spleen)
    with pytest.raises(LiverSegError, match="Expected cases with masks of liver"):
        trust_run(run, store, "val")
    assert not RunRecord.read(run).trust


def test_another_post_processing_makes_the_measurement_obsolete(run, store):
    trust_run(run, store, "val")
    write_postprocessing(run, PostProcessing())
    assert RunRecord.read(run).trust
    write_postprocessing(run, PostProcessing(threshold=(("liver", 0.4),)))
    assert not RunRecord.read(run).trust
    assert "trust" not in read_json(run / "run.json")
