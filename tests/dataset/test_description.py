import json

import pytest

from liverseg_tf.dataset.description import read_description

LABELS = [  # names of the labels from 1 on; regions that are learnt, None for liver and tumour
    (["liver", "cancer"], None),
    (["Liver"], None),
    (["liver", "tumour", "spleen", "kidneys"], None),
    (["spleen"], {"spleen": [1]}),
    (["pancreas", "cancer"], {"pancreas": [1, 2], "cancer": [2]}),
    (["liver", "spleen"], {"liver": [1], "spleen": [2]}),
    (["spleen", "rkid", "liver"], {"spleen": [1], "rkid": [2], "liver": [3]}),
    (["Vessel", "Tumour"], {"Vessel": [1], "Tumour": [2]}),
    ([], None),
]


@pytest.mark.parametrize(("names", "learnt"), LABELS)
def test_no_label_is_called_liver_that_is_none(tmp_path, names, learnt):
    labels = {"0": "background"} | {str(label): name for label, name in enumerate(names, 1)}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "training": []}))
    regions = read_description(tmp_path).learnt_regions
    assert (None if regions is None else regions.to_json()) == learnt
