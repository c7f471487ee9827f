import copy
import json
import random

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import (
    RunRecord,
    read_finished_run,
    write_postprocessing,
    write_run_record,
)
from liverseg_tf.model.spec import NetworkSpec

SPLIT = {"train": ["a", "b"], "val": ["c"], "test": []}


@pytest.fixture
def run(tmp_path):
    """A folder with the record of a run, without a model."""
    write_run_record(tmp_path, NetworkSpec(context=3), "tensorflow", store={"split": SPLIT})
    return tmp_path


def test_a_record_round_trip(run):
    assert RunRecord.read(run) == RunRecord(NetworkSpec(context=3), SPLIT)
    steps = PostProcessing(largest=("liver",))
    write_postprocessing(run, steps)
    assert RunRecord.read(run).postprocessing == steps
    assert read_finished_run(run) is None
    assert read_finished_run(run / "nowhere") is None


def test_a_run_without_augmentation_was_not_mirrored(run):
    for settings, mirrored in (
        ({"mirror": True}, True),
        ({"mirror": True, "augment": 0.5}, True),
        ({"mirror": True, "augment": 0.0}, False),
        ({}, False),
    ):
        write_run_record(
            run, NetworkSpec(), "tensorflow", store={"split": SPLIT}, settings=settings
        )
        assert RunRecord.read(run).mirrored == mirrored


def test_the_representation_is_one_line():
    record = RunRecord(NetworkSpec(), SPLIT, PostProcessing(largest=("liver",)), mirrored=True)
    assert repr(record) == (
        "RunRecord(regions: liver, tumour; cases: 2 train, 1 val, 0 test; "
        "post-processing: largest liver; mirrored: yes)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"^Expected a run of format 1 at .* Received format 2\.$"),
        (
            {"store": {}},
            r"^Expected .*run\.json\. Received .* \$\.store: object missing .* field split",
        ),
        ({"store": {"split": {"train": []}}}, r"\$\.store\.split: .* field val"),
        ({"store": {"split": SPLIT | {"val": [1]}}}, r"\$\.store\.split\.val\[0\]: "),
        ({"settings": None}, r"\$\.settings: expected object, got null"),
        ({"settings": {"mirror": 1}}, r"\$\.settings\.mirror: "),
        ({"hardware": {"precision": "int4"}}, r"\$\.hardware\.precision: "),
        ({"result": 3}, r"\$\.result: "),
        ({"network": {}}, r"^Expected .* field tiles\. \(file .*run\.json\)$"),
        ({"postprocessing": {"largest": ["lung"]}}, r"Received 'lung'\. \(file .*run\.json\)$"),
    ],
)
def test_errors_name_the_file_in_one_line(run, change, message):
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(LiverSegError, match=message):
        RunRecord.read(run)


def test_an_unfinished_run_is_told(run):
    record = RunRecord.read(run)
    (line,) = record.warnings(run)
    assert "has not finished" in line
    with pytest.raises(LiverSegError, match=r"Expected a finished run at .* --unfinished"):
        record.check_finished(run)
    write_run_record(run, NetworkSpec(), "tensorflow", store={"split": SPLIT}, result={})
    assert RunRecord.read(run).warnings(run) == ()
    RunRecord.read(run).check_finished(run)
    assert read_finished_run(run) is not None


HOSTILE = (
    None, True, -1, 0, 3, 32_768, 200_001, 10**30, 1.5, -1e308, "", "x", "\x1b[2J", [], {}, [[]],
    [None], {"a": 1}, ["a"] * 3, [1, 2],
)  # fmt: skip


def test_no_record_raises_another_error(run):
    """Every entry of a record is replaced by values of other types and ranges."""
    draw, path = random.Random(1), run / "run.json"
    steps = PostProcessing(largest=("liver",), threshold=(("liver", 0.4),))
    write_postprocessing(run, steps)
    good = json.loads(path.read_text()) | {
        "settings": {"mirror": False},
        "hardware": {"precision": "float32"},
        "result": {"checksum": "0"},
    }
    refused = 0
    for _ in range(1000):
        value = copy.deepcopy(good)
        for _ in range(draw.randint(1, 2)):
            _replace_entry(value, draw)
        path.write_text(json.dumps(value))
        refused += _is_refused_in_one_line(run)
    assert 400 < refused < 1000


def _replace_entry(value, draw):
    """Replace or remove an entry of nested dictionaries and lists, at any depth."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = draw.choice(keys)
    if isinstance(value[key], dict | list) and draw.random() < 0.8:
        _replace_entry(value[key], draw)
    elif draw.random() < 0.2:
        del value[key]
    else:
        value[key] = draw.choice(HOSTILE)


def _is_refused_in_one_line(run):
    try:
        RunRecord.read(run)
    except LiverSegError as error:
        return "\n" not in str(error)
    return False
