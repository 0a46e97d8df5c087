"""Finished points of a sweep in one SQLite file: each is committed by itself, none is lost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from photonpu.errors import SweepError
from photonpu.ledger import Format, Ledger
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
_FORMAT = Format("store of a sweep", APPLICATION_ID, SCHEMA_VERSION, _TABLE, SweepError)


class Store(Ledger):
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
        super().__init__(path, _FORMAT)

    def get(self, identity: str) -> Outcome | None:
        """Return the outcome of the point with this id, or None where there is none yet.

        Raises
        ------
        SweepError
            The file is damaged.
        """
        with self.translate():
            row = self.connection.execute(
                "SELECT outcome FROM points WHERE id = ?", (identity,)
            ).fetchone()
        if row is None:
            return None
        try:
            return _outcome(row[0])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self.damaged(f"point {identity[:12]} does not read") from None

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
        with self.translate():
            self.connection.execute(
                "INSERT OR REPLACE INTO points (id, subject, outcome, seconds) VALUES (?, ?, ?, ?)",
                (identity, *texts, seconds),
            )

    def __len__(self) -> int:
        """Return the number of finished points, of all sweeps that use this file."""
        with self.translate():
            return int(self.connection.execute("SELECT count(*) FROM points").fetchone()[0])


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
