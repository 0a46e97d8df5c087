"""Results in one SQLite file: each is committed by itself, none is lost.

The file is in WAL mode, so that a kill at any moment leaves every committed result readable.
``PRAGMA user_version`` holds the version of the schema, ``application_id`` says whose file it is.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from photonpu.errors import PhotonpuError, StorageError

_NOT_WRITABLE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


@dataclass(frozen=True, slots=True)
class Format:
    """What kind of results a file holds.

    Attributes
    ----------
    owner
        Whose it is, as in "store of a sweep".
    application_id, schema_version
        Numbers in the file that say so.
    table
        The SQL statement that makes its table.
    error
        What is raised where a file is none of this kind.
    """

    owner: str
    application_id: int
    schema_version: int
    table: str
    error: type[PhotonpuError]


class Ledger:
    """Results by their id, kept in one file.

    Parameters
    ----------
    path
        An SQLite file, made where there is none; None keeps the results in memory.
    form
        What kind of results it holds.

    Raises
    ------
    PhotonpuError
        ``form.error``: the file is none of this kind, is damaged, or has another version's schema.
    StorageError
        The file cannot be made or written.
    """

    def __init__(self, path: str | Path | None, form: Format) -> None:
        self.path = path
        self.form = form
        with self.translate():
            self.connection = sqlite3.connect(
                ":memory:" if path is None else path, timeout=30.0, isolation_level=None
            )
        try:
            with self.translate():
                self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        """Return the open ledger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what was put is in it."""
        self.connection.close()

    def _prepare(self) -> None:
        """Check whose file it is, or make the table in an empty one."""
        owner = self._pragma("application_id")
        version = self._pragma("user_version")
        if owner == 0 and self._pragma("schema_version") == 0:
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("BEGIN IMMEDIATE")
            if self._pragma("application_id") == 0:
                self.connection.execute(self.form.table)
                self.connection.execute(f"PRAGMA application_id = {self.form.application_id}")
                self.connection.execute(f"PRAGMA user_version = {self.form.schema_version}")
            self.connection.execute("COMMIT")
        elif owner != self.form.application_id:
            raise self.form.error(
                f"'{self.path}' is a database of another application; "
                "choose another file for the store"
            )
        elif version != self.form.schema_version:
            raise self.form.error(
                f"'{self.path}' has schema version {version} and this photonpu reads version "
                f"{self.form.schema_version}; choose another file for the store"
            )

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def translate(self) -> Iterator[None]:
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
                raise self.form.error(
                    f"'{self.path}' is locked by another process; wait for it to end"
                ) from error
            raise self.damaged(str(error)) from error

    def damaged(self, reason: str) -> PhotonpuError:
        """Return the error that says that the file does not read."""
        return self.form.error(
            f"'{self.path}' is no {self.form.owner}, or is damaged ({reason}); "
            "move it away, or choose another file for the store"
        )
