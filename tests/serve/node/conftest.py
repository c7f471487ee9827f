import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

pynetdicom = pytest.importorskip("pynetdicom")
from pynetdicom import AE, evt  # noqa: E402
from pynetdicom.sop_class import (  # noqa: E402
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
)

from liverseg_tf.ct.dicom.series import read_series  # noqa: E402
from liverseg_tf.predict.outputs.dicom_header import DicomHeader  # noqa: E402
from liverseg_tf.serve.node import node as node_module  # noqa: E402
from liverseg_tf.serve.node.network.peer import Peer  # noqa: E402
from liverseg_tf.serve.node.network.tls import TlsFiles  # noqa: E402
from liverseg_tf.serve.node.node import Node  # noqa: E402
from liverseg_tf.serve.node.queue.database import Database  # noqa: E402
from liverseg_tf.serve.node.queue.deliveries import Result  # noqa: E402
from liverseg_tf.serve.node.settings import Listening, NodeSettings, Results, Waiting  # noqa: E402


class StubSegmenter:
    """Makes one object of a series, which says how many slices the series has."""

    made_by = "stub"

    def __init__(self):
        self.made = []
        self.before = lambda: None

    def make(self, series, folder, seed, revision=1, on_slices=lambda count: None):
        depth = len(read_series(series).array)
        self.before()
        on_slices(depth)
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = SegmentationStorage
        dataset.SOPInstanceUID = DicomHeader(uid_seed=seed).uid("seg", 1)
        dataset.SeriesDescription = f"{depth} slices, update {revision}"
        folder.mkdir()
        dataset.save_as(folder / "seg.dcm", enforce_file_format=True)
        self.made.append((depth, revision))
        return [
            Result("seg", SegmentationStorage, dataset.SOPInstanceUID, f"{folder.name}/seg.dcm")
        ]


class Archive:
    """Another node: it stores, says how many images it has, and confirms what it stores."""

    def __init__(self):
        self.stored = []
        self.expected = None  # the number that it answers to C-FIND
        self.status = 0x0000
        self.commits = False
        self.port = 0

    def start(self):
        entity = AE(ae_title="ARCHIVE")
        entity.add_supported_context(SegmentationStorage)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        if self.commits:
            entity.add_supported_context(StorageCommitmentPushModel)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_ACTION, self._commit),
        ]
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers
        )
        self.port = self._server.server_address[1]
        return self

    def stop(self):
        self._server.shutdown()

    @property
    def peer(self):
        return Peer("ARCHIVE", "127.0.0.1", self.port)

    def _store(self, event):
        if not self.status:
            self.stored.append(event.dataset)
        return self.status

    def _find(self, event):
        if self.expected is not None:
            answer = Dataset()
            answer.QueryRetrieveLevel = "SERIES"
            answer.SeriesInstanceUID = event.identifier.SeriesInstanceUID
            answer.NumberOfSeriesRelatedInstances = self.expected
            yield 0xFF00, answer

    def _commit(self, event):
        """Report on the same association, as archives may do."""
        stored = {dataset.SOPInstanceUID for dataset in self.stored}
        report = Dataset()
        report.TransactionUID = event.action_information.TransactionUID
        asked = event.action_information.ReferencedSOPSequence
        report.ReferencedSOPSequence = [
            item for item in asked if item.ReferencedSOPInstanceUID in stored
        ]
        threading.Thread(
            target=event.assoc.send_n_event_report,
            args=(report, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"),
        ).start()
        return 0x0000, None


@pytest.fixture
def archive():
    archive = Archive().start()
    yield archive
    archive.stop()


@pytest.fixture
def segmenter():
    return StubSegmenter()


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "node.sqlite")
    yield database
    database.close()


@pytest.fixture
def start_node(tmp_path, segmenter, archive, monkeypatch):
    """A function: changed settings, and files of TLS, to a running node."""
    monkeypatch.setattr(node_module, "_POLL_S", 0.02)
    running = []

    def start(waiting=None, listening=None, tls=None, segmenter=segmenter, **changed):
        settings = NodeSettings(
            tmp_path / "node",
            Listening(**{"port": 0, "status_port": 0, **(listening or {})}),
            Waiting(**{"quiet_s": 0.3, **(waiting or {})}),
            Results(("seg",), (archive.peer,)),
            free_bytes=0,
        )
        node = Node(replace(settings, **changed), segmenter, tls or TlsFiles())
        node.__enter__()
        running.append(node)
        return node

    yield start
    for node in running:
        node.__exit__(None, None, None)


@pytest.fixture
def make_series(tmp_path, make_volumes, write_series):
    """A function: number of slices and of the study to the paths of a series."""

    def make(depth=4, study="1.2.3.4", seed=0, **settings):
        volume = make_volumes(seed, (depth, 24, 24))[0]

        def edit(dataset, z):
            dataset.StudyInstanceUID = study
            settings.get("edit", lambda dataset, z: None)(dataset, z)

        folder = write_series(tmp_path / f"series-{generate_uid()}", volume, edit)
        return sorted(folder.iterdir())

    return make


@pytest.fixture
def send():
    """A function: node and paths to the statuses of C-STORE, over one association."""

    def send(node, paths, calling="SENDER", called="LIVERSEG", **connection):
        entity = AE(ae_title=calling)
        datasets = [dcmread(path) if isinstance(path, Path) else path for path in paths]
        for dataset in datasets:
            entity.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
        association = entity.associate(
            "127.0.0.1", node.listener.port, ae_title=called, **connection
        )
        if not association.is_established:
            return None
        statuses = [association.send_c_store(dataset).get("Status") for dataset in datasets]
        association.release()
        return statuses

    return send


@pytest.fixture
def wait_until():
    """A function: wait until another function returns something true, and return that."""

    def wait(condition, seconds=60.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {condition}")

    return wait


@pytest.fixture
def free_port():
    """A TCP port of loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
