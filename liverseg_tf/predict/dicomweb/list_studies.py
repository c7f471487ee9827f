"""The studies of an archive."""

from dataclasses import replace
from pathlib import Path

import requests

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.predict.dicomweb.address import Credentials, StudyAddress, is_uid
from liverseg_tf.predict.dicomweb.archived_series import first_value
from liverseg_tf.predict.dicomweb.limited_session import LimitedSession

_PAGE, _MAX_STUDIES = 100, 10_000
_EXCHANGE_S = 60.0
_ANY_STUDY = "/studies/0"  # makes the address of an archive one that `StudyAddress` parses


def parse_archive(text: str) -> tuple[StudyAddress, bool]:
    """Parse the address of an archive, dicomweb://HOST:PORT/PATH, or that of one study.

    Returns:
        The address, and whether it names a study; otherwise, its study is not a real one.

    Raises:
        SettingsError: If the text is no such address.
    """
    names_study = "/studies/" in text
    return StudyAddress.parse(text if names_study else text.rstrip("/") + _ANY_STUDY), names_study


def list_studies(
    archive: StudyAddress, credentials: Credentials, tls_ca: Path | None = None
) -> list[StudyAddress]:
    """List all studies of an archive (QIDO-RS).

    Args:
        archive: Address of any study of the archive.
        credentials: Credentials for the archive.
        tls_ca: File with the CA certificates (PEM) that verify the archive.

    Raises:
        LiverSegError: If the archive cannot be asked, or has too many studies.
    """
    found: dict[str, None] = {}
    with LimitedSession(credentials, tls_ca, _EXCHANGE_S) as session:
        while True:
            page = _ask(session, f"{archive.service}/studies", len(found), credentials)
            uids = [first_value(entry, "0020000D") for entry in page]
            new = [str(uid) for uid in uids if is_uid(uid) and uid not in found]
            found |= dict.fromkeys(new)
            if len(found) > _MAX_STUDIES:
                raise LiverSegError(
                    f"Expected at most {_MAX_STUDIES} studies in {archive.service}. Received more: "
                    "name one study."
                )
            if not new or len(page) < _PAGE:
                return [replace(archive, study=uid) for uid in found]


def _ask(session: LimitedSession, url: str, offset: int, credentials: Credentials) -> list:
    try:
        answer = session.get(
            url,
            params={"limit": _PAGE, "offset": offset},
            headers={"Accept": "application/dicom+json"},
        )
        answer.raise_for_status()
        page = answer.json() if answer.content else []
    except (requests.RequestException, ValueError) as error:
        raise LiverSegError(
            f"Expected the list of studies from {url}. "
            f"Received: {credentials.sanitise(first_line(error))}"
        ) from error
    if not isinstance(page, list):
        raise LiverSegError(f"Expected a list of studies from {url}. Received another value.")
    return page
