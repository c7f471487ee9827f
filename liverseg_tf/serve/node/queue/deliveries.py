"""The results of a node, and their way to each destination."""

from collections.abc import Sequence
from dataclasses import dataclass

from liverseg_tf.serve.node.queue.database import Database
from liverseg_tf.serve.node.queue.series import DONE, QUEUED, Series

PENDING, SENT, FAILED, SUPERSEDED = "pending", "sent", "failed", "superseded"
REQUESTED, COMMITTED = "requested", "committed"


@dataclass(frozen=True)
class Result:
    """A DICOM object that was made from a series.

    Args:
        kind: One of `choices.NODE_RESULTS`.
        sop_class: SOPClassUID.
        sop_uid: SOPInstanceUID.
        file: Name of its file relative to the folder of results.
    """

    kind: str
    sop_class: str
    sop_uid: str
    file: str


@dataclass(frozen=True)
class Delivery:
    """A result on its way to a destination.

    Args:
        id: Number of the delivery.
        series_id: Number of the series.
        destination: Address of the destination, as text.
        attempts: Number of attempts that failed.
        result: What is sent.
    """

    id: int
    series_id: int
    destination: str
    attempts: int
    result: Result


class Deliveries:
    """The results and deliveries of a database.

    Args:
        database: Database of the node.
    """

    def __init__(self, database: Database):
        self._database = database

    def revision(self, series_id: int, content: str) -> int:
        """Return the number of a result among those of its series, which count from 1."""
        rows = self._database.rows(
            "SELECT MAX(revision) FROM results WHERE series_id = ? AND content = ?",
            *(series_id, content),
        )
        if rows[0][0] is not None:
            return rows[0][0]
        rows = self._database.rows(
            "SELECT COALESCE(MAX(revision), 0) FROM results WHERE series_id = ?", series_id
        )
        return rows[0][0] + 1

    def results(self, series_id: int, content: str) -> list[Result]:
        """Return the results of a content whose files are there."""
        rows = self._database.rows(
            "SELECT kind, sop_class, sop_uid, file FROM results WHERE series_id = ? AND "
            "content = ? AND file NOTNULL ORDER BY id",
            *(series_id, content),
        )
        return [Result(**row) for row in rows]

    def finish(
        self,
        series: Series,
        content: str,
        results: Sequence[Result],
        destinations: Sequence[str],
        now: float,
    ) -> bool:
        """End a series with its results, which are then sent, unless a further image has arrived.

        Results of other contents that were not yet sent are not sent any more.

        Args:
            series: Series as it was read from the queue.
            content: Digest of what the results are made from.
            results: All results, whether or not they were there before.
            destinations: Addresses, as text.
            now: Time, in seconds since 1970.

        Returns:
            Whether it ended.
        """
        revision = self.revision(series.id, content)
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE series SET state = ?, reason = '' WHERE id = ? AND state = ? AND "
                "changes = ?",
                (DONE, series.id, QUEUED, series.changes),
            )
            if not changed.rowcount:
                return False
            connection.execute(
                "UPDATE deliveries SET state = ? WHERE state = ? AND result_id IN "
                "(SELECT id FROM results WHERE series_id = ? AND content <> ?)",
                (SUPERSEDED, PENDING, series.id, content),
            )
            for result in results:
                connection.execute(
                    "INSERT INTO results (series_id, content, revision, kind, sop_class, sop_uid, "
                    "file, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sop_uid) DO UPDATE "
                    "SET file = excluded.file, content = excluded.content",
                    (
                        *(series.id, content, revision, result.kind, result.sop_class),
                        *(result.sop_uid, result.file, now),
                    ),
                )
                connection.executemany(
                    "INSERT INTO deliveries (result_id, destination, state, next_attempt) "
                    "SELECT id, ?, ?, ? FROM results WHERE sop_uid = ? ON CONFLICT "
                    "(result_id, destination) DO UPDATE SET state = excluded.state, attempts = 0, "
                    "reason = '', commitment = '', next_attempt = excluded.next_attempt",
                    [(one, PENDING, now, result.sop_uid) for one in destinations],
                )
        return True

    def due(self, destination: str, now: float, count: int = 200) -> list[Delivery]:
        """Return deliveries to a destination that are due, of series that await no image."""
        rows = self._database.rows(
            "SELECT deliveries.id, results.series_id, destination, deliveries.attempts, kind, "
            "sop_class, sop_uid, results.file FROM deliveries JOIN results ON results.id = "
            "result_id JOIN series ON series.id = results.series_id WHERE destination = ? AND "
            "deliveries.state = ? AND next_attempt <= ? AND series.state = ? ORDER BY "
            "deliveries.id LIMIT ?",
            *(destination, PENDING, now, DONE, count),
        )
        return [
            Delivery(
                *(row["id"], row["series_id"], row["destination"], row["attempts"]),
                Result(row["kind"], row["sop_class"], row["sop_uid"], row["file"]),
            )
            for row in rows
        ]

    def record_sent(self, delivery: Delivery) -> None:
        """Record that the destination has accepted a result."""
        self._update(delivery.id, state=SENT, reason="")

    def record_failure(self, delivery: Delivery, state: str, reason: str, next_s: float) -> None:
        """Record a failed attempt.

        Args:
            delivery: Delivery that failed.
            state: PENDING if there are further attempts, or FAILED.
            reason: One line.
            next_s: Time of the next attempt, in seconds since 1970.
        """
        attempts = delivery.attempts + 1
        self._update(
            delivery.id, state=state, reason=reason, attempts=attempts, next_attempt=next_s
        )

    def record_request(self, deliveries: Sequence[Delivery], transaction_uid: str) -> None:
        """Record that the destination was asked to confirm that it stores results."""
        for delivery in deliveries:
            self._update(delivery.id, commitment=REQUESTED, transaction_uid=transaction_uid)

    def withdraw_request(self, deliveries: Sequence[Delivery]) -> None:
        """Record that the destination does not accept the request."""
        for delivery in deliveries:
            self._update(delivery.id, commitment="", transaction_uid="")

    def record_commitment(
        self, transaction_uid: str, committed: Sequence[str], failed: Sequence[str], again_s: float
    ) -> int:
        """Record the answer of a destination; what it does not store is sent again.

        Args:
            transaction_uid: UID of the request.
            committed: SOPInstanceUIDs that it stores.
            failed: SOPInstanceUIDs that it does not store.
            again_s: Time at which what it does not store is sent again, in seconds since 1970.

        Returns:
            Number of deliveries that the answer concerns.
        """
        concerned = 0
        with self._database.transaction() as connection:
            for uids, values in (
                (committed, (SENT, COMMITTED, "")),
                (failed, (PENDING, "", "not stored, as the destination reported")),
            ):
                for uid in uids:
                    concerned += connection.execute(
                        "UPDATE deliveries SET state = ?, commitment = ?, reason = ?, "
                        "next_attempt = ? WHERE transaction_uid = ? AND commitment = ? AND "
                        "state = ? AND result_id IN (SELECT id FROM results WHERE sop_uid = ?)",
                        (*values, again_s, transaction_uid, REQUESTED, SENT, uid),
                    ).rowcount
        return concerned

    def restart(self, destinations: Sequence[str], now: float) -> None:
        """Begin again with all that was not sent; nothing is sent to former destinations."""
        marks = ", ".join("?" * len(destinations)) or "''"
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, attempts = 0, next_attempt = ? WHERE state IN "
                f"(?, ?) AND destination IN ({marks})",
                (PENDING, now, PENDING, FAILED, *destinations),
            )

    def _update(self, delivery_id: int, **values: object) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE deliveries SET {columns} WHERE id = ?", (*values.values(), delivery_id)
            )
