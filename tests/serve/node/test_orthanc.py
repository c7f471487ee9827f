"""The node beside an Orthanc: images are routed to it, and its results are fetched by DICOMweb."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from liverseg_tf.ct.dicom.series import find_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.predict.api import segment
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.serve.node.network.peer import Peer
from liverseg_tf.serve.node.segment_series import SeriesSegmenter
from liverseg_tf.serve.node.settings import Results

pytestmark = pytest.mark.slow


@pytest.fixture
def start_orthanc(tmp_path, monkeypatch):
    """A function: port of the node to a running Orthanc that sends each CT image there."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    import orthanc

    if orthanc.find_orthanc() is None:
        pytest.skip("Orthanc is not installed")
    started = []

    def start(node_port):
        started.append(orthanc.Orthanc(tmp_path / "orthanc", node_port, routes=True))
        return started[0]

    yield start
    for one in started:
        one.stop()


def segments_on(volume, series, seg):
    """The masks of a DICOM-SEG on the grid of a volume: (segment, z, row, col)."""
    headers = {dcmread(path).SOPInstanceUID: dcmread(path) for path in series.files}
    places = sorted(headers, key=lambda uid: float(headers[uid].ImagePositionPatient[2]))
    masks = np.zeros((len(seg.SegmentSequence), *volume.array.shape), bool)
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for plane, frame in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        masks[number - 1, places.index(source.ReferencedSOPInstanceUID)] = plane
    return masks


def test_the_mask_in_orthanc_is_that_of_predict(
    built_run, make_series, start_node, start_orthanc, free_port, wait_until
):
    predictor = RunPredictor(built_run)
    orthanc = start_orthanc(free_port)
    peer = Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port)
    results = Results(("seg", "sc", "rtstruct"), (peer,), ("values",))
    node = start_node(
        {"quiet_s": 2.0, "query": peer},
        {"port": free_port},
        segmenter=SeriesSegmenter(predictor, results.kinds, results.accepted),
        results=results,
    )
    paths = make_series(6)
    orthanc.push(paths)
    wait_until(lambda: orthanc.instances("SEG") and orthanc.instances("RTSTRUCT"), 60)
    (seg,) = (dcmread(io.BytesIO(file)) for file in orthanc.fetch("1.2.3.4", "SEG"))
    assert len(orthanc.fetch("1.2.3.4", "OT")) >= 1
    (series,) = find_series(paths[0].parent)
    volume = read_image(series)
    labels = segment(volume, predictor, accepted=["values"])
    masks = np.moveaxis(predictor.network.regions.masks(labels.array), -1, 0)
    assert np.array_equal(segments_on(volume, series, seg), masks)
    assert masks.any()
    wait_until(lambda: "committed" in str(node.status_page.status()), 30)
