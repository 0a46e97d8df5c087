"""Masks of finished runs in one SQLite file, by the id of all that affects them."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import DataError
from photonpu.ledger import Format, Ledger

Masks = NDArray[np.bool_]

APPLICATION_ID = int.from_bytes(b"PPUE", "big")
SCHEMA_VERSION = 1

_TABLE = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    masks BLOB NOT NULL,
    seconds REAL NOT NULL,
    finished TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) WITHOUT ROWID
"""
_FORMAT = Format("store of an evaluation", APPLICATION_ID, SCHEMA_VERSION, _TABLE, DataError)


class KeptMasks(Ledger):
    """Masks by the id of their run: a network on all cases of a data set.

    Parameters
    ----------
    path
        An SQLite file, made where there is none.

    Raises
    ------
    DataError
        The file is none of an evaluation, is damaged, or has the schema of another version.
    StorageError
        The file cannot be made or written.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, _FORMAT)

    def get(self, subject: Mapping[str, object], shape: tuple[int, ...]) -> Masks | None:
        """Return the masks of a run, or None where there are none yet.

        Parameters
        ----------
        subject
            All that affects them.
        shape
            What they have.

        Raises
        ------
        DataError
            The file is damaged.
        """
        found = identity(subject)
        with self.translate():
            row = self.connection.execute(
                "SELECT masks FROM runs WHERE id = ?", (found,)
            ).fetchone()
        if row is None:
            return None
        count = int(np.prod(shape))
        size = -(-count // 8)
        try:
            packed = zlib.decompressobj().decompress(row[0], size + 1)
        except (zlib.error, TypeError):
            packed = b""
        if len(packed) != size:
            raise self.damaged(f"run {found[:12]} does not read")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
        return bits.astype(np.bool_).reshape(shape)

    def put(self, subject: Mapping[str, object], masks: Masks, seconds: float) -> None:
        """Commit the masks of one run, and how long it took.

        Raises
        ------
        StorageError
            The disk is full; the runs before this one are in the file.
        """
        packed = zlib.compress(np.packbits(masks).tobytes(), 1)
        with self.translate():
            self.connection.execute(
                "INSERT OR REPLACE INTO runs (id, subject, masks, seconds) VALUES (?, ?, ?, ?)",
                (identity(subject), json.dumps(subject, sort_keys=True), packed, seconds),
            )


def identity(subject: Mapping[str, object]) -> str:
    """Return the hash of everything that affects a result."""
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()


def fingerprint(*values: object) -> str:
    """Return the hash of values: arrays, dataclasses, and what they and collections hold."""
    digest = hashlib.sha256()
    _feed(digest, values)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, value: object) -> None:
    """Add a value to a hash; each part is told apart from the next by its kind and size."""
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, bytes):
        digest.update(f"bytes {len(value)} ".encode() + value)
    elif isinstance(value, Mapping):
        digest.update(f"mapping {len(value)} ".encode())
        for key in sorted(value):
            _feed(digest, (key, value[key]))
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(f"{type(value).__name__} ".encode())
        _feed(digest, {field.name: getattr(value, field.name) for field in fields(value)})
    elif isinstance(value, Sequence) and not isinstance(value, str):
        digest.update(f"sequence {len(value)} ".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{type(value).__name__} {value!r} ".encode())
