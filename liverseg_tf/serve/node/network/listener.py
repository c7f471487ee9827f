"""The listener of a node: C-ECHO, C-STORE and reports about storage commitment."""

import functools
import io
import logging
import ssl
import threading
from collections import Counter
from typing import Any, cast

from pydicom import uid as uids
from pydicom.filewriter import write_file_meta_info
from pydicom.pixels import get_decoder
from pynetdicom import AllStoragePresentationContexts, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore

from liverseg_tf.ct.dicom.recognise import SLICE_CLASSES
from liverseg_tf.errors import LiverSegError, reason_of
from liverseg_tf.serve.node.network.association import create_entity
from liverseg_tf.serve.node.network.commitment import OnCommitment, handle_report
from liverseg_tf.serve.node.network.limited_socket import LimitedServer, answered
from liverseg_tf.serve.node.queue.incoming import (
    OUT_OF_RESOURCES,
    Incoming,
    InstanceRefused,
    Received,
)
from liverseg_tf.serve.node.settings import Listening

LOG = logging.getLogger("liverseg_tf.node")
_PDU_BYTES = 1 << 17
_IDLE_S = 60  # an association without messages for so long is aborted
_EXTRA_BYTES = 1 << 20  # of a message, beside its data set
_INTERNAL_ERROR = 0x0110
# of encoded images; a decoder may be missing
_ENCODINGS = (
    *(uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit, uids.JPEGLossless, uids.JPEGLosslessSV1),
    *(uids.JPEGLSLossless, uids.JPEGLSNearLossless, uids.JPEG2000Lossless, uids.JPEG2000),
    uids.RLELossless,
)
# what `ct/dicom/` reads as slices; of other classes, it reads those that software converted
IMAGE_CLASSES = {
    *SLICE_CLASSES,
    *(uids.SecondaryCaptureImageStorage, uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage),
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
}
_UNCOMPRESSED = (
    *(uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian),
    *(uids.DeflatedExplicitVRLittleEndian, uids.ExplicitVRBigEndian),
)


class Listener:
    """Receives instances from other nodes.

    Args:
        settings: Where it listens, and to whom.
        incoming: Where received instances go.
        on_commitment: Function that is called with reports about storage commitment.
        context: Context for TLS; None does not encrypt.

    Attributes:
        counts: Number of instances and associations by what became of them.
    """

    def __init__(
        self,
        settings: Listening,
        incoming: Incoming,
        on_commitment: OnCommitment,
        context: ssl.SSLContext | None = None,
    ):
        settings.check()
        self._settings, self._incoming, self._on_commitment = settings, incoming, on_commitment
        self._context = context
        self._server: LimitedServer | None = None
        self.counts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        assert self._server is not None, "`start` comes first"
        return self._server.server_address[1]

    def start(self) -> None:
        """Begin to listen, in threads.

        Raises:
            LiverSegError: If the port cannot be used.
        """
        address = (self._settings.host, self._settings.port)
        entity = create_entity(self._settings.aet)
        entity.maximum_associations = self._settings.max_associations
        entity.maximum_pdu_size = _PDU_BYTES
        entity.network_timeout = entity.dimse_timeout = _IDLE_S
        entity.require_called_aet = True
        entity.require_calling_aet = list(self._settings.allowed)
        handlers: Any = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_N_EVENT_REPORT, self._report),
            (evt.EVT_REJECTED, self._rejected),
        ]
        try:
            server = entity.make_server(
                address,
                contexts=list(_contexts()),
                ssl_context=self._context,
                evt_handlers=handlers,
                server_class=LimitedServer,
            )
        except OSError as error:
            raise LiverSegError(
                f"Expected to listen on {address[0]}, port {address[1]}. Received: "
                f"{reason_of(error)}."
            ) from error
        server = cast(LimitedServer, server)
        server.limit = self._settings.max_bytes + _EXTRA_BYTES
        self._server = server
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()

    def stop(self) -> None:
        """Abort all associations and stop listening."""
        if self._server is not None:
            self._server.shutdown()
            for association in list(self._server.active_associations):
                association.abort()

    def _store(self, event: Any) -> int:
        answered(event.assoc.dul.socket.socket)
        calling = event.assoc.requestor.ae_title
        request = event.request
        try:
            data_set = request.DataSet.getbuffer()
            if len(data_set) > self._settings.max_bytes:
                raise InstanceRefused("too large", OUT_OF_RESOURCES)
            file_start = io.BytesIO()
            file_start.write(b"\0" * 128 + b"DICM")
            write_file_meta_info(cast(Any, file_start), event.file_meta)  # only written to
            received = Received(
                str(request.AffectedSOPClassUID),
                str(request.AffectedSOPInstanceUID),
                str(event.context.transfer_syntax),
                data_set,
                file_start.getvalue(),
                calling,
            )
            self._incoming.add(received)
        except InstanceRefused as error:
            self.counts["refused instances"] += 1
            LOG.warning("instance from %s refused: %s", calling, error)
            return error.status
        except Exception as error:  # a hostile data set must not end the listener
            self.counts["refused instances"] += 1
            LOG.warning("instance from %s refused: %s", calling, type(error).__name__)
            return _INTERNAL_ERROR
        self.counts["accepted instances"] += 1
        return 0x0000

    def _echo(self, event: Any) -> int:
        answered(event.assoc.dul.socket.socket)
        return 0x0000

    def _report(self, event: Any) -> tuple[int, None]:
        return handle_report(event, self._on_commitment)

    def _rejected(self, event: Any) -> None:
        self.counts["rejected associations"] += 1
        LOG.warning(
            "association of %s, which calls %s, rejected",
            event.assoc.requestor.ae_title,
            event.assoc.requestor.primitive.called_ae_title,
        )


@functools.cache
def _contexts() -> tuple[PresentationContext, ...]:
    """Build what can be negotiated: few syntaxes for objects that are not kept.

    All of them are copied for each association.
    """
    contexts = [build_context(Verification)]
    for storage in AllStoragePresentationContexts:
        is_image = storage.abstract_syntax in IMAGE_CLASSES
        syntaxes = supported_syntaxes() if is_image else _UNCOMPRESSED[:2]
        contexts.append(build_context(cast(str, storage.abstract_syntax), list(syntaxes)))
    commitment = build_context(StorageCommitmentPushModel)
    commitment.scu_role = commitment.scp_role = True
    return (*contexts, commitment)


def supported_syntaxes() -> tuple[str, ...]:
    """Return the transfer syntaxes whose pixels can be read, uncompressed ones first.

    A sender that has others must decompress. Compressed ones need the extra `jpeg`.
    """
    return (*_UNCOMPRESSED, *(one for one in _ENCODINGS if get_decoder(one).is_available))
