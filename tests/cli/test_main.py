"""The program as a process: help at once, results on stdout, everything else on stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import photonpu as package

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine

VERBS = ("check", "compile", "simulate", "estimate", "sweep", "machine", "ops", "models", "demo")


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = str(Path(package.__file__).parents[1])
    environment = {"PATH": "", "PYTHONPATH": root, "HOME": str(cwd), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_the_module_runs_and_reports_an_error_in_one_line(tmp_path: Path) -> None:
    done = python("-m", "photonpu", "estimate", "missing.onnx", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: 'missing.onnx': no such file")


def test_help_imports_nothing_that_is_slow(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from photonpu.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "slow = {'numpy', 'numba', 'onnx', 'onnxruntime', 'pandas', 'scipy', 'PIL', 'pydantic', "
        "'rich'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = python("-c", script, cwd=tmp_path)
    assert done.stderr == "[]\n"
    assert all(f"  {verb}" in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(photonpu: CommandLine, verb: str) -> None:
    result = photonpu(verb, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_the_version_is_that_of_the_package(photonpu: CommandLine) -> None:
    assert photonpu("--version").stdout == f"photonpu {package.__version__}\n"


def test_an_unknown_verb_is_wrong_usage(photonpu: CommandLine) -> None:
    result = photonpu("simulat")
    assert result.exit_code == 2
    assert "simulate" in result.stderr


def test_a_bug_shows_its_traceback(
    photonpu: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(program: object, batch: int, machine: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("photonpu.simulator.estimate", fail)
    with pytest.raises(ZeroDivisionError):
        photonpu("estimate", tiny)


def while_loading() -> ImportError:
    """Return what compiled modules make of Ctrl-C while they are loaded."""
    error = ImportError("initialization failed")
    error.__cause__ = KeyboardInterrupt()
    return error


def inside_a_kernel() -> SystemError:
    """Return what a compiled kernel makes of Ctrl-C."""
    inner = SystemError("returned a result with an exception set")
    inner.__cause__ = KeyboardInterrupt()
    error = SystemError("returned a result with an exception set")
    error.__cause__ = inner
    return error


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), while_loading(), inside_a_kernel()])
def test_ctrl_c_ends_with_its_own_exit_code(
    photonpu: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def interrupt(program: object, batch: int, machine: object) -> None:
        raise stop

    monkeypatch.setattr("photonpu.simulator.estimate", interrupt)
    result = photonpu("estimate", tiny)
    assert result.exit_code == 130
    assert result.stderr == "interrupted; nothing was left half-written\n"


def test_ctrl_c_ends_with_its_own_exit_code_while_the_command_line_is_loading(
    tmp_path: Path,
) -> None:
    script = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'photonpu.cli.options': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from photonpu.cli import main\n"
        "main()\n"
    )
    done = python("-c", script, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr == "interrupted; nothing was left half-written\n"
