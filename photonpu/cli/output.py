"""How verbs answer: text for people or JSON for programs, on stdout and nowhere else."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import typer

from photonpu.errors import StorageError
from photonpu.storage import atomic_write

BOUND_MISSED = 4


def emit(value: object, text: str, *, as_json: bool) -> None:
    """Write `value` as JSON, or `text`, to stdout."""
    typer.echo(to_json(value) if as_json else text)


def note(text: str, *, quiet: bool = False) -> None:
    """Write a line for people to stderr."""
    if not quiet:
        print(text, file=sys.stderr)


def to_json(value: object) -> str:
    """Return strict JSON: NaN and infinity become null, what is no plain character escaped."""
    text = json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def write_file(path: Path, data: bytes) -> None:
    """Write a file.

    Raises
    ------
    StorageError
        It cannot be written.
    """

    def write(file: BinaryIO) -> None:
        file.write(data)

    atomic_write(path, write)


def make_folder(path: Path) -> None:
    """Make a folder, and those that it is in, where there is none.

    Raises
    ------
    StorageError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make folder '{path}': {error.strerror or error}; choose another place"
        ) from error


def refuse(missed: list[str]) -> None:
    """End with the exit code of a missed bound, if `missed` says of any.

    Raises
    ------
    typer.Exit
        `missed` is not empty.
    """
    for line in missed:
        typer.echo(f"bound missed: {line}", err=True)
    if missed:
        raise typer.Exit(BOUND_MISSED)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value
