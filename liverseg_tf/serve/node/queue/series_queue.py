"""The queue of a node: which series were received, and how far each of them is."""

import sqlite3

from liverseg_tf.serve.node.queue.database import Database
from liverseg_tf.serve.node.queue.series import FINAL, QUEUED, RECEIVING, Instance, Series

_SELECT = """
SELECT series.*,
    (SELECT COUNT(DISTINCT sop_uid) FROM instances WHERE series_id = series.id) AS images,
    (SELECT COUNT(*) FROM missing WHERE series_id = series.id) AS missing
FROM series
"""


class SeriesQueue:
    """The series and instances of a database.

    Args:
        database: Database of the node.
    """

    def __init__(self, database: Database):
        self._database = database

    def find_file(self, sop_uid: str, digest: str) -> str | None:
        """Return the name of the file of an instance that was received before; None if none was.

        Args:
            sop_uid: SOPInstanceUID.
            digest: Digest of its data set.
        """
        rows = self._database.rows(
            "SELECT file FROM instances WHERE sop_uid = ? AND digest = ? AND file NOTNULL",
            *(sop_uid, digest),
        )
        return rows[0]["file"] if rows else None

    def note_repeat(self, file: str, now: float) -> None:
        """Await a series again, because one of its instances has arrived again.

        Args:
            file: Name of the file of the instance.
            now: Time, in seconds since 1970.
        """
        with self._database.transaction() as connection:
            # what is queued will be done anyway: nothing new has arrived
            connection.execute(
                "UPDATE series SET last_received = ?, attempts = 0, reason = '', state = ?, "
                "changes = changes + 1 WHERE state <> ? AND id IN "
                "(SELECT series_id FROM instances WHERE file = ?)",
                (now, RECEIVING, QUEUED, file),
            )

    def add(self, instance: Instance, calling: str, now: float) -> bool:
        """Add an instance; its series is then awaited, whatever its state was.

        Args:
            instance: Instance with its file.
            calling: Title of the application entity that sent it.
            now: Time, in seconds since 1970.

        Returns:
            Whether its file is now in the queue; not if it was there before.
        """
        with self._database.transaction() as connection:
            series_id = _await(connection, instance.study_uid, instance.series_uid, calling, now)
            connection.execute(
                "DELETE FROM missing WHERE series_id = ? AND sop_uid = ?",
                (series_id, instance.sop_uid),
            )
            changed = connection.execute(
                "INSERT INTO instances (series_id, sop_uid, digest, patient, file) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (series_id, sop_uid, digest) DO UPDATE SET "
                "file = excluded.file WHERE file IS NULL",
                (
                    *(series_id, instance.sop_uid, instance.digest),
                    *(instance.patient, instance.file),
                ),
            )
            return changed.rowcount > 0

    def note_missing(self, uids: tuple[str, str, str], now: float) -> None:
        """Record that an image of a series could not be kept: the series is not complete without.

        Args:
            uids: StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID.
            now: Time, in seconds since 1970.
        """
        study_uid, series_uid, sop_uid = uids
        with self._database.transaction() as connection:
            series_id = _await(connection, study_uid, series_uid, "", now)
            connection.execute("INSERT OR IGNORE INTO missing VALUES (?, ?)", (series_id, sop_uid))

    def in_state(self, *states: str) -> list[Series]:
        """Return the series in one of these states, those with the fewest attempts first."""
        marks = ", ".join("?" * len(states))
        rows = self._database.rows(
            f"{_SELECT} WHERE state IN ({marks}) ORDER BY attempts, last_received", *states
        )
        return [Series(**row) for row in rows]

    def latest(self, count: int) -> list[Series]:
        """Return the series of which images arrived last, the latest first."""
        rows = self._database.rows(f"{_SELECT} ORDER BY last_received DESC LIMIT ?", count)
        return [Series(**row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return the number of series in each state."""
        rows = self._database.rows("SELECT state, COUNT(*) FROM series GROUP BY state")
        return dict.fromkeys((RECEIVING, QUEUED, *FINAL), 0) | dict(map(tuple, rows))

    def instances(self, series_id: int) -> list[Instance]:
        """Return the instances of a series in the order in which they arrived."""
        rows = self._database.rows(
            "SELECT study_uid, series_uid, sop_uid, digest, patient, file, instances.id FROM "
            "instances JOIN series ON series.id = series_id WHERE series_id = ? ORDER BY "
            "instances.id",
            series_id,
        )
        return [Instance(**row) for row in rows]

    def complete(self, series: Series) -> bool:
        """Queue a series, unless a further image has arrived.

        Returns:
            Whether it is queued now.
        """
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE series SET state = ? WHERE id = ? AND state = ? AND changes = ?",
                (QUEUED, series.id, RECEIVING, series.changes),
            )
            return changed.rowcount > 0

    def begin(self, series: Series) -> None:
        """Count an attempt."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE series SET attempts = attempts + 1 WHERE id = ?", (series.id,)
            )

    def end(self, series: Series, state: str, reason: str) -> bool:
        """End a series without a result, unless a further image has arrived.

        Args:
            series: Series as it was read from the queue.
            state: REFUSED or SKIPPED.
            reason: One line.

        Returns:
            Whether it ended.
        """
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE series SET state = ?, reason = ? WHERE id = ? AND state = ? AND "
                "changes = ?",
                (state, reason, series.id, series.state, series.changes),
            )
            return changed.rowcount > 0

    def files(self) -> set[str]:
        """Return the names of all received files."""
        rows = self._database.rows("SELECT file FROM instances WHERE file NOTNULL")
        return {row["file"] for row in rows}

    def forget_file(self, file: str) -> None:
        """Record that a file is missing."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE instances SET file = NULL WHERE file = ?", (file,))

    def forget_files(self, series: Series) -> tuple[list[str], list[str]]:
        """Record that the files of a series are removed, unless a further image has arrived.

        Args:
            series: Series as it was read from the queue, in a final state.

        Returns:
            Names of the received files and of the results to remove, which belong to nobody now.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT 1 FROM series WHERE id = ? AND state = ? AND changes = ?",
                (series.id, series.state, series.changes),
            ).fetchall()
            if not rows:
                return [], []
            received, results = (
                [
                    row["file"]
                    for row in connection.execute(
                        f"SELECT file FROM {table} WHERE series_id = ? AND file NOTNULL",
                        (series.id,),
                    )
                ]
                for table in ("instances", "results")
            )
            connection.execute(
                "UPDATE instances SET file = NULL, patient = '' WHERE series_id = ?", (series.id,)
            )
            connection.execute("UPDATE results SET file = NULL WHERE series_id = ?", (series.id,))
        return received, results


def _await(
    connection: sqlite3.Connection, study_uid: str, series_uid: str, calling: str, now: float
) -> int:
    """Add a series, or await it again, whatever its state was; return its number."""
    connection.execute(
        "INSERT INTO series (study_uid, series_uid, state, calling, first_received, "
        "last_received) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (study_uid, series_uid) DO "
        "UPDATE SET state = excluded.state, reason = '', attempts = 0, changes = changes + 1, "
        "calling = excluded.calling, last_received = excluded.last_received",
        (study_uid, series_uid, RECEIVING, calling, now, now),
    )
    row = connection.execute(
        "SELECT id FROM series WHERE study_uid = ? AND series_uid = ?", (study_uid, series_uid)
    ).fetchone()
    return row["id"]
