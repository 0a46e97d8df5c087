"""Writing files: the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from photonpu.errors import StorageError
from photonpu.storage import atomic_write


def write_new(file: BinaryIO) -> None:
    """Write three bytes."""
    file.write(b"new")


def write_much(file: BinaryIO) -> None:
    """Write more than the limit that its test sets."""
    file.write(bytes(100_000))


def fail_with(error: BaseException, file: BinaryIO) -> None:
    """Write a part, then fail."""
    file.write(b"half")
    raise error


def test_what_is_written_stands_in_the_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", write_new)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old and longer")
    atomic_write(tmp_path / "a", write_new)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_name_as_text_will_do(tmp_path: Path) -> None:
    atomic_write(str(tmp_path / "a"), write_new)
    assert (tmp_path / "a").exists()


def test_the_file_has_the_rights_that_open_would_give(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", write_new)
    (tmp_path / "b").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "b").stat().st_mode
    )


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(
        StorageError, match=r"cannot write '.*a': No space left on device; free space, or choose"
    ):
        atomic_write(tmp_path / "a", lambda file: fail_with(full, file))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write '.*a': File too large"):
            atomic_write(tmp_path / "a", write_much)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("broken")])
def test_an_interruption_leaves_the_old_file_and_passes_on(
    tmp_path: Path, error: BaseException
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(type(error)):
        atomic_write(tmp_path / "a", lambda file: fail_with(error, file))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write '.*missing/a': No such file"):
        atomic_write(tmp_path / "missing" / "a", write_new)


def test_a_folder_in_the_way_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match=r"cannot write '.*a': Is a directory"):
        atomic_write(tmp_path / "a", write_new)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
