"""What the listener accepts, and what it refuses."""

import io
import shutil
import socket
import ssl
from urllib.request import urlopen

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from liverseg_tf.errors import SettingsError
from liverseg_tf.serve.node.network.listener import supported_syntaxes
from liverseg_tf.serve.node.network.tls import TlsFiles
from liverseg_tf.serve.node.settings import Listening


def test_known_titles_only(start_node, make_series, send):
    node = start_node(listening={"allowed": ("KNOWN",)})
    paths = make_series(1)
    assert send(node, paths, calling="OTHER") is None
    assert send(node, paths, called="OTHER", calling="KNOWN") is None
    assert send(node, paths, calling="KNOWN") == [0x0000]
    assert node.listener.counts["rejected associations"] == 2


def test_other_machines_need_a_list_of_titles():
    with pytest.raises(SettingsError, match="--allow AET"):
        Listening(host="0.0.0.0").check()
    Listening(host="0.0.0.0", allowed=("PACS",)).check()


@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("StudyInstanceUID", "../../etc", 0xA900),
        ("SeriesInstanceUID", "1.2.3/../4", 0xA900),
        ("SeriesInstanceUID", "", 0xA900),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", 0xA900),
    ],
)
def test_data_sets_that_do_not_fit_are_refused(start_node, make_series, keyword, value, status):
    node, paths = start_node(), make_series(1)
    dataset = dcmread(paths[0])
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", node.listener.port, ae_title="LIVERSEG")
    # the request names the class and the instance that the data set had
    setattr(dataset, keyword, value)
    answer = _store(association, dataset, dcmread(paths[0]))
    association.release()
    assert answer.Status == status
    assert not list((node.folder / "incoming").iterdir())


def _store(association, dataset, original):
    """Store a data set under the class and the instance of another one."""
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import encode

    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = original.SOPClassUID
    request.AffectedSOPInstanceUID = original.SOPInstanceUID
    request.DataSet = io.BytesIO(encode(dataset, False, True))
    (context,) = association.accepted_contexts
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer


def test_another_identifier_in_the_data_set_is_refused(start_node, make_series):
    node, paths = start_node(), make_series(1)
    original, dataset = dcmread(paths[0]), dcmread(paths[0])
    dataset.SOPInstanceUID = "1.2.3"
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", node.listener.port, ae_title="LIVERSEG")
    assert _store(association, dataset, original).Status == 0xA900
    association.release()


def test_objects_that_are_no_slices_are_not_kept(start_node, make_series, send):
    node = start_node()
    dataset = dcmread(make_series(1)[0])
    del dataset.PixelData, dataset.ImagePositionPatient
    dataset.SOPClassUID, dataset.Modality = EncapsulatedPDFStorage, "DOC"
    assert send(node, [dataset]) == [0x0000]
    assert not list((node.folder / "incoming").iterdir())


def test_a_message_over_the_limit_ends_the_connection(start_node, make_series, send):
    node = start_node(listening={"max_bytes": 1 << 16})
    dataset = dcmread(make_series(1)[0])
    dataset.Rows = dataset.Columns = 1024
    dataset.PixelData = bytes(1 << 21)
    assert send(node, [dataset]) == [None]
    assert not list((node.folder / "incoming").iterdir())
    assert send(node, make_series(1)) == [0x0000], "the next one is served"


def test_a_full_disk_is_answered_as_out_of_resources(
    start_node, make_series, send, small_disk, archive, wait_until
):
    """The rest of the series arrives when there is room: no half of it is segmented."""
    paths = make_series(6)
    ballast = small_disk / "ballast"
    node = start_node(folder=small_disk / "node", free_bytes=300_000)
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 200_000))
    assert send(node, paths[:3]) == [0xA700] * 3
    ballast.unlink()
    assert send(node, paths[3:]) == [0x0000] * 3
    wait_until(lambda: node.queue.latest(1)[0].missing == 3)
    assert not archive.stored
    assert send(node, paths) == [0x0000] * 6
    wait_until(lambda: archive.stored)
    assert [one.SeriesDescription for one in archive.stored] == ["6 slices, update 1"]


def test_compressed_images_are_offered_where_there_is_a_decoder():
    assert "1.2.840.10008.1.2.1" in supported_syntaxes()
    assert "1.2.840.10008.1.2.5" in supported_syntaxes(), "RLE needs no library"


def test_encrypted_connections_are_verified_on_both_sides(start_node, make_series, send, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "node", "sender")}
    authority.cert_pem.write_to_path(files["ca"])
    for name in ("node", "sender"):
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(files[name])
    node = start_node(tls=TlsFiles(files["node"], None, files["ca"], outgoing=True))
    context = ssl.create_default_context(cafile=files["ca"])
    paths = make_series(1)
    assert send(node, paths, tls_args=(context, "localhost")) in (None, [None]), "no certificate"
    context.load_cert_chain(files["sender"])
    assert send(node, paths, tls_args=(context, "localhost")) == [0x0000]
    assert send(node, paths) is None, "not encrypted"


def test_the_status_page_tells_states_and_no_patient(start_node, make_series, send, wait_until):
    node = start_node({"quiet_s": 60.0})
    send(node, make_series(2))
    address = f"http://127.0.0.1:{node.status_page.port}"
    pages = {}
    for path in ("/", "/status.json", "/metrics", "/health"):
        with urlopen(address + path) as answer:
            pages[path] = answer.read().decode()
    assert 'liverseg_node_series{state="receiving"} 1' in pages["/metrics"]
    assert 'liverseg_node_received{outcome="accepted instances"} 2' in pages["/metrics"]
    assert pages["/health"] == "ok\n"
    assert "1 receiving" in pages["/"]
    assert '"images": 2' in pages["/status.json"]
    assert not any("A^B" in page or "p1" in page for page in pages.values())


def test_the_node_answers_echo(start_node):
    node = start_node()
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", node.listener.port, ae_title="LIVERSEG")
    assert association.send_c_echo().Status == 0x0000
    association.release()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + bytes(64),  # an association request of 4 GB
        b"\x04\x00\x00\x00\x00\x04" + bytes(4),  # data without an association
    ],
)
def test_what_is_no_dicom_disturbs_nobody(start_node, make_series, send, sent):
    node = start_node()
    with socket.create_connection(("127.0.0.1", node.listener.port)) as connection:
        connection.sendall(sent)
        assert send(node, make_series(1)) == [0x0000]
