"""What the model knows about its own masks, in the report, the scores and the viewer."""

import json

import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskCheck, MaskRecord, MaskRecords
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.report.reliability_plot import plot_reliability
from liverseg_tf.evaluate.report.tables import scores_json
from liverseg_tf.evaluate.report.write_report import ReportSpec, write_report

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])
SCORING = Scoring(regions=Regions({"liver": (1,)}), distances=False)


@pytest.fixture
def work(tmp_path):
    """Six cases with probabilities, of which the model flagged one that is bad."""
    labels = np.zeros((4, 16, 16), np.uint8)
    labels[:, 4:12, 4:12] = 1
    for number in range(6):
        name, is_bad = f"case_{number}", number == 2
        rng = np.random.default_rng(number)
        image = np.where(labels == 1, 60, -80) + rng.integers(-20, 20, labels.shape)
        predicted = np.roll(labels, 5, 1) if is_bad else labels
        write_volume(tmp_path / f"set/images/{name}.nii.gz", Volume(image.astype(np.int16), AFFINE))
        write_labels(tmp_path / f"set/masks/{name}.nii.gz", Volume(labels, AFFINE))
        write_labels(tmp_path / f"out/{name}.nii.gz", Volume(predicted, AFFINE))
        saved = f"probabilities/liver/{name}.nii.gz"
        values = np.rint(255 * np.where(predicted == 1, 0.8, 0.1)) / 255
        write_volume(tmp_path / "out" / saved, Volume(values.astype(np.float32), AFFINE))
        value = 0.7 if is_bad else 0.95
        check = MaskCheck("liver", "confidence", value, 0.9, is_bad)
        record = MaskRecord({}, checks=(check,))
        MaskRecords(tmp_path / "out").write(name, record, {f"{name}.nii.gz", saved})
    return tmp_path


def test_flagged_masks_and_the_reliability_are_reported(work):
    evaluation = evaluate_folder(work / "set", work / "out", SCORING)
    assert write_report(evaluation, work / "scores", ReportSpec(viewers=True)) == []
    page = (work / "scores/report.html").read_text()
    assert "Masks that the model flagged" in page
    assert "liver: 1 of 6 masks flagged; mean Dice 0.375 of these, 1.000 of the others" in page
    assert "liver: confidence 0.700 below 0.900" in page
    assert "Reliability of the saved probabilities" in page
    scores = scores_json(evaluation)
    assert [one["check"] for one in scores["trust"]].count(True) == 1
    curve = scores["reliability"]["regions"]["liver"]
    assert curve["voxels"] == [6 * 768, 6 * 256]
    assert curve["frequency"] == pytest.approx([160 / 4608, 1376 / 1536])
    json.dumps(scores, allow_nan=False)
    flagged = (work / "scores/viewer/case_2.html").read_text()
    assert "liver: confidence 0.700 below 0.900: check this mask" in flagged
    assert '"alerts": []' in (work / "scores/viewer/case_1.html").read_text()


def test_fewer_than_five_cases_have_no_diagram(work):
    for name in ("case_4", "case_5"):
        (work / f"out/{name}.nii.gz").unlink()
        (work / f"set/masks/{name}.nii.gz").unlink()
    evaluation = evaluate_folder(work / "set/masks", work / "out", SCORING)
    assert plot_reliability(evaluation) is None
    assert "reliability" not in scores_json(evaluation)
    write_report(evaluation, work / "scores")
    assert "plots left out" in (work / "scores/report.html").read_text()
    assert "Reliability of" not in (work / "scores/report.html").read_text()


def test_masks_without_a_record_say_nothing(work):
    evaluation = evaluate_folder(work / "set/masks", work / "set/masks", SCORING)
    scores = scores_json(evaluation)
    assert "trust" not in scores
    assert "reliability" not in scores
    write_report(evaluation, work / "scores")
    assert "flagged" not in (work / "scores/report.html").read_text()
