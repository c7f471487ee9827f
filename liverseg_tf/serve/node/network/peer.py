"""The address of another DICOM node, and titles of application entities."""

import re
from dataclasses import dataclass

from liverseg_tf.errors import SettingsError
from liverseg_tf.network_host import host_in_url

_PEER = re.compile(r"(?P<aet>[^@]+)@(?P<host>\[[^\]@]+\]|[^@:\[\]]+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Peer:
    """Another DICOM node.

    Args:
        aet: Title of its application entity.
        host: Name or address.
        port: TCP port.
    """

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Peer":
        """Parse AET@HOST:PORT; an IPv6 address stands in brackets.

        Raises:
            SettingsError: If the text has another form.

        Example:
            >>> Peer.parse("ORTHANC@127.0.0.1:4242")
            Peer(aet='ORTHANC', host='127.0.0.1', port=4242)
        """
        match = _PEER.fullmatch(text)
        port = int(match["port"]) if match else 0
        if match is None or not 1 <= port <= 65535:
            raise SettingsError(
                "Expected a DICOM node as AET@HOST:PORT, for example ORTHANC@127.0.0.1:4242. "
                f"Received '{text}'."
            )
        return cls(check_aet(match["aet"]), match["host"].strip("[]"), port)

    def __str__(self) -> str:
        return f"{self.aet}@{host_in_url(self.host)}:{self.port}"


def check_aet(text: str) -> str:
    """Return the title of an application entity without the spaces around it.

    Raises:
        SettingsError: If it does not have 1 to 16 characters of ASCII, or holds a backslash.
    """
    aet = text.strip(" ")
    if not 1 <= len(aet) <= 16 or not aet.isascii() or not aet.isprintable() or "\\" in aet:
        raise SettingsError(
            "Expected the title of an application entity (AE title), 1 to 16 characters of ASCII "
            f"without a backslash. Received '{text}'."
        )
    return aet
