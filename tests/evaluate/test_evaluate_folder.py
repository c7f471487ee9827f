import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.report.tables import write_tables
from liverseg_tf.locks import exclusive_lock
from liverseg_tf.printable import printable

AFFINE = np.diag([1.0, 2.0, 5.0, 1.0])  # 0.01 ml per voxel, RAS


def labels(liver=6, tumour=2):
    array = np.zeros((3, 4, 5), np.uint8)
    array.flat[:liver] = 1
    array.flat[:tumour] = 2
    return Volume(array, AFFINE)


def write(folder, **volumes):
    for name, volume in volumes.items():
        write_labels(folder / f"{name}.nii.gz", volume)
    return folder


def test_scores_by_hand(tmp_path):
    truth = write(tmp_path / "t", a=labels(6, 2), b=labels(6, 0))
    prediction = write(tmp_path / "p", a=labels(3, 1), b=labels(6, 0))
    calls = []
    evaluation = evaluate_folder(
        truth, prediction, on_case=lambda *progress: calls.append(progress)
    )
    assert calls == [("a", 1, 2), ("b", 2, 2)]
    assert [(result.case, result.region) for result in evaluation.results] == [
        ("a", "liver"),
        ("a", "tumour"),
        ("b", "liver"),
        ("b", "tumour"),
    ]
    liver, tumour, same, empty = (result.scores for result in evaluation.results)
    assert liver["dice"] == pytest.approx(6 / 9)
    assert liver["jaccard"] == pytest.approx(3 / 6)
    assert (liver["truth_ml"], liver["prediction_ml"]) == pytest.approx((0.06, 0.03))
    assert tumour["dice"] == pytest.approx(2 / 3)
    assert same["dice"] == empty["dice"] == 1.0
    assert evaluation.summary("nnunet")["tumour"]["dice"].n == 1
    assert evaluation.failures == evaluation.notes == ()
    write_tables(evaluation, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "scores.csv",
        "scores.json",
    ]


def test_custom_regions(tmp_path):
    truth = write(tmp_path / "t", a=labels(6, 2))
    prediction = write(tmp_path / "p", a=labels(6, 4))
    scoring = Scoring(regions=Regions({"healthy": (1,)}))
    (result,) = evaluate_folder(truth, prediction, scoring).results
    assert (result.overlap.truth_voxels, result.overlap.prediction_voxels) == (4, 2)


def test_invalid_cases_do_not_affect_the_others(tmp_path):
    names = ("good", "missing", "shape", "shift", "floats", "nan", "corrupt", "image", "lost")
    truth = write(tmp_path / "t", **{name: labels() for name in names})
    prediction = write(tmp_path / "p", good=labels(), extra=labels())
    moved = AFFINE.copy()
    moved[0, 3] = 0.5
    floats = labels().array.astype(np.float32)
    with_nan = floats.copy()
    with_nan[0, 0, 0] = np.nan
    for name, array, affine in (
        ("shape", np.zeros((3, 4, 6), np.uint8), AFFINE),
        ("shift", labels().array, moved),
        ("floats", floats + 0.5, AFFINE),
        ("nan", with_nan, AFFINE),
        ("image", np.full((3, 4, 5), -1024, np.int16), AFFINE),
    ):
        write_volume(prediction / f"{name}.nii.gz", Volume(array, affine))
    (prediction / "corrupt.nii.gz").write_bytes((truth / "good.nii.gz").read_bytes()[:60])
    write_labels(prediction / "lost.nii.gz", labels())
    (truth / "lost.nii.gz").write_bytes(b"")

    evaluation = evaluate_folder(truth, prediction)
    write_tables(evaluation, tmp_path / "out")

    assert {result.case for result in evaluation.results} == {"good"}
    assert [pair.case for pair in evaluation.pairs] == ["good"]
    failures = {failure.case: failure.message for failure in evaluation.failures}
    assert failures.keys() == {*names, "extra"} - {"good"}
    for case, expected in {
        "missing": "No prediction found for",
        "shape": r"one grid. Received the shapes \(5, 4, 3\) and \(6, 4, 3\)",
        "shift": "0.5 mm apart",
        "floats": "whole numbers",
        "nan": "whole numbers",
        "corrupt": "truncated",
        "image": "0 to 255",
        "lost": "NIfTI",
        "extra": "No ground truth found for",
    }.items():
        with pytest.raises(LiverSegError, match=expected):
            raise LiverSegError(failures[case])
        assert case in failures[case]
        assert "\n" not in failures[case]
    assert evaluation.notes == ()
    written = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {failure["case"] for failure in written["failures"]} == failures.keys()
    assert written["notes"] == []
    with open(tmp_path / "out" / "scores.csv") as stream:
        assert {row["case"] for row in csv.DictReader(stream)} == {"good"}


def test_floats_that_are_nearly_whole_numbers_are_scored(tmp_path):
    truth = write(tmp_path / "t", a=labels())
    near = Volume((labels().array * 0.99999).astype(np.float32), AFFINE)
    write_volume(tmp_path / "p" / "a.nii", near)
    evaluation = evaluate_folder(truth, tmp_path / "p")
    assert [result.scores["dice"] for result in evaluation.results] == [1.0, 1.0]


def test_two_files_one_of_which_cannot_be_read(tmp_path):
    truth = write(tmp_path / "t", a=labels()) / "a.nii.gz"
    (tmp_path / "b.nii.gz").write_text("not NIfTI")
    evaluation = evaluate_folder(truth, tmp_path / "b.nii.gz")
    assert evaluation.results == ()
    assert [failure.case for failure in evaluation.failures] == ["a"]


