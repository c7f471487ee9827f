"""Associations with other nodes."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from liverseg_tf import __version__
from liverseg_tf.retry import Unavailable
from liverseg_tf.serve.node.network.peer import Peer

_TIMEOUT_S = 30


def create_entity(aet: str) -> AE:
    """Create an application entity that names this software."""
    entity = AE(ae_title=aet)
    entity.implementation_version_name = f"LIVERSEG_{__version__}"[:16]
    return entity


@contextmanager
def associate(
    aet: str,
    peer: Peer,
    contexts: list[PresentationContext],
    tls: ssl.SSLContext | None,
    handlers: tuple = (),
) -> Iterator[Association]:
    """Open an association with another node for the duration of a block.

    Args:
        aet: Title of this node.
        peer: Other node.
        contexts: Presentation contexts that are proposed.
        tls: Context for TLS; None does not encrypt.
        handlers: Handlers of events.

    Raises:
        Unavailable: If the other node cannot be reached or refuses.
    """
    entity = create_entity(aet)
    entity.acse_timeout = entity.connection_timeout = _TIMEOUT_S
    entity.dimse_timeout = entity.network_timeout = 2 * _TIMEOUT_S
    found: dict[str, str] = {}
    association = entity.associate(
        peer.host,
        peer.port,
        contexts=contexts,
        ae_title=peer.aet,
        tls_args=None if tls is None else (tls, peer.host),
        evt_handlers=[
            *handlers,
            (evt.EVT_REJECTED, lambda event: found.update(reason="it rejects the association")),
        ],
    )
    if not association.is_established:
        reason = found.get("reason", "no connection, or no association")
        raise Unavailable(f"Expected an association with {peer}. Received: {reason}.")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
