"""Writing files so that a kill, or a full disk, leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from photonpu.errors import StorageError


def atomic_write(path: str | Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under a temporary name beside `path`, flush it, and rename it.

    Parameters
    ----------
    path
        Where the file is to stand.
    write
        Called once with the open binary file.

    Raises
    ------
    StorageError
        The folder is missing, not writable or full; `path` is as it was before.
    """
    target = Path(path)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise _cannot(target, error.strerror or error) from error
        raise


def check_place(path: str | Path) -> None:
    """Make sure, before anything is computed, that a file could be written.

    Parameters
    ----------
    path
        Where the file is to stand.

    Raises
    ------
    StorageError
        It names a folder, or its folder is missing or not writable.
    """
    target = Path(path)
    wrong = (
        (target.is_dir(), errno.EISDIR),
        (not target.parent.is_dir(), errno.ENOENT),
        (not os.access(target.parent, os.W_OK), errno.EACCES),
    )
    for found, number in wrong:
        if found:
            raise _cannot(target, os.strerror(number))


def _cannot(target: Path, why: object) -> StorageError:
    return StorageError(
        f"cannot write '{target}': {why}; free space, or choose a folder that exists and is "
        "writable"
    )


def _umask() -> int:
    """Return the process's file mode mask; the system only tells it by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
