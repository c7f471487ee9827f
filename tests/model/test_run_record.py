import json

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
        ({"store": {}}, r"^Expected a complete record in .*, but the entry 'split' is missing\.$"),
        ({"settings": None}, r"but an entry has a wrong type\.$"),
        ({"network": {}}, r"^Expected a network specification .* 'tiles'\. \(file .*run\.json\)$"),
        ({"postprocessing": {"largest": ["lung"]}}, r"Received 'lung'\. \(file .*run\.json\)$"),
    ],
)
def test_errors_name_the_file_in_one_line(run, change, message):
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(LiverSegError, match=message):
        RunRecord.read(run)
