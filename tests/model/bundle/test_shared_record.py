import json

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.bundle.shared_record import check_names_nobody, make_shared_record
from liverseg_tf.model.spec import NetworkSpec

CASES = {"train": ["Mueller_Hans", "case_1"], "val": ["liver"], "test": ["7"]}


@pytest.fixture
def run(tmp_path):
    record = {
        "format": 1,
        "network": NetworkSpec().to_json(),
        "settings": {
            "regions": {"liver": [1, 2], "tumour": [2]},
            "mirror": True,
            "loss": "dice-ce",
            "transforms": ["affine", "noise"],
            "init_from": "/home/hans/run",
            "encoder_weights": "/data/Mueller_Hans.bin",
            "slices": {"Mueller_Hans": [1]},
            "notes": ["affine", "Mueller_Hans"],
        },
        "hardware": {"precision": "bfloat16", "device": "gpu of hans"},
        "store": {"split": CASES, "checksums": {"Mueller_Hans": "ff"}, "folder": "/data/store"},
        "result": {"dice": {"liver": 0.9}, "validated_on": ["liver"], "steps": 5, "checksum": "a"},
        "versions": {"keras": "3.15.1", "home": "/home/hans"},
        "custom": {"loss": {"import_path": "hans.losses"}},
        "new section": {"Mueller_Hans": 1},
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path


def test_nothing_of_patients_and_places_is_kept(run):
    shared = make_shared_record(run, "checksum")
    text = json.dumps(shared).casefold()
    assert not any(word in text for word in ("hans", "case_1", "/data", "/home", "mueller"))
    assert shared["settings"] == {
        "mirror": True,
        "loss": "dice-ce",
        "transforms": ["affine", "noise"],
        "regions": {"liver": [1, 2], "tumour": [2]},
    }
    assert shared["store"] == {"split": {"train": [], "val": [], "test": []}}
    assert shared["result"] == {
        "dice": {"liver": 0.9},
        "steps": 5,
        "seconds": None,
        "checksum": "checksum",
    }
    assert shared["versions"] == {"keras": "3.15.1"}


def test_it_is_known_what_the_training_cases_were_like(run):
    liver = {"cases": 3, "present": 3, "volume_ml": [900, 1500], "case": "Mueller_Hans"}
    known = {"cases": 3, "slice_mm": [1, 5], "names": ["Mueller_Hans"], "regions": {"liver": liver}}
    record = json.loads((run / "run.json").read_text()) | {"training_range": known}
    (run / "run.json").write_text(json.dumps(record))
    shared = make_shared_record(run, "checksum")["training_range"]
    assert shared["slice_mm"] == (1, 5)
    assert shared["regions"]["liver"]["volume_ml"] == (900, 1500)
    assert "Hans" not in json.dumps(shared)
    record["training_range"]["regions"] = {"Mueller_Hans": liver}
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(LiverSegError, match="Expected a region of liver, tumour"):
        make_shared_record(run, "checksum")


def test_it_is_known_when_not_to_trust_a_mask(run):
    """Numbers and names of regions: nothing else of the section is kept, and none that is wrong."""
    trust = {"passes": {"single": {"liver": {"score": "confidence", "source": "test"}}}}
    record = json.loads((run / "run.json").read_text()) | {"trust": trust}
    record["trust"]["passes"]["single"]["liver"] |= {"threshold": 0.9, "case": "Mueller_Hans"}
    (run / "run.json").write_text(json.dumps(record))
    shared = make_shared_record(run, "checksum")
    assert shared["trust"]["passes"]["single"]["liver"]["threshold"] == 0.9
    assert "Hans" not in json.dumps(shared)
    record["trust"]["passes"]["single"]["Mueller_Hans"] = trust["passes"]["single"]["liver"]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(LiverSegError, match="Expected a region of liver, tumour"):
        make_shared_record(run, "checksum")


@pytest.mark.parametrize("text", ["(mueller_hans)", "Case_1 fails", "x case_1\n"])
def test_texts_that_name_a_case_are_refused(run, text):
    with pytest.raises(LiverSegError, match=r"name of a case in README\.md"):
        check_names_nobody({"README.md": text}, run)


def test_other_texts_pass(run):
    check_names_nobody({"README.md": "The liver of case_12 in 7 cases; showcase_1"}, run)
