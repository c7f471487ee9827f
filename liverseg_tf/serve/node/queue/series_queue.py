"""The queue of a node: which series were received, and how far each of them is."""

from dataclasses import dataclass

from liverseg_tf.serve.node.queue.database import Database

# states of a series; the last three are final until further images arrive
RECEIVING, QUEUED, DONE, REFUSED, SKIPPED = "receiving", "queued", "done", "refused", "skipped"
FINAL = (DONE, REFUSED, SKIPPED)


@dataclass(frozen=True)
class Instance:
    """A received instance.

    Args:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        digest: Digest of its data set; see `uids.digest_instance`.
        patient: Digest of its PatientID.
        file: Name of its file in the folder of received files. None if it was removed.
        id: Number in the queue; 0 if it is not yet there.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    digest: str
    patient: str
    file: str | None
    id: int = 0


@dataclass(frozen=True)
class Series:
    """A series in the queue.

    Args:
        id: Number in the queue.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        state: RECEIVING, QUEUED, DONE, REFUSED or SKIPPED.
        reason: Why it was refused or skipped, one line.
        attempts: How often work on it has begun since its last image arrived.
        changes: How often an image has arrived, so that work on an earlier state is recognised.
        calling: Title of the application entity that sent it.
        first_received: Time of the first image, in seconds since 1970.
        last_received: Time of the last image.
        images: Number of images with different SOPInstanceUIDs.
    """

    id: int
    study_uid: str
    series_uid: str
    state: str
    reason: str
    attempts: int
    changes: int
    calling: str
    first_received: float
    last_received: float
    images: int

    def __str__(self) -> str:
        return f"series {self.id} ({self.series_uid})"


_SELECT = """
SELECT series.*, (SELECT COUNT(DISTINCT sop_uid) FROM instances WHERE series_id = series.id)
    AS images FROM series
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
            connection.execute(
                "INSERT INTO series (study_uid, series_uid, state, calling, first_received, "
                "last_received) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (study_uid, series_uid) DO "
                "UPDATE SET state = excluded.state, reason = '', attempts = 0, changes = changes + "
                "1, calling = excluded.calling, last_received = excluded.last_received",
                (instance.study_uid, instance.series_uid, RECEIVING, calling, now, now),
            )
            (series_id,) = connection.execute(
                "SELECT id FROM series WHERE study_uid = ? AND series_uid = ?",
                (instance.study_uid, instance.series_uid),
            ).fetchone()
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

    def forget_files(self, series: Series) -> list[str]:
        """Record that the files of a series are removed, unless a further image has arrived.

        Args:
            series: Series as it was read from the queue, in a final state.

        Returns:
            Names of the files to remove: received ones, which no longer belong to anybody.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT file FROM instances JOIN series ON series.id = series_id WHERE file "
                "NOTNULL AND series_id = ? AND state = ? AND changes = ?",
                (series.id, series.state, series.changes),
            ).fetchall()
            files = [row["file"] for row in rows]
            connection.executemany(
                "UPDATE instances SET file = NULL, patient = '' WHERE file = ?",
                [(file,) for file in files],
            )
            if files:
                connection.execute(
                    "UPDATE results SET file = NULL WHERE series_id = ?", (series.id,)
                )
        return files
