import json
import os

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.pairs import Pair, find_pairs


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def file_names(pairs):
    return [(p.case, p.truth and p.truth.name, p.prediction and p.prediction.name) for p in pairs]


def test_folders_are_paired_by_name_in_natural_order(tmp_path):
    truth = touch(tmp_path / "t", "c_10.nii.gz", "c_2.nii", "c_3.nii.gz", "._c_2.nii", "notes.txt")
    prediction = touch(tmp_path / "p", "c_2.nii.gz", "c_10.nii", "c_4.nii.gz")
    assert file_names(find_pairs(truth, prediction)) == [
        ("c_2", "c_2.nii", "c_2.nii.gz"),
        ("c_3", "c_3.nii.gz", None),
        ("c_4", None, "c_4.nii.gz"),
        ("c_10", "c_10.nii.gz", "c_10.nii"),
    ]


def test_two_files_are_a_pair_with_any_names(tmp_path):
    touch(tmp_path, "a.nii.gz", "b.nii")
    truth, prediction = tmp_path / "a.nii.gz", tmp_path / "b.nii"
    assert find_pairs(truth, prediction) == [Pair("a", truth, prediction)]


def test_single_file_is_paired_with_its_case_only(tmp_path):
    truth = touch(tmp_path / "t", "a.nii", "b.nii")
    prediction = touch(tmp_path / "p", "a.nii", "b.nii", "c.nii")
    expected = [("b", "b.nii", "b.nii")]
    assert file_names(find_pairs(truth / "b.nii", prediction)) == expected
    assert file_names(find_pairs(truth, prediction / "b.nii")) == expected


def test_lits_volumes_and_segmentations(tmp_path):
    truth = touch(tmp_path / "t", "pt1/volume-3.nii", "segmentations/segmentation-3.nii")
    prediction = touch(tmp_path / "p", "volume-3.nii.gz")
    expected = [
        Pair(
            "volume-3",
            truth / "segmentations/segmentation-3.nii",
            prediction / "volume-3.nii.gz",
            truth / "pt1/volume-3.nii",
        )
    ]
    assert find_pairs(truth, prediction) == expected


def test_lits_masks_without_images(tmp_path):
    truth = touch(tmp_path / "t", "segmentation-3.nii")
    for name in ("segmentation-3.nii.gz", "volume-3.nii.gz"):
        prediction = touch(tmp_path / name[:3], name)
        assert file_names(find_pairs(truth, prediction)) == [
            ("volume-3", "segmentation-3.nii", name)
        ]
        assert find_pairs(truth, prediction)[0].image is None


def test_masks_that_are_named_like_volumes(tmp_path):
    truth = touch(tmp_path / "t", "volume-3.nii.gz")
    prediction = touch(tmp_path / "p", "volume-3.nii.gz")
    assert len(find_pairs(truth, prediction)) == 1


def test_msd(tmp_path):
    truth = touch(tmp_path / "t", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
    entry = {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}
    (truth / "dataset.json").write_text(json.dumps({"training": [entry]}))
    (pair,) = find_pairs(truth, touch(tmp_path / "p", "a.nii"))
    assert pair.truth == truth / "labelsTr/a.nii.gz"
    assert pair.image == truth / "imagesTr/a.nii.gz"


def test_masks_named_like_the_images_of_nnunet(tmp_path):
    truth = touch(tmp_path / "t", "a.nii.gz", "b_0000.nii.gz", "c.nii.gz", "c_0000.nii.gz")
    prediction = touch(tmp_path / "p", "a_0000.nii.gz", "b.nii.gz", "c_0000.nii.gz")
    assert file_names(find_pairs(truth, prediction)) == [
        ("a", "a.nii.gz", "a_0000.nii.gz"),
        ("b_0000", "b_0000.nii.gz", "b.nii.gz"),
        ("c", "c.nii.gz", None),
        ("c_0000", "c_0000.nii.gz", "c_0000.nii.gz"),
    ]


def test_nnunet(tmp_path):
    parts = ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    truth = touch(tmp_path / "t", *parts, "imagesTs/b_0000.nii.gz", "labelsTs/b.nii.gz")
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1},
        "file_ending": ".nii.gz",
    }
    (truth / "dataset.json").write_text(json.dumps(content))
    prediction = touch(tmp_path / "p", "a.nii.gz", "b.nii.gz")
    for folder in (truth, truth / "labelsTr"):
        pair = find_pairs(folder, prediction)[0]
        assert (pair.truth, pair.image) == (truth / parts[1], truth / parts[0])
    (pair,) = find_pairs(truth / "labelsTs", prediction / "b.nii.gz")
    assert pair.image == truth / "imagesTs/b_0000.nii.gz"


def test_folder_layout_where_some_cases_have_no_mask(tmp_path):
    truth = touch(tmp_path / "t", "images/a.nii", "images/b.nii", "images/c.nii", "masks/a.nii")
    prediction = touch(tmp_path / "p", "a.nii", "b.nii")
    assert file_names(find_pairs(truth, prediction)) == [
        ("a", "a.nii", "a.nii"),
        ("b", None, "b.nii"),
    ]


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ("t", "missing", "no such file or folder"),
        ("missing", "t", "no such file or folder"),
        ("t", "empty", "Expected masks in"),
        ("empty", "t", "Expected masks in"),
        ("t", "other", r"cases of .*t \(a, b, c and 1 more\). Received x in .*other"),
        ("t", "twice", "one file per case"),
    ],
)
def test_files_that_cannot_be_paired(tmp_path, truth, prediction, message):
    touch(tmp_path / "t", "a.nii", "b.nii", "c.nii", "d.nii")
    touch(tmp_path / "other", "x.nii")
    touch(tmp_path / "twice", "a.nii", "a.nii.gz")
    touch(tmp_path / "empty", "notes.txt")
    with pytest.raises(LiverSegError, match=message):
        find_pairs(tmp_path / truth, tmp_path / prediction)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    touch(tmp_path, "b.nii")
    for truth, prediction in (("a.nii", "b.nii"), ("b.nii", "a.nii")):
        with pytest.raises(LiverSegError, match="Received a pipe or a device"):
            find_pairs(tmp_path / truth, tmp_path / prediction)
