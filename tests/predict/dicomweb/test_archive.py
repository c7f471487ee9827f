"""Fetching from and storing in a DICOMweb archive on loopback."""

import ssl
import time

import numpy as np
import pydicom
import pytest
from dicomweb_server import Archive as Served
from dicomweb_server import serving

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.dicomweb.address import Credentials, StudyAddress
from liverseg_tf.predict.dicomweb.archive import Archive
from liverseg_tf.predict.dicomweb.fetch_study import fetch_study
from liverseg_tf.predict.dicomweb.store_results import store_results
from liverseg_tf.retry import RetryPolicy

pytest.importorskip("dicomweb_client")


@pytest.fixture
def served(make_volumes, write_series, tmp_path):
    """An archive with a CT of six slices, its localizer and a report; and its study."""
    archive = Served()
    archive.study = archive.add_folder(write_series(tmp_path / "ct", make_volumes()[0]))

    def scout(dataset, z):
        dataset.ImageType, dataset.SeriesNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 1
        dataset.SeriesDescription = "Scout"

    def report(dataset, z):
        dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = "SR", 9, "Report"

    for name, edit in (("scout", scout), ("sr", report)):
        volume = make_volumes(shape=(1, 20, 24))[0]
        archive.add_folder(write_series(tmp_path / name, volume, edit))
    return archive


@pytest.fixture
def connect(served, monkeypatch):
    """A function: options of `Archive` to an archive that is connected to the served one."""
    policy = RetryPolicy(max_retries=1, initial_backoff_s=0.01)
    monkeypatch.setattr("liverseg_tf.predict.dicomweb.archive._RETRY_POLICY", policy)
    with serving(served) as host:

        def connect(series="", credentials=Credentials(), **options):
            text = f"dicomweb://{host}/dicom-web/studies/{served.study}{series}"
            return Archive(StudyAddress.parse(text), credentials, **options)

        yield connect


def _fetch(archive, folder):
    folder.mkdir()
    return fetch_study(archive, folder, "CT")


def test_the_ct_of_a_study_is_fetched_exactly(served, connect, tmp_path):
    with connect() as archive:
        fetched = _fetch(archive, tmp_path / "out")
    ((name, series),) = fetched.images.items()
    assert name == series.uid
    (source,) = find_series(tmp_path / "ct")
    np.testing.assert_array_equal(read_series(series).array, read_series(source).array)
    np.testing.assert_array_equal(read_series(series).affine, read_series(source).affine)
    scout, report = fetched.skipped
    assert "'Scout'" in scout
    assert "it holds no volume" in scout
    assert "'Report'" in report
    assert "its modality is not CT" in report
    assert fetched.failures == {}


def test_a_series_can_be_named(served, connect, tmp_path):
    (uid,) = {key[1] for key, one in served.headers().items() if one.SeriesNumber == 3}
    with connect(f"/series/{uid}") as archive:
        assert [series.uid for series in archive.find_series()] == [uid]
        assert list(_fetch(archive, tmp_path / "out").images) == [uid]
    with (
        connect("/series/1.2.3.4.5") as archive,
        pytest.raises(LiverSegError, match=r"a series at http.* Received no series"),
    ):
        archive.find_series()


def test_partial_series_are_refused(served, connect, tmp_path):
    served.extra = 2
    with connect() as archive:
        fetched = _fetch(archive, tmp_path / "out")
    assert not fetched.images
    (message,) = [text for text in fetched.failures.values() if "Expected 8" in text]
    assert "Received 6: the series is incomplete or still being received" in message
    assert "\n" not in message


def test_series_that_grow_meanwhile_are_refused(served, connect, tmp_path):
    late, content = next(iter(served.instances.items()))
    del served.instances[late]

    def add_after_the_first_image(path, answer):
        if f"{late[1]}/instances/" in path:
            served.instances[late] = content
        return answer

    served.replace = add_after_the_first_image
    with connect() as archive:
        fetched = _fetch(archive, tmp_path / "out")
    assert any("it is still being received" in text for text in fetched.failures.values())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, "text/plain", b"no"), "Received: 500"),
        ((401, "text/plain", b"no"), r"401 .*check the credentials"),
        ((302, "text/plain", b""), "TooManyRedirects"),
        ((200, "application/dicom+json", b"{"), "JSONDecodeError"),
        ((200, "application/dicom+json", b'[{"0020000E": 5}]'), "without a valid one"),
        ((200, "application/dicom+json", b'[{"0020000E": {"Value": ["../a"]}}]'), "valid one"),
        ((200, "application/dicom+json", b"5"), "Expected a list of answers"),
    ],
)
def test_broken_answers_to_queries_are_refused(answer, message, served, connect):
    served.replace = lambda path, _: answer
    with connect() as archive, pytest.raises(LiverSegError, match=message) as caught:
        archive.find_series()
    assert "\n" not in str(caught.value)


