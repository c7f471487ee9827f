"""The database of a node: one SQLite file that survives the end of the process at any moment."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liverseg_tf.errors import LiverSegError, first_line

_VERSION = 1
_SCHEMA = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    study_uid TEXT NOT NULL,
    series_uid TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    changes INTEGER NOT NULL DEFAULT 0,
    calling TEXT NOT NULL DEFAULT '',
    first_received REAL NOT NULL,
    last_received REAL NOT NULL,
    UNIQUE (study_uid, series_uid)
);
CREATE TABLE instances (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series,
    sop_uid TEXT NOT NULL,
    digest TEXT NOT NULL,
    patient TEXT NOT NULL,
    file TEXT,
    UNIQUE (series_id, sop_uid, digest)
);
CREATE TABLE missing (
    series_id INTEGER NOT NULL REFERENCES series,
    sop_uid TEXT NOT NULL,
    UNIQUE (series_id, sop_uid)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series,
    content TEXT NOT NULL,
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL,
    sop_class TEXT NOT NULL,
    sop_uid TEXT NOT NULL UNIQUE,
    file TEXT,
    made REAL NOT NULL
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    result_id INTEGER NOT NULL REFERENCES results,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt REAL NOT NULL,
    commitment TEXT NOT NULL DEFAULT '',
    transaction_uid TEXT NOT NULL DEFAULT '',
    UNIQUE (result_id, destination)
);
CREATE INDEX instance_digests ON instances (sop_uid, digest);
CREATE UNIQUE INDEX instance_files ON instances (file);
CREATE INDEX open_deliveries ON deliveries (destination, state);
CREATE INDEX series_states ON series (state, last_received);
"""


class DatabaseError(LiverSegError):
    """A database that cannot be read or written, for example on a full disk."""


class Database:
    """A connection that all threads of a node share.

    A transaction is on the disk when it ends (write-ahead log with full synchronisation).

    Args:
        path: Path of the file, which is created if it is missing.

    Raises:
        DatabaseError: If the file cannot be read or written, or is not of this version.
    """

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.RLock()
        with self._errors():
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise DatabaseError(
                    f"Expected a queue of version {_VERSION} in {path}. Received version "
                    f"{version}: use another folder."
                )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that are all done, or none of them.

        Yields:
            The connection.

        Raises:
            DatabaseError: If the database cannot be read or written.
        """
        with self._lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query.

        Raises:
            DatabaseError: If the database cannot be read.
        """
        with self._lock, self._errors():
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DatabaseError(
                f"Expected to read and write the queue {self._path}. Received: {first_line(error)}."
            ) from error
