"""Compile kernels with Numba, and keep what was compiled in the user's own cache folder.

Numba's cache holds pickles: it belongs in a folder that only its user can write, never beside a
program file or in the installed package.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

_folder_lock = threading.Lock()


def jit(
    *,
    parallel: bool = False,
    fastmath: bool | frozenset[str] = False,
    forceinline: bool = False,
) -> Callable[[F], F]:
    """Return a decorator that compiles a function in Numba's nopython mode.

    Compiled code runs without the interpreter's lock, divides as NumPy does (no exception at
    zero), and is cached in ``$NUMBA_CACHE_DIR`` if that is set, else in ``photonpu/numba`` under
    ``$XDG_CACHE_HOME`` or ``~/.cache``. Where that folder cannot be made or written, functions
    are compiled anew in each process. Other people's functions keep their own cache.

    Numba looks for edits in the function's own file only. Functions may call compiled ones from
    other files named ``kernels*.py`` in the same folder, and what `photonpu.simd` and
    `photonpu.tasks` have: the cache is kept by all their contents.

    Parameters
    ----------
    parallel
        Run `numba.prange` loops on several threads.
    fastmath
        Relaxations of IEEE 754 that the optimiser may use, by LLVM's names; True for all.
    forceinline
        Make the function part of each compiled one that calls it: vectors then stay in registers.

    Returns
    -------
    Callable
        The decorator.
    """
    import numba

    options: dict[str, object] = {
        "parallel": parallel,
        "forceinline": forceinline,
        "fastmath": set(fastmath) if isinstance(fastmath, frozenset) else fastmath,
        "nogil": True,
        "error_model": "numpy",
    }

    def compile_lazily(function: F) -> F:
        with _folder_lock:
            given = numba.config.CACHE_DIR
            folder = given or _own_folder()
            numba.config.CACHE_DIR = folder and os.path.join(folder, _edition(function))
            try:
                return numba.njit(cache=bool(folder), **options)(function)  # type: ignore[no-any-return]
            finally:
                numba.config.CACHE_DIR = given

    return compile_lazily


def _own_folder() -> str:
    """Return the user's own cache folder, made with mode 0700, or ``""`` if there can be none."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "photonpu" / "numba"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):
        return ""
    return str(folder)


def _edition(function: Callable[..., object]) -> str:
    """Return a name for all that a compiled function may use: the cache's edition."""
    home = Path(function.__code__.co_filename).parent
    digest = hashlib.sha256()
    shared = (Path(__file__).with_name(name) for name in ("simd.py", "tasks.py"))
    for path in [*shared, *sorted(home.glob("kernels*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