def test_output_folder_that_cannot_be_created(tmp_path):
    truth = write(tmp_path / "t", a=labels())
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    done = CliRunner().invoke(liverseg, ["evaluate", str(truth), str(truth), "--out", str(out)])
    assert done.exit_code == 1
    assert "out cannot be created" in done.output
    assert "evaluate:" not in done.output  # nothing was scored before
    with pytest.raises(LiverSegError, match="Expected to write"):
        write_tables(evaluate_folder(truth, truth), tmp_path / "file")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".nii"])
def test_masks_of_every_format_are_scored(tmp_path, suffix):
    sitk = pytest.importorskip("SimpleITK")
    truth = write(tmp_path / "t", a=labels(6, 2), b=labels(5, 1))
    image = sitk.ReadImage(truth / "a.nii.gz")
    for folder in ("p", "mixed"):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(image, tmp_path / folder / f"a{suffix}")
    write(tmp_path / "mixed", b=labels(5, 1))
    pairs = ((truth, "mixed"), (tmp_path / "mixed", "t"), (truth / "a.nii.gz", f"p/a{suffix}"))
    for one, other in pairs:
        evaluation = evaluate_folder(one, tmp_path / other)
        assert not evaluation.failures
        assert {result.scores["dice"] for result in evaluation.results} == {1.0}


def test_the_command_names_only_the_files_of_this_run(tmp_path):
    truth = write(tmp_path / "t", a=labels(6, 2))
    arguments = ["evaluate", str(truth), str(truth), "--out", str(tmp_path / "out"), "--no-report"]
    done = CliRunner().invoke(liverseg, [*arguments, "--protocol", "lits"])
    assert "lits.csv" in done.output
    done = CliRunner().invoke(liverseg, [*arguments, "--predicted-only"])
    assert done.exit_code == 0, done.output
    assert "lits.csv" not in done.output
    assert "0 cases" not in done.output
    assert not (tmp_path / "out" / "lits.csv").exists()


def test_names_that_are_commands_markup_or_formulas(tmp_path):
    names = ("=1+2", "[bold]x", b"caf\xe9\x1b[31m".decode(errors="surrogateescape"), "a#b?c%20")
    truth = write(tmp_path / "t", **dict.fromkeys(names, labels(6, 2)))
    done = CliRunner().invoke(
        liverseg, ["evaluate", str(truth), str(truth), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert "\x1b[31m" not in done.output
    assert "[bold]x" in done.output
    with open(tmp_path / "out" / "scores.csv", encoding="utf-8") as file:
        cases = {row["case"] for row in csv.DictReader(file)}
    assert cases == {"'=1+2", "[bold]x", "caf\\xe9\\x1b[31m", "a#b?c%20"}
    rows = json.loads((tmp_path / "out" / "scores.json").read_text())["rows"]
    assert {row["case"] for row in rows} == set(map(printable, names))
    assert "caf\\xe9\\x1b[31m" in (tmp_path / "out" / "report.html").read_text("utf-8")
    arguments = ["evaluate", str(truth), str(truth), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(liverseg, [*arguments, "--no-report", "--protocol", "nnunet"])
    assert done.exit_code == 0, done.output
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"scores.csv", "scores.json", "summary.json"}


def test_two_evaluations_do_not_mix_their_results(tmp_path):
    truth = write(tmp_path / "t", a=labels(6, 2))
    arguments = ["evaluate", str(truth), str(truth), "--out", str(tmp_path / "out"), "--no-report"]
    with exclusive_lock(tmp_path / "out" / ".evaluate.lock", "it"):
        done = CliRunner().invoke(liverseg, arguments)
    assert done.exit_code == 1
    assert "another run is writing it" in done.output
    assert not (tmp_path / "out" / "scores.csv").exists()
    assert CliRunner().invoke(liverseg, arguments).exit_code == 0
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["scores.csv", "scores.json"]


def test_cases_that_do_not_label_a_region_are_counted_and_left_out(tmp_path):
    truth = write(tmp_path / "t", a1=labels(6, 0), a2=labels(6, 0), b1=labels(6, 2))
    prediction = write(tmp_path / "p", a1=labels(6, 2), a2=labels(6, 0), b1=labels(6, 2))
    command = ["evaluate", str(truth), str(prediction), "--no-report", "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(liverseg, [*command, "--labelled", "a*=liver", "--workers", "1"])
    assert done.exit_code == 0, done.output
    note = "tumour: 2 of 3 cases left out, whose ground truth does not label it (a1, a2)."
    assert f"Note: {note}" in " ".join(done.output.split())
    assert "mean of 1  tumour" in done.output
    scores = json.loads((tmp_path / "o/scores.json").read_text())
    assert scores["notes"] == [note]
    assert scores["summary"]["lits"]["tumour"]["dice"]["n"] == 1
    assert scores["summary"]["lits"]["liver"]["dice"]["n"] == 3
    assert [row["case"] for row in scores["rows"] if row["region"] == "tumour"] == ["b1"]
    for protocol in ("nnunet", "msd"):
        regions = ["--region", "liver=1,2", "--region", "tumour=2", "--protocol", protocol]
        done = CliRunner().invoke(liverseg, [*command, "--labelled", "a*=liver", *regions])
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(liverseg, [*command, "--labelled", "a*=liver", "--protocol", "lits"])
    assert done.exit_code == 2
    assert "use another protocol" in done.output
