"""Writing files so that a kill, or a full disk, leaves the old file or the new one."""

from __future__ import annotations

import contextlib
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
            raise StorageError(
                f"cannot write '{target}': {error.strerror or error}; "
                "free space, or choose a folder that exists and is writable"
            ) from error
        raise


def _umask() -> int:
    """Return the process's file mode mask; the system only tells it by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
