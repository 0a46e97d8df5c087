"""Compiled kernels and the folder that their cache lives in."""

import importlib
import importlib.util
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu.jit import jit

KERNEL = """
from photonpu.jit import jit

@jit()
def reciprocal(x):
    return 1.0 / x
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Return a function that imports a fresh module with one kernel, its file beside nothing."""
    home = tmp_path / "module"
    home.mkdir()
    (home / "fresh_kernel.py").write_text(KERNEL)

    def load() -> Any:
        spec = importlib.util.spec_from_file_location("fresh_kernel", home / "fresh_kernel.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "fresh_kernel", module)
        spec.loader.exec_module(module)
        return module.reciprocal

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    return load


def compiled_files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.rglob("*.nb*"))


def test_the_cache_is_in_the_users_own_folder_and_nobody_else_may_enter(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kernel()(4.0)
    folder = tmp_path / "cache" / "photonpu" / "numba"
    assert compiled_files(folder) == [".nbc", ".nbi"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert compiled_files(tmp_path / "module") == []


def test_without_xdg_cache_home_the_folder_is_in_the_home_folder(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    kernel()(4.0)
    assert compiled_files(tmp_path / ".cache" / "photonpu" / "numba") == [".nbc", ".nbi"]


def test_a_second_process_finds_what_was_compiled(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel()(4.0)
    again = kernel()
    again(4.0)
    assert sum(again.stats.cache_hits.values()) == 1


def test_numbas_own_setting_of_the_folder_wins(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "unused"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "chosen"))
    kernel()(4.0)
    assert compiled_files(tmp_path / "chosen") == [".nbc", ".nbi"]
    assert not (tmp_path / "unused").exists()


def test_a_folder_that_cannot_be_made_means_no_cache(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kernel()(4.0) == 0.25
    assert compiled_files(tmp_path) == []


def test_the_setting_for_other_functions_is_left_as_it_was(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel()
    assert numba.config.CACHE_DIR == ""


def test_division_by_zero_is_infinite_as_in_numpy(
    kernel: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernel()(0.0) == np.inf


def test_the_options_reach_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    @jit(parallel=True, fastmath=frozenset({"contract"}))
    def squares(x: NDArray[np.float64]) -> NDArray[np.float64]:
        y = np.empty_like(x)
        for i in numba.prange(len(x)):
            y[i] = x[i] * x[i]
        return y

    compiled: Any = squares
    npt.assert_array_equal(compiled(np.arange(4.0)), [0, 1, 4, 9])
    assert compiled.targetoptions["parallel"] is True
    assert compiled.targetoptions["fastmath"] == {"contract"}


def test_an_edit_in_a_neighbouring_file_of_kernels_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Numba alone compares the file of the outer function only, and would return 1.0 again.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    outer = """
from kernels_inner import inner
from photonpu.jit import jit

@jit()
def outer():
    return inner()
"""
    (tmp_path / "kernels_outer.py").write_text(outer)
    monkeypatch.syspath_prepend(tmp_path)
    for answer in (1.0, 2.0):
        inner = f"from photonpu.jit import jit\n\n@jit()\ndef inner():\n    return {answer}\n"
        (tmp_path / "kernels_inner.py").write_text(inner)
        for name in ("kernels_inner", "kernels_outer"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        assert importlib.import_module("kernels_outer").outer() == answer
