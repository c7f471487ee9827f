import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.console import Console

from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.check.check_cases import check_cases
from liverseg_tf.dataset.check.issues import Issue, format_issues, sort_issues
from liverseg_tf.dataset.check.rules import CheckSettings
from liverseg_tf.dataset.check.summary import check_to_json, summarise_check, summary_table

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_summary_by_hand(tmp_path):
    for name, slices, liver_hu, tumour in (("a", 2, 50, 0), ("b", 4, 70, 3), ("c", 8, 90, 1)):
        image = np.full((slices, 10, 10), -1000, np.int16)
        labels = np.zeros(image.shape, np.uint8)
        labels[0, :4, :5] = 1
        image[labels == 1] = liver_hu
        labels[0, 0, :tumour] = 2
        affine = np.diag([-0.5, -1, 10, 1])
        write_volume(tmp_path / f"images/{name}.nii", Volume(image, affine))
        write_volume(tmp_path / f"masks/{name}.nii", Volume(labels, affine))
    checked = check_cases(find_cases(tmp_path), CheckSettings())
    rows = {row.name: row for row in summarise_check(checked, CheckSettings())}

    def row(name):
        found = rows[name]
        return found.cases, found.minimum, found.median, found.maximum

    assert row("slices") == (3, 2, 4, 8)
    assert row("slice spacing, mm") == (3, 10, 10, 10)
    assert row("in-plane spacing, mm") == (3, 1, 1, 1)
    assert row("HU at 50 %") == (3, -1000, -1000, -1000)
    assert row("liver, ml") == pytest.approx((3, 0.1, 0.1, 0.1))  # 20 voxels of 5 cubic mm
    assert row("liver, median HU") == (3, 50, 70, 90)
    assert row("tumour, ml") == pytest.approx((2, 0.005, 0.01, 0.015))
    assert row("tumour, median HU") == (2, 70, 80, 90)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(list(rows.values())))
    assert "liver, median HU" in console.export_text()


def test_order_and_format_of_issues():
    issues = [
        Issue("note", "padding", "c10", "padding"),
        Issue("warning", "cut", "c2", "cut"),
        Issue("note", "padding", "c2", "padding"),
        Issue("note", "no tumour", "c2", "no tumour"),
        Issue("error", "grid", "c10", "two\nlines"),
        Issue("error", "grid", "c2", "grid"),
        Issue("warning", "modality", None, "MR"),
    ]
    assert [issue.case for issue in sort_issues(issues)[:4]] == ["c2", "c10", None, "c2"]
    assert format_issues(issues) == [
        "error: c2: grid [grid]",
        "error: c10: two lines [grid]",
        "warning: data set: MR [modality]",
        "warning: c2: cut [cut]",
        "note: 2 cases, first c2: padding [padding]",
        "note: c2: no tumour [no tumour]",
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.data(),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
    st.sampled_from([np.int16, np.uint8, np.float32]),
)
def test_any_file_is_checked_and_gives_valid_json(tmp_path, data, shape, dtype):
    image = data.draw(hnp.arrays(dtype, shape))
    labels = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)))
    for folder, array in (("images", image), ("masks", labels)):
        write_volume(tmp_path / folder / "a.nii", Volume(array, np.diag([-1.0, -1.0, 3.0, 1.0])))
    checked = check_cases(find_cases(tmp_path), CheckSettings())
    assert all("Unexpected" not in issue.text for issue in checked.issues)
    found = check_to_json(checked, summarise_check(checked, CheckSettings()))
    json.dumps(found, allow_nan=False)
