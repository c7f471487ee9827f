"""A DICOMweb archive: queries, retrieval and storage for one study."""

import functools
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pydicom
import requests
from pydicom.dataset import Dataset

from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.plural import count
from liverseg_tf.predict.dicomweb.address import Credentials, StudyAddress, is_uid
from liverseg_tf.predict.dicomweb.archived_series import (
    ArchivedSeries,
    first_value,
    read_series_entry,
)
from liverseg_tf.predict.dicomweb.limited_session import LimitedSession
from liverseg_tf.retry import Retries, RetryPolicy, Unavailable

T = TypeVar("T")
_TIMEOUTS_S = (10.0, 120.0)  # to connect, and between two parts of an answer
_EXCHANGE_S = 900.0
_RETRY_POLICY = RetryPolicy(max_retries=3, deadline_s=30)
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_PAGE = 1000  # entries of an answer
_MAX_ENTRIES = 100_000
_SERIES_BYTES = 1 << 35
_SERIES_FIELDS = (
    *("Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances"),
)


class Archive:
    """A connection to the archive of a study.

    Args:
        address: Address of the study.
        credentials: Credentials for the archive.
        tls_ca: File with the CA certificates (PEM) that verify the archive.
        exchange_s: Time limit of each request with its answer, in seconds.

    A request to which the archive does not answer, or answers that it is busy, is repeated.

    Raises:
        LiverSegError: If dicomweb-client is not installed.
    """

    def __init__(
        self,
        address: StudyAddress,
        credentials: Credentials = Credentials(),
        tls_ca: Path | None = None,
        exchange_s: float = _EXCHANGE_S,
    ):
        try:
            from dicomweb_client import DICOMwebClient
        except ImportError as error:
            raise LiverSegError(
                "Expected dicomweb-client for an archive (pip install 'liverseg_tf[dicomweb]'). "
                f"Received: {error}."
            ) from error
        self.address, self._credentials = address, credentials
        self._session = LimitedSession(credentials, tls_ca, exchange_s)
        self._client = DICOMwebClient(address.service, session=self._session, timeout=_TIMEOUTS_S)
        self._client.set_http_retry_params(retry=False)  # `_call` does it
        self._retries = Retries(_RETRY_POLICY)
        for name in ("retrying", "dicomweb_client"):  # they log addresses, headers and tracebacks
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.close()

    def find_series(self) -> list[ArchivedSeries]:
        """Ask for the series of the address (QIDO-RS), in the order of their numbers.

        Raises:
            LiverSegError: If the archive cannot be asked, or there is no such study or series.
        """
        study, series = self.address.study, self.address.series
        filters = None if series is None else {"SeriesInstanceUID": series}
        entries = self._ask_all(
            "SeriesInstanceUID",
            lambda offset: self._client.search_for_series(
                study,
                fields=_SERIES_FIELDS,
                limit=_PAGE,
                offset=offset,
                search_filters=filters,
            ),
        )
        found = [read_series_entry(entry) for entry in entries.values()]
        # some archives ignore the filter
        found = [one for one in found if series in (None, one.uid)]
        if not found:
            raise LiverSegError(
                f"Expected a {'study' if series is None else 'series'} at {self.address}. "
                "Received no series: check the address."
            )
        return sorted(found, key=lambda one: (len(one.number), one.number, one.uid))

    def find_instances(self, series: str) -> list[str]:
        """Ask for the SOPInstanceUIDs of a series (QIDO-RS), sorted.

        Args:
            series: SeriesInstanceUID.

        Raises:
            LiverSegError: If the archive cannot be asked.
        """
        study = self.address.study
        entries = self._ask_all(
            "SOPInstanceUID",
            lambda offset: self._client.search_for_instances(
                study, series, limit=_PAGE, offset=offset
            ),
        )
        return sorted(entries)

    def fetch(self, series: ArchivedSeries, folder: Path) -> None:
        """Fetch all instances of a series (WADO-RS) into a folder.

        Args:
            series: Series to fetch.
            folder: Existing folder for the files 00001.dcm, 00002.dcm and so on.

        Raises:
            LiverSegError: If an instance cannot be fetched or is another one, or the archive holds
                another number of instances than it states.
        """
        uids = self.find_instances(series.uid)
        if series.stated_count not in (None, len(uids)):
            raise LiverSegError(
                f"Expected {count(series.stated_count or 0, 'instance')} of {series}, as the "
                f"archive states. Received {len(uids)}: the series is incomplete or still being "
                "received. Try again later."
            )
        total = 0
        for number, uid in enumerate(uids, 1):
            path = folder / f"{number:05d}.dcm"
            self._fetch_instance((self.address.study, series.uid, uid), path)
            total += path.stat().st_size
            if total > _SERIES_BYTES:
                raise LiverSegError(
                    f"Expected at most {_SERIES_BYTES >> 30} GB in {series}. Received more."
                )
        if self.find_instances(series.uid) != uids:
            raise LiverSegError(
                f"Expected {series} to stay as it is while it is fetched. Received more or fewer "
                "instances than before: it is still being received. Try again later."
            )

    def _fetch_instance(self, uids: tuple[str, str, str], path: Path) -> None:
        dataset = self._call("instance", lambda: self._client.retrieve_instance(*uids))
        found = tuple(
            str(dataset.get(f"{level}InstanceUID")) for level in ("Study", "Series", "SOP")
        )
        if found != uids:
            raise LiverSegError(
                f"Expected instance {uids[-1]} from {self.address.service}. Received another one."
            )
        self._call("instance", lambda: dataset.save_as(path, enforce_file_format=True))

    def store(self, datasets: list[Dataset]) -> Dataset:
        """Store instances in the study in one request (STOW-RS).

        Args:
            datasets: Instances of the study.

        Returns:
            The answer: ReferencedSOPSequence names what was stored, FailedSOPSequence what was not.

        Raises:
            LiverSegError: If the archive refuses the request.
        """
        return self._call(
            "storage", lambda: self._client.store_instances(datasets, self.address.study)
        )

    def _ask_all(self, keyword: str, ask: Callable[[int], list[Any]]) -> dict[str, dict]:
        """Ask page after page until one brings nothing new; return the entries by their UID."""
        tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
        entries: dict[str, dict] = {}
        while True:
            page = self._call("query", functools.partial(ask, len(entries)))
            if not isinstance(page, list):
                raise LiverSegError(
                    f"Expected a list of answers of {self.address.service}. Received another value."
                )
            new: dict[str, dict] = {}
            for entry in page:
                uid = first_value(entry, tag)
                if not isinstance(uid, str) or not is_uid(uid):
                    raise LiverSegError(
                        f"Expected a {keyword} in each answer of {self.address.service}. "
                        "Received an answer without a valid one."
                    )
                if uid not in entries:
                    new[uid] = entry
            entries |= new
            if not new or len(page) < _PAGE:
                return entries
            if len(entries) > _MAX_ENTRIES:
                raise LiverSegError(
                    f"Expected at most {_MAX_ENTRIES} answers of {self.address.service} to a "
                    "query. Received more."
                )

    def _call(self, what: str, function: Callable[[], T]) -> T:
        """Call a function of the client; every error becomes one line without secrets.

        What may succeed later is tried again: the same instance is never stored twice.
        """
        return self._retries.call(lambda: self._attempt(what, function))

    def _attempt(self, what: str, function: Callable[[], T]) -> T:
        kind: type[LiverSegError] = LiverSegError
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about answers that break the standard
                return function()
        except requests.HTTPError as error:
            reason, status = str(error), 0 if error.response is None else error.response.status_code
            if error.response is not None:
                reason = f"{status} {error.response.reason}"
            if status in (401, 403):
                reason += " (check the credentials)"
            if status in _BUSY:
                kind = Unavailable
        except Exception as error:  # what the client raises for a broken answer is not documented
            cause = getattr(error.args[0], "reason", error) if error.args else error
            reason = f"{type(error).__name__}: {first_line(cause)}"
            is_refusal = isinstance(error, requests.exceptions.SSLError)
            if isinstance(error, requests.ConnectionError) and not is_refusal:
                kind = Unavailable
        raise kind(
            f"Expected an answer of {self.address.service} to a request ({what}). "
            f"Received: {self._credentials.sanitise(reason)}"
        )
