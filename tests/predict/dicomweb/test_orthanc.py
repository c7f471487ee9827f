"""Fetching from and storing in Orthanc, an archive that others wrote."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.predict.dicomweb.address import StudyAddress
from liverseg_tf.predict.dicomweb.archive import Archive
from liverseg_tf.predict.dicomweb.fetch_study import fetch_study
from liverseg_tf.predict.dicomweb.store_results import store_results
from liverseg_tf.predict.outputs.case_outputs import OutputFormats, SegmentedCase, write_outputs
from liverseg_tf.predict.outputs.dicom_header import DicomHeader

hd = pytest.importorskip("highdicom")
pytest.importorskip("dicomweb_client")
pytestmark = pytest.mark.slow


@pytest.fixture
def orthanc(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    import orthanc

    if orthanc.find_orthanc() is None:
        pytest.skip("Orthanc is not installed")
    running = orthanc.Orthanc(tmp_path / "orthanc", orthanc.free_port())
    yield running
    running.stop()


def test_results_go_to_orthanc_and_come_back(orthanc, make_volumes, write_series, tmp_path):
    image, labels = make_volumes()
    orthanc.push(sorted(write_series(tmp_path / "ct", image).iterdir()))
    (source,) = find_series(tmp_path / "ct")
    address = f"dicomweb://127.0.0.1:{orthanc.http_port}/dicom-web/studies/1.2.3.4"
    (tmp_path / "fetched").mkdir()
    with Archive(StudyAddress.parse(address)) as archive:
        fetched = fetch_study(archive, tmp_path / "fetched", "CT")
        (series,) = fetched.images.values()
        volume = read_series(series)
        np.testing.assert_array_equal(volume.array, read_series(source).array)
        case = SegmentedCase(series, volume, volume.with_array(labels.array), LIVER_REGIONS)
        outputs = OutputFormats(("seg", "rtstruct", "sc"), header=DicomHeader(uid_seed="a"))
        results = write_outputs(tmp_path / "out", "a", case, outputs)
        assert store_results(archive, results) == (len(results), 0)
        assert store_results(archive, results) == (0, len(results))
    (content,) = orthanc.fetch("1.2.3.4", "SEG")
    seg = hd.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(content)))
    files = [pydicom.dcmread(file, stop_before_pixels=True) for file in source.files]
    files.sort(key=lambda file: file.ImagePositionPatient[2])
    masks = seg.get_pixels_by_source_instance(
        [file.SOPInstanceUID for file in files], assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(masks.astype(bool), LIVER_REGIONS.masks(labels.array))
    assert len(orthanc.fetch("1.2.3.4", "OT")) == len(results) - 2
    assert len(orthanc.fetch("1.2.3.4", "RTSTRUCT")) == 1
