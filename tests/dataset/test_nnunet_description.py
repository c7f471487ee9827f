"""The dataset.json of nnU-Net v2, which anybody may have written."""

from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.description import read_description
from liverseg_tf.dataset.nnunet_description import (
    is_nnunet_description,
    parse_nnunet_description,
    read_nnunet_description,
)
from liverseg_tf.errors import LiverSegError, SettingsError

FILE = Path("raw/Dataset042_Liver/dataset.json")
LABELS = {"background": 0, "liver": 1, "tumour": 2}
TUMOUR_REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [1, 3], "enhancing": 3}


def content(**changes):
    """A correct description with other entries; None leaves an entry out."""
    correct = {
        "channel_names": {"0": "CT"},
        "labels": LABELS,
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    return {key: value for key, value in (correct | changes).items() if value is not None}


def test_labels_channel_and_ending():
    described = parse_nnunet_description(content(), FILE)
    assert described.regions == Regions({"liver": [1], "tumour": [2]})
    assert (described.channels, described.file_ending) == (("CT",), ".nii.gz")
    assert (described.case_count, described.ignored) == (2, None)
    labels = {"tumour": [2], "background": 0, "ignore": 3, "liver": 1}
    described = parse_nnunet_description(content(labels=labels, numTraining=None), FILE)
    assert described.regions.names == ("liver", "tumour")
    assert (described.ignored, described.case_count) == (3, None)


def test_regions_write_the_labels_of_nnunet():
    """The order of classes decides which label a region gets, as in nnU-Net's own export."""
    changes = {"labels": TUMOUR_REGIONS | {"ignore": 4}, "regions_class_order": [2, 1, 3]}
    regions = parse_nnunet_description(content(**changes), FILE).regions
    assert regions == Regions({"whole": [2, 1, 3], "core": [1, 3], "enhancing": [3]})
    assert regions.written_labels == (2, 1, 3)
    masks = np.random.default_rng(0).random((9, 9, 9, 3)) > 0.5
    expected = np.zeros((9, 9, 9), np.uint8)
    for channel, label in enumerate([2, 1, 3]):  # as nnU-Net's LabelManager does
        expected[masks[..., channel]] = label
    np.testing.assert_array_equal(regions.labels_of(masks), expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": None}, "the entry labels"),
        ({"channel_names": None}, "the entry channel_names"),
        ({"file_ending": None}, "the entry file_ending"),
        ({"channel_names": ["CT"]}, "channel_names as an object"),
        ({"channel_names": {}}, "channel_names as an object"),
        ({"channel_names": {"1": "CT"}}, "channel_names as an object"),
        ({"channel_names": {"0": 1}}, "channel_names as an object"),
        ({"labels": ["liver"]}, "labels as an object"),
        ({"labels": {"0": "background", "1": "liver"}}, "'background': 0"),
        ({"labels": {"liver": 1}}, "'background': 0"),
        ({"labels": {"background": 0}}, "a label besides the background"),
        ({"labels": {"background": 1, "liver": 2}}, "0 as the label of the background"),
        ({"labels": {"background": [0], "liver": 1}}, "0 as the label of the background"),
        ({"labels": LABELS | {"spleen": "3"}}, 'for spleen in .* "3"'),
        ({"labels": LABELS | {"spleen": True}}, "for spleen in .* true"),
        ({"labels": LABELS | {"spleen": 3.0}}, "for spleen"),
        ({"labels": LABELS | {"spleen": 300}}, "for spleen"),
        ({"labels": LABELS | {"spleen": -1}}, "for spleen"),
        ({"labels": LABELS | {"spleen": [0, 3]}}, "for spleen"),
        ({"labels": LABELS | {"spleen": []}}, "for spleen"),
        ({"labels": LABELS | {"spleen": 2}}, "2 for tumour and spleen"),
        ({"labels": LABELS | {"spleen": 4}}, r"consecutive labels .* 0, 1, 2, 4\."),
        ({"labels": LABELS | {"ignore": 2}}, "the highest label"),
        ({"labels": LABELS | {"ignore": 0}}, "the highest label"),
        ({"labels": LABELS | {"ignore": 4}}, r"0, 1, 2, 4\."),
        ({"labels": LABELS | {"ignore": [3]}}, "one number as the label to ignore"),
        ({"labels": LABELS | {"a\x1b[2J": 3}}, r"control characters.*\\x1b"),
        ({"labels": LABELS | {"": 3}}, "empty name"),
        ({"labels": TUMOUR_REGIONS}, "regions_class_order with 3 labels"),
        ({"labels": TUMOUR_REGIONS, "regions_class_order": [1, 2]}, "with 3 labels"),
        ({"labels": TUMOUR_REGIONS, "regions_class_order": {"1": 2}}, "with 3 labels"),
        ({"labels": TUMOUR_REGIONS, "regions_class_order": [2, 2, 3]}, "with 3 labels"),
        ({"labels": TUMOUR_REGIONS, "regions_class_order": [3, 1, 2]}, r"such as 2, 1, 3"),
        (
            {"labels": {"background": 0, "t": 2, "l": [1, 2]}, "regions_class_order": [2, 1]},
            "larger regions before those inside them .* t before l",
        ),
        ({"file_ending": ".png"}, "a file_ending of .nii.gz, .nii, .*png"),
        ({"file_ending": 7}, "a file_ending of"),
        ({"file_ending": "/etc/passwd"}, "a file_ending of"),
        ({"numTraining": "two"}, "the number of cases as numTraining"),
        ({"numTraining": -1}, "the number of cases as numTraining"),
        ({"dataset": ["a"]}, "as dataset"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(changes, words):
    with pytest.raises(LiverSegError, match=words) as error:
        parse_nnunet_description(content(**changes), FILE)
    assert "\n" not in str(error.value)
    assert str(FILE) in str(error.value)
    assert len(str(error.value)) < 400


def test_which_descriptions_are_of_nnunet_v2():
    assert is_nnunet_description(content())
    assert is_nnunet_description(content(channel_names=None))
    assert is_nnunet_description(content(training=[]))  # left over from a conversion
    assert not is_nnunet_description({"modality": {"0": "CT"}, "training": []})
    assert not is_nnunet_description(content(modality={"0": "CT"}, training=[]))


def test_other_descriptions_are_refused(tmp_path):
    (tmp_path / "dataset.json").write_text('{"modality": {}, "labels": {}, "training": []}')
    with pytest.raises(LiverSegError, match=r"--layout msd .* of nnU-Net v1"):
        read_nnunet_description(tmp_path)


def test_the_label_to_ignore(tmp_path):
    text = '{"channel_names": {"0": "CT"}, "file_ending": ".nii", "labels": '
    (tmp_path / "dataset.json").write_text(text + '{"background": 0, "liver": 1, "ignore": 2}}')
    description = read_description(tmp_path)
    assert (description.choose_ignored(None), description.choose_ignored(2)) == (2, 2)
    with pytest.raises(SettingsError, match=r"--ignore 2, .*Received 255\."):
        description.choose_ignored(255)
    (note,) = description.find_issues([])
    assert note.text == "label 2 is ignored, as dataset.json says (--ignore 2)"
