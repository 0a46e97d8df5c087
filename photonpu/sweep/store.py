"""Finished points of a sweep in one SQLite file: each is committed by itself, none is lost.

The file is in WAL mode, so that a kill at any moment leaves every committed point readable.
``PRAGMA user_version`` holds the version of the schema, ``application_id`` says whose file it is.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from photonpu.errors import StorageError, SweepError
from photonpu.sweep.study import NAN, Interval, Outcome

APPLICATION_ID = int.from_bytes(b"PPUS", "big")
SCHEMA_VERSION = 1

_TABLE = """
CREATE TABLE points (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    seconds REAL NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) WITHOUT ROWID
"""
_NOT_WRITABLE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


class Store:
    """Outcomes by the id of their point, kept in one file.

    Parameters
    ----------
    path
        An SQLite file, made where there is none; None keeps the outcomes in memory.

    Raises
    ------
    SweepError
        The file is none of a sweep, is damaged, or has the schema of another version.
    StorageError
        The file cannot be made or written.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = path
        with self._translate():
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path, timeout=30.0, isolation_level=None
            )
        try:
            with self._translate():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        """Return the open store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what was put is in it."""
        self._connection.close()

    def get(self, identity: str) -> Outcome | None:
        """Return the outcome of the point with this id, or None where there is none yet.

        Raises
        ------
        SweepError
            The file is damaged.
        """
        with self._translate():
            row = self._connection.execute(
                "SELECT outcome FROM points WHERE id = ?", (identity,)
            ).fetchone()
        if row is None:
            return None
        try:
            return _outcome(row[0])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged(f"point {identity[:12]} does not read") from None

    def put(
        self, identity: str, subject: Mapping[str, object], outcome: Outcome, seconds: float
    ) -> None:
        """Commit the outcome of one point.

        Parameters
        ----------
        identity
            Its id.
        subject
            What the id is the hash of, kept for people who ask later.
        outcome
            What was found.
        seconds
            How long it took.

        Raises
        ------
        StorageError
            The disk is full; the points before this one are in the file.
        """
        texts = json.dumps(subject), json.dumps(_blank_nan(asdict(outcome)), allow_nan=False)
        with self._translate():
            self._connection.execute(
                "INSERT OR REPLACE INTO points (id, subject, outcome, seconds) VALUES (?, ?, ?, ?)",
                (identity, *texts, seconds),
            )

    def __len__(self) -> int:
        """Return the number of finished points, of all sweeps that use this file."""
        with self._translate():
            return int(self._connection.execute("SELECT count(*) FROM points").fetchone()[0])

    def _prepare(self) -> None:
        """Check whose file it is, or make the table in an empty one."""
        owner = self._pragma("application_id")
        version = self._pragma("user_version")
        if owner == 0 and self._pragma("schema_version") == 0:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("BEGIN IMMEDIATE")
            if self._pragma("application_id") == 0:
                self._connection.execute(_TABLE)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._connection.execute("COMMIT")
        elif owner != APPLICATION_ID:
            raise SweepError(
                f"'{self.path}' is a database of another application; "
                "choose another file for the store"
            )
        elif version != SCHEMA_VERSION:
            raise SweepError(
                f"'{self.path}' has schema version {version} and this photonpu reads version "
                f"{SCHEMA_VERSION}; choose another file for the store"
            )

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _translate(self) -> Iterator[None]:
        """Turn SQLite's errors into photonpu's."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in _NOT_WRITABLE:
                raise StorageError(
                    f"cannot write '{self.path}': {error}; "
                    "free space, or choose a folder that exists and is writable"
                ) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise SweepError(
                    f"'{self.path}' is locked by another process; wait for it to end"
                ) from error
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> SweepError:
        return SweepError(
            f"'{self.path}' is no store of a sweep, or is damaged ({reason}); "
            "move it away, or choose another file for the store"
        )


def _outcome(text: str) -> Outcome:
    """Return the outcome that `put` wrote."""
    record = json.loads(text)
    metrics = {name: Interval(**_fill_nan(item)) for name, item in record.pop("metrics").items()}
    tiles, error = record.pop("tiles"), record.pop("error")
    return Outcome(metrics, tiles=tiles, error=error, **_fill_nan(record))


def _fill_nan(record: Mapping[str, float | None]) -> dict[str, float]:
    return {key: NAN if value is None else value for key, value in record.items()}


def _blank_nan(value: object) -> object:
    """Return `value` with None for NaN and infinity, which JSON has not."""
    if isinstance(value, Mapping):
        return {key: _blank_nan(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