def test_broken_instances_are_refused(served, connect, tmp_path):
    other = pydicom.dcmread(tmp_path / "ct" / "0001.dcm")
    other.SOPInstanceUID = "1.2.3"
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--b--"
    other.save_as(tmp_path / "other.dcm")
    kind = "multipart/related; boundary=b"
    deflated = b"1.2.840.10008.1.2.1.99"
    answers = [
        ((tmp_path / "other.dcm").read_bytes(), "Received another one"),
        (b"no DICOM", "InvalidDicomError"),
        (deflated, "a deflated instance"),
    ]
    for number, (content, message) in enumerate(answers):
        body = part % content
        served.replace = lambda path, answer, body=body: (
            (200, kind, body) if "/instances/" in path else answer
        )
        with connect() as archive:
            fetched = _fetch(archive, tmp_path / f"out{number}")
        assert any(message in text for text in fetched.failures.values()), fetched.failures
        assert not fetched.images


def test_answers_are_limited_in_size_and_time(served, connect, monkeypatch):
    monkeypatch.setattr("liverseg_tf.predict.dicomweb.limited_session._JSON_BYTES", 1 << 20)
    served.replace = lambda path, _: (200, "application/dicom+json", b" " * (2 << 20))
    with connect() as archive, pytest.raises(LiverSegError, match="an answer of more than 1 MB"):
        archive.find_series()
    served.replace = lambda path, answer: time.sleep(1) or answer
    with (
        connect(exchange_s=0.1) as archive,
        pytest.raises(LiverSegError, match=r"not finished within 0\.1 s"),
    ):
        archive.find_series()


def test_credentials_are_sent_and_stay_secret(served, connect):
    served.replace = lambda path, _: (403, "text/plain", b"bad password secret")
    with (
        connect(credentials=Credentials("anna", "secret")) as archive,
        pytest.raises(LiverSegError, match="403") as caught,
    ):
        archive.find_series()
    assert "secret" not in str(caught.value)
    assert served.requests[-1][2]["Authorization"] == "Basic YW5uYTpzZWNyZXQ="
    with connect(credentials=Credentials(token="t0ken")) as archive, pytest.raises(LiverSegError):
        archive.find_series()
    assert served.requests[-1][2]["Authorization"] == "Bearer t0ken"


def test_certificates_are_verified(served, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(served, context) as host:
        address = StudyAddress.parse(f"dicomweb+https://{host}/studies/{served.study}")
        with Archive(address, tls_ca=tmp_path / "ca.pem") as archive:
            assert len(archive.find_series()) == 3
        with Archive(address) as archive, pytest.raises(LiverSegError, match="SSLError"):
            archive.find_series()


def test_results_are_stored_once(served, connect, tmp_path):
    files = sorted((tmp_path / "ct").iterdir())[:3]
    for number, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.9", f"1.2.9.{number}"
        dataset.save_as(tmp_path / file.name)
    results = [tmp_path / file.name for file in files]
    with connect() as archive:
        assert store_results(archive, results[:2]) == (2, 0)
        assert store_results(archive, results) == (1, 2)
    assert [key[2] for key in served.stored] == ["1.2.9.0", "1.2.9.1", "1.2.9.2"]


def test_refused_results_are_reported(served, connect, tmp_path):
    result = pydicom.dcmread(tmp_path / "ct" / "0001.dcm")
    result.SOPInstanceUID = "1.2.9.1"
    result.save_as(tmp_path / "a.dcm")
    served.refuse = True
    with (
        connect() as archive,
        pytest.raises(LiverSegError, match=r"to store CT 1\.2\.9\.1\. Received failure 0xA7"),
    ):
        store_results(archive, [tmp_path / "a.dcm"])
    served.replace = lambda path, answer: (
        (200, "application/dicom+json", b"{}") if path.count("/") == 2 else answer
    )
    with connect() as archive, pytest.raises(LiverSegError, match="Received no confirmation"):
        store_results(archive, [tmp_path / "a.dcm"])


def test_a_busy_archive_is_asked_again(served, connect):
    busy = [(503, "text/plain", b"busy")]
    served.replace = lambda path, answer: busy.pop() if busy else answer
    with connect() as archive:
        assert len(archive.find_series()) == 3


def test_an_archive_that_cannot_be_reached_is_reported(monkeypatch):
    monkeypatch.setattr(
        "liverseg_tf.predict.dicomweb.archive._RETRY_POLICY", RetryPolicy(max_retries=0)
    )
    address = StudyAddress.parse("dicomweb://127.0.0.1:9/studies/1.2")
    with (
        Archive(address) as archive,
        pytest.raises(LiverSegError, match=r"of http://127\.0\.0\.1:9 to a request \(query\)"),
    ):
        archive.find_series()
