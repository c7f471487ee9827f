import json

import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.bundles.read_scores import read_score_tables


def test_mean_scores_become_a_table_without_names_of_cases(tmp_path):
    scores = {"dice": {"mean": 0.95, "n": 2}, "hd95_mm": {"mean": None, "n": 0}, "x": {"mean": 1}}
    summary = {"lits": {}, "nnunet": {"liver": scores}}
    rows = [{"case": "Mueller_Hans"}, {"case": "b"}]
    folder = tmp_path / "external"
    folder.mkdir()
    (folder / "scores.json").write_text(json.dumps({"summary": summary, "rows": rows}))
    assert read_score_tables([folder]) == {
        "Mean scores on 2 cases (external)": (
            "| region | cases | dice |\n| --- | --- | --- |\n| liver | 2 | 0.95 |"
        )
    }
    (folder / "scores.json").write_text("{}")
    with pytest.raises(LiverSegError, match="Expected the scores of `liverseg evaluate`"):
        read_score_tables([folder])
