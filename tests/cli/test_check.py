import json
import re

import numpy as np
import pytest
from commands import run_liverseg

from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.tiles.store import TileStore

SMALL = ["--shape", 10, 56, 56, "--spacing", 24, 8, 8]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    assert run_liverseg("phantom", folder, "--count", 3, *SMALL).exit_code == 0
    return folder


@pytest.fixture
def broken(phantoms, tmp_path):
    """A data set in which phantom_001 has no geometry and the mask of phantom_002 is truncated."""
    for path in phantoms.rglob("*.*"):
        target = tmp_path / "set" / path.relative_to(phantoms)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for folder in ("imagesTr", "labelsTr"):
        path = tmp_path / "set" / folder / "phantom_001.nii.gz"
        write_volume(path, Volume(read_volume(path).array, np.eye(4)))
    path = tmp_path / "set/labelsTr/phantom_002.nii.gz"
    path.write_bytes(path.read_bytes()[:-50])
    return tmp_path / "set"


def _without_rules(output):
    """The lines of an output without the names of rules in brackets at their ends."""
    return [re.sub(r" \[[^]]+\]$", "", line) for line in output.splitlines()]


def _not_finite(name):
    raise AssertionError(f"{name} is no JSON")


def test_a_clean_data_set_has_exit_code_0(phantoms):
    done = run_liverseg("check", phantoms, "--workers", 2)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "3 cases: 0 errors, 0 warnings"
    for row in ("slices", "in-plane spacing, mm", "HU at 50 %", "liver, ml", "preprocess takes"):
        assert row in done.stdout
    assert max(map(len, _without_rules(done.output))) <= 80


def test_issues_are_printed_as_lines_and_errors_have_exit_code_1(broken, tmp_path):
    done = run_liverseg("check", broken, "--workers", 1, "--json", tmp_path / "found.json")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("error: phantom_001: header without geometry")
    assert lines[1].startswith("error: phantom_002: Expected a whole NIfTI file at ")
    assert lines[-1].startswith("3 cases: 2 errors, ")
    assert lines[0].endswith("[geometry]")
    assert all(len(line) <= 80 for line in _without_rules(done.stdout) if str(broken) not in line)
    found = json.loads((tmp_path / "found.json").read_text(), parse_constant=_not_finite)
    assert [(f["severity"], f["case"]) for f in found["issues"]][:2] == [
        ("error", "phantom_001"),
        ("error", "phantom_002"),
    ]
    assert sorted(found["cases"]) == ["phantom_000", "phantom_001"]
    assert found["estimate"]["store_bytes"] > 10 * 256 * 256 * 2
    assert {row["name"] for row in found["summary"]} >= {"slices", "liver, ml"}


@pytest.mark.usefixtures("in_this_process")
def test_only_json_on_standard_output(broken):
    done = run_liverseg("check", broken, "--workers", 1, "--json", "-")
    assert done.exit_code == 1
    found = json.loads(done.stdout, parse_constant=_not_finite)
    assert found["issues"][0]["kind"] == "geometry"
    assert "error: phantom_001" in done.stderr
    assert "3 cases: 2 errors" in done.stderr


@pytest.mark.usefixtures("in_this_process")
def test_no_case_can_be_read(broken):
    for path in (broken / "imagesTr").iterdir():
        path.write_bytes(b"")
    done = run_liverseg("check", broken, "--workers", 1, "--json", "-")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["cases"], found["summary"], found["estimate"]) == ({}, [], None)


@pytest.mark.usefixtures("in_this_process")
def test_corrections_on_the_command_line_and_in_a_file(broken, tmp_path):
    options = ["--orientation", "*_001=LPS", "--spacing-of", "*_001=8,8,24", "--workers", 1]
    done = run_liverseg("check", broken, *options)
    assert "geometry" not in done.output
    config = tmp_path / "fix.toml"
    config.write_text(
        '[preprocess]\norientation = ["*_001=LPS"]\nspacing-of = ["*_001=8,8,24"]\n'
        "spacing = 6\ntile = 64\n"
    )
    done = run_liverseg(
        "--config", config, "preprocess", broken, tmp_path / "store", "--workers", 1
    )
    assert done.exit_code == 1, "phantom_002 is broken still"
    assert "geometry" not in done.output
    record = TileStore.open(tmp_path / "store").cases["phantom_001"]
    assert record["spacing_mm"] == [24, 8, 8]
    assert record["source"]["correction"]["orientation"] == "LPS"


