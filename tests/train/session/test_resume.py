import copy
import json
import random

import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.run_record import write_run_record
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.session.resume import is_finished, remove_leftovers
from liverseg_tf.train.settings import TrainSettings

SETTINGS = TrainSettings(base_filters=4)
HOSTILE = (None, True, -1, 10**30, 1e300, "", [], {}, [[]], {"a": 1}, ["x"])


@pytest.fixture
def finished(blob_store, tmp_path):
    """The folder of a finished run, without a model."""
    write_run_record(
        tmp_path / "run",
        NetworkSpec(blob_store.spec),
        "tensorflow",
        settings=SETTINGS.to_json(),
        store={"split": blob_store.split, "checksums": blob_store.checksums},
        result={"steps": 1},
    )
    return tmp_path / "run"


def test_a_finished_run_is_recognised_by_settings_split_and_tiles(blob_store, finished):
    assert is_finished(finished, blob_store, SETTINGS)
    assert not is_finished(finished / "nowhere", blob_store, SETTINGS)
    with pytest.raises(SettingsError, match=r"base_filters 4\. Received 8"):
        is_finished(finished, blob_store, TrainSettings(base_filters=8))


def test_leftovers_of_a_killed_process_are_removed(finished):
    for name in ("checkpoint.npz", ".lock", ".partial-0123abcd-run.json"):
        (finished / name).touch()
    remove_leftovers(finished)
    assert [path.name for path in finished.iterdir()] == ["run.json"]


def test_no_damaged_record_raises_another_error(blob_store, finished):
    draw, path = random.Random(3), finished / "run.json"
    good = json.loads(path.read_text())
    for _ in range(300):
        value = copy.deepcopy(good)
        section = value[draw.choice(["settings", "store", "result"])]
        parts = [part for part in section.values() if isinstance(part, dict) and part]
        place = draw.choice([section, *parts, value])
        place[draw.choice(list(place))] = draw.choice(HOSTILE)
        path.write_text(json.dumps(value))
        message = _refusal(finished, blob_store)
        assert message is None or "\n" not in message


def _refusal(folder, store):
    try:
        is_finished(folder, store, SETTINGS)
    except LiverSegError as error:
        return str(error)
    return None
