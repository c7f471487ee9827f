import csv

import numpy as np
import pytest

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.predict.outputs.case_outputs import OutputFormats, SegmentedCase, write_outputs
from liverseg_tf.predict.outputs.dicom_header import DicomHeader
from liverseg_tf.predict.outputs.measurement_table import (
    describe_volumes,
    write_measurement_table,
)

HEADER = DicomHeader(ModelIdentity("m", "2", "abc"))


def _measure(folder, name, make_volumes, label=None):
    image, labels = make_volumes(affine=np.diag([-8.0, -8.0, 5.0, 1.0]))
    if label is not None:
        labels = labels.with_array(np.full_like(labels.array, label))
    case = SegmentedCase(folder / "ct.nii.gz", image, labels, LIVER_REGIONS, {"liver": 0.5})
    written = write_outputs(folder, name, case, OutputFormats((), True, HEADER))
    MaskRecords(folder).write(name, MaskRecord({}), {path.name for path in written})
    return labels


def _read(folder):
    with open(write_measurement_table(folder), newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_holds_every_region_of_every_case(make_volumes, tmp_path):
    labels = _measure(tmp_path, "b", make_volumes)
    _measure(tmp_path, "=a", make_volumes, label=0)
    rows = _read(tmp_path)
    cases = [(row["case"], row["region"]) for row in rows]
    assert cases == [(name, region) for name in ("'=a", "b") for region in LIVER_REGIONS.names]
    assert (rows[0]["volume_ml"], rows[0]["intensity_mean"], rows[0]["voxels"]) == ("0.0", "", "0")
    assert float(rows[2]["volume_ml"]) == pytest.approx((labels.array > 0).sum() * 0.32)
    assert (rows[2]["model"], rows[2]["version"], rows[2]["fingerprint"]) == ("m", "2", "abc")
    assert (rows[2]["agreement"], rows[3]["agreement"]) == ("0.5", "")


def test_cases_that_were_not_measured_are_left_out(make_volumes, tmp_path):
    _measure(tmp_path, "a", make_volumes)
    _measure(tmp_path, "broken", make_volumes)
    write_json(tmp_path / "broken.json", {"regions": 5})
    write_json(tmp_path / "stray.json", {"regions": {}})
    (tmp_path / "mask").touch()
    MaskRecords(tmp_path).write("mask", MaskRecord({}), {"mask"})
    assert {row["case"] for row in _read(tmp_path)} == {"a"}
    assert describe_volumes(tmp_path, "broken") is None


def test_a_case_is_one_line(make_volumes, tmp_path):
    labels = _measure(tmp_path, "a", make_volumes)
    liver, tumour = ((labels.array >= n).sum() * 0.32 for n in (1, 2))
    assert describe_volumes(tmp_path, "a") == f"liver {liver:.0f} ml, tumour {tumour:.1f} ml"
    _measure(tmp_path, "cut", make_volumes, label=1)
    assert "ml (cut: inferior, superior, anterior" in describe_volumes(tmp_path, "cut")