@pytest.mark.usefixtures("in_this_process")
def test_preprocess_refuses_what_check_calls_an_error(broken, tmp_path):
    """The estimate is that of the cases that are cut, with and without --accept."""
    arguments = [broken, "--workers", 1, "--tile", 64]
    for accepted in ([], ["--accept", "geometry"]):
        found = tmp_path / "found.json"
        done = run_liverseg("check", *arguments, *accepted, "--json", found)
        assert done.exit_code == 1, "phantom_002 cannot be read"
        found = json.loads(found.read_text())
        errors = {issue["case"] for issue in found["issues"] if issue["severity"] == "error"}
        store = tmp_path / f"store{len(accepted)}"
        done = run_liverseg(
            "preprocess", *arguments, *accepted, "--storage", "hdf5", "--overwrite", store
        )
        assert done.exit_code == 1
        cut = TileStore.open(store).cases
        assert cut.keys() == {f"phantom_00{n}" for n in range(3)} - errors
        written = sum(file.stat().st_size for file in (store / "cases").iterdir())
        assert found["estimate"]["store_bytes"] == pytest.approx(written, rel=0.1)
    assert "Warning: header without geometry" in done.stderr
    assert "[geometry] (case phantom_001)" in done.stderr
    assert cut["phantom_001"]["accepted"] == ["geometry"]
    done = run_liverseg("preprocess", *arguments, store)
    assert "(to use it all the same: --accept geometry). (case phantom_001)" in done.stderr
    assert TileStore.open(store).cases.keys() == {"phantom_000"}, "what was accepted is cut no more"


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--orientation", "nobody=LPS"], 2, "'nobody', which matches no case"),
        (["--spacing-of", "*=1,2"], 2, "three spacings"),
        (["--tile", "axb"], 2, "Expected --tile"),
        (["--channel", "-1"], 2, "-1"),
        (["--accept", "everything"], 2, "'everything' is not one of 'clipped'"),
        (["--layout", "lits"], 1, "Expected cases in"),
    ],
)
def test_wrong_usage(phantoms, options, code, says):
    done = run_liverseg("check", phantoms, *options)
    assert done.exit_code == code
    assert says in " ".join(done.output.split())


@pytest.mark.usefixtures("in_this_process")
def test_percentiles_are_for_mr(tmp_path):
    assert (
        run_liverseg("phantom", tmp_path, "--count", 1, "--modality", "mr", *SMALL).exit_code == 0
    )
    done = run_liverseg("check", tmp_path, "--workers", 1)
    assert "error: data set: images are MR, not CT: use --percentiles" in done.stdout
    assert "preprocess takes" not in done.stdout
    store = tmp_path / "store"
    done = run_liverseg("preprocess", tmp_path, store, "--workers", 1)
    assert done.exit_code == 1
    assert not store.exists()
    assert "images are MR, not CT" in done.stderr
    done = run_liverseg("preprocess", tmp_path, store, "--workers", 1, "--accept", "modality")
    assert done.exit_code == 0, done.output
    assert "Warning: images are MR, not CT" in done.stderr
    done = run_liverseg("check", tmp_path, "--workers", 1, "--percentiles", 0.5, 99.5)
    assert "not CT" not in done.stdout
    assert "value at 50 %" in done.stdout


def test_regions_that_cases_do_not_label(phantoms, tmp_path):
    """The same statement serves check and preprocess, which keeps it in the store."""
    done = run_liverseg("check", phantoms, "--workers", 1, "--labelled", "phantom_000=liver")
    assert done.exit_code == 1
    assert done.stdout.startswith(
        "error: phantom_000: label 2 (tumour) occurs, but --labelled does not list it for this case"
    )
    for texts, message in (
        (["nobody*=liver"], "'nobody*', which matches no case"),
        (["phantom_000=spleen"], "Received 'spleen' in 'phantom_000=spleen'"),
    ):
        done = run_liverseg("check", phantoms, "--labelled", *texts)
        assert done.exit_code == 2
        assert message in " ".join(done.output.split())
    regions = ["--region", "liver=1,2", "--region", "spleen=3"]
    labelled = ["--labelled", "phantom_00[01]=liver", "--workers", 1]
    done = run_liverseg("check", phantoms, *regions, *labelled)
    assert done.exit_code == 0, done.output
    assert "note: 2 cases, first phantom_000: spleen is not labelled (--labelled)" in done.stdout
    done = run_liverseg("preprocess", phantoms, tmp_path / "store", *regions, *labelled)
    assert done.exit_code == 0, done.output
    assert "Note: of 3 cases, labelled are spleen in 1." in done.stderr
    cases = TileStore.open(tmp_path / "store").cases
    assert cases["phantom_001"]["annotation"]["labelled"] == {"liver": [1, 2]}
    assert "annotation" not in cases["phantom_002"]
