import json

import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_cases import add_training_range, describe_training_cases
from liverseg_tf.model.training_range import RegionRange, TrainingRange, combine_ranges
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

REGIONS = Regions({"liver": (1, 2), "tumour": (2,), "spleen": (3,)})
SPEC = TileSpec(spacing_mm=None, tile_shape=(32, 32))
TUMOURS_ONLY = Annotation(Regions({"tumour": (2,)}))


def _record(spacing, sizes, first_slice=2, annotation=Annotation()):
    """Record of a case with a block of voxels of each label; axes in the order of the file."""
    array = np.zeros((8, 20, 20), np.uint8)
    for label, size in sizes.items():
        array[first_slice, label, :size] = label
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    image = Volume(np.zeros(array.shape, np.int16), affine)
    tiles = cut_tiles(image, Volume(array, affine), SPEC, annotation)
    entries = {"guessed_geometry": False}
    if annotation.labelled is not None:
        entries["annotation"] = annotation.to_json()
    return tiles.record | entries


@pytest.fixture
def records():
    return {
        "Mueller_Hans": _record((5.0, 0.8, 0.8), {1: 10, 2: 5, 3: 4}),
        "Meier": _record((2.5, 1.0, 1.2), {1: 20}, first_slice=7),
        "part": _record((2.0, 1.0, 1.0), {2: 6}, annotation=TUMOURS_ONLY),
    }


def test_spacing_and_volumes_of_the_training_cases(records):
    known = TrainingRange.measure(list(records.values()), REGIONS)
    assert (known.cases, known.slice_mm, known.pixel_mm) == (3, (2.0, 5.0), (0.8, 1.2))
    # 15 voxels of 3.2 mm³ and 20 of 3 mm³; the third mask tells nothing about the liver
    assert known.regions["liver"] == RegionRange(2, 2, 1, (0.048, 0.06))
    assert (known.regions["tumour"].cases, known.regions["tumour"].present) == (3, 2)
    assert (known.regions["spleen"].cases, known.regions["spleen"].present) == (2, 1)
    assert TrainingRange.from_json(json.loads(json.dumps(known.to_json()))) == known
    assert "Mueller" not in json.dumps(known.to_json())


def test_cases_without_geometry_tell_nothing():
    record = _record((1.0, 1.0, 1.0), {1: 5}) | {"guessed_geometry": True}
    assert not TrainingRange.measure([record], REGIONS)
    assert TrainingRange().to_json() == {}
    assert TrainingRange().digest == ""


def test_the_cases_of_several_models_are_taken_together():
    first = TrainingRange(
        5, (3.0, 5.0), (0.7, 1.0), {"liver": RegionRange(5, 5, 0, (900.0, 1500.0))}
    )
    second = TrainingRange(
        2,
        (1.0, 1.0),
        (0.9, 1.3),
        {"liver": RegionRange(2, 0), "spleen": RegionRange(2, 2, 1, (50.0, 90.0))},
    )
    both = combine_ranges([first, second])
    assert (both.cases, both.slice_mm, both.pixel_mm) == (5, (1.0, 5.0), (0.7, 1.3))
    assert both.regions["liver"] == RegionRange(5, 5, 0, (900.0, 1500.0))
    assert both.regions["spleen"] == RegionRange(2, 2, 1, (50.0, 90.0))
    assert both.only(Regions({"liver": (1,)})).regions.keys() == {"liver"}
    assert not combine_ranges([first, TrainingRange()])


@pytest.mark.parametrize(
    "value",
    [
        {"cases": -1},
        {"cases": 1, "slice_mm": [5, 3]},
        {"cases": 1, "pixel_mm": ["Mueller", 3]},
        {"cases": 1, "regions": {"liver": {"cases": 1, "present": 2, "volume_ml": [1, 2]}}},
        {"cases": 1, "regions": {"liver": {"cases": 1, "present": 1}}},
    ],
)
def test_wrong_values_are_refused(value):
    with pytest.raises(LiverSegError, match="training_range"):
        TrainingRange.from_json(value)


@pytest.fixture
def store(tmp_path, records):
    return TileStore(tmp_path / "store", SPEC, cases=records)


def _write_run(folder, known):
    folder.mkdir()
    record = {
        "format": 1,
        "network": NetworkSpec(SPEC, REGIONS).to_json(),
        "store": {"split": {"train": ["Meier", "gone"], "val": [], "test": []}},
        "training_range": known.to_json(),
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_a_fine_tuned_model_also_knows_the_cases_of_the_earlier_one(tmp_path, store):
    own = describe_training_cases(store, ["Meier"], REGIONS)
    assert own.slice_mm == (2.5, 2.5)
    earlier = TrainingRange(
        30, (1.0, 2.0), (0.7, 0.8), {"liver": RegionRange(30, 30, 0, (900.0, 1500.0))}
    )
    run = _write_run(tmp_path / "run", earlier)
    both = describe_training_cases(store, ["Meier"], REGIONS, run)
    assert (both.cases, both.slice_mm) == (30, (1.0, 2.5))
    assert both.regions["liver"].volume_ml == (0.06, 1500.0)
    old = _write_run(tmp_path / "old", TrainingRange())
    assert describe_training_cases(store, ["Meier"], REGIONS, old) == own


def test_a_run_of_an_earlier_version_gets_the_section(tmp_path, store):
    run = _write_run(tmp_path / "old", TrainingRange())
    assert not RunRecord.read(run).training_range
    add_training_range(run, store)
    known = RunRecord.read(run).training_range
    assert known == describe_training_cases(store, ["Meier"], REGIONS)
    add_training_range(run, TileStore(tmp_path / "other", SPEC))  # it is there already
    assert RunRecord.read(run).training_range == known
