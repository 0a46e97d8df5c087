"""Untrusted models on the command line: the child process, its limits, and doing without."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from photonpu.cli.options import LIMIT_OPTIONS
from photonpu.compiler.untrusted import sandbox
from photonpu.compiler.untrusted.limits import Limits
from tests.cli.conftest import network

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine

VERBS = ("check", "compile", "estimate", "simulate", "sweep")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that fills with the paths that a child process was asked to read."""
    asked: list[Any] = []
    read = sandbox.read_confined

    def note(path: str, **options: Any) -> Any:
        asked.append(path)
        return read(path, **options)

    monkeypatch.setattr(sandbox, "read_confined", note)
    return asked


def test_every_limit_is_an_option_and_its_default_is_told() -> None:
    defaults = dataclasses.asdict(Limits())
    assert {option.field for option in LIMIT_OPTIONS} == set(defaults)
    for option in LIMIT_OPTIONS:
        assert float(option.default) * option.unit == defaults[option.field]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_reads_models_has_the_options(photonpu: CommandLine, verb: str) -> None:
    shown = photonpu(verb, "--help").stdout
    assert "--trust " in shown
    for option in LIMIT_OPTIONS:
        assert f"--{option.name.replace('_', '-')} {option.metavar} " in shown


def test_a_file_is_read_by_a_child_once_for_each_command(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path, children: list[Any]
) -> None:
    photonpu.json("check", tiny)
    photonpu.json("compile", tiny, "-o", tmp_path / "tiny.ppu")
    photonpu.json("estimate", tiny)
    photonpu.json("simulate", tiny, "--data", squares, "--chips", 1, "-q", "--metrics", "dice")
    photonpu.json(
        "sweep", tiny, "--vary", "mesh.ports=8", "--store", tmp_path / "sweep.sqlite", "-q"
    )
    assert children == [str(tiny)] * 5


def test_trusted_files_and_what_comes_with_photonpu_need_no_child(
    photonpu: CommandLine, tiny: Path, children: list[Any]
) -> None:
    trusted = photonpu.json("check", tiny, "--trust")
    photonpu.json("check", "tumour-unet")
    assert children == []
    assert photonpu.json("check", tiny) == trusted


@pytest.mark.parametrize("trust", [[], ["--trust"]])
def test_a_limit_refuses_the_model_with_and_without_a_child(
    photonpu: CommandLine, tiny: Path, trust: list[str]
) -> None:
    result = photonpu("check", tiny, "--max-nodes", 1, *trust)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "1 is the limit for nodes" in result.stderr


def test_a_limit_holds_for_what_comes_with_photonpu_too(photonpu: CommandLine) -> None:
    for words in (["check", "buda-unet"], ["compile", "tumour-unet", "--stop-after", "read"]):
        result = photonpu(*words, "--max-nodes", 3)
        assert result.exit_code == 1
        assert "3 is the limit for nodes" in result.stderr


@pytest.mark.parametrize("stage", ["simplify", "passes", "lower", "tile", "program"])
def test_a_limit_holds_at_every_stage_for_the_shapes_that_are_asked_for(
    photonpu: CommandLine, tmp_path: Path, stage: str
) -> None:
    model = network()
    for axis in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_param = "size"
    (tmp_path / "free.onnx").write_bytes(model.SerializeToString())
    words = ["compile", tmp_path / "free.onnx", "--stop-after", stage, "--max-elements", 99]
    small = photonpu(*words, "--trust", "--shape", "image=1x1x8x8")
    large = photonpu(*words, "--trust", "--shape", "image=1x1x10x10")
    assert (small.exit_code, large.exit_code) == (0, 1), small.stderr
    assert "99 is the limit for elements" in large.stderr


def test_gigabytes_are_converted(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("check", tiny, "--max-file-gb", 1e-7)
    assert result.exit_code == 1
    assert "107" in result.stderr  # 1e-7 * 2**30 bytes


def test_a_limit_of_nothing_is_refused(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("check", tiny, "--max-seconds", 0)
    assert result.exit_code == 1
    assert "seconds = 0" in result.stderr
    assert "give a positive number" in result.stderr


def test_a_crash_of_the_child_is_one_line_and_an_exit_code(
    photonpu: CommandLine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sandbox.read_confined

    def crash(path: str, **options: Any) -> Any:
        return read(path, work="tests.compiler.deaths:crash", **options)

    monkeypatch.setattr(sandbox, "read_confined", crash)
    result = photonpu("check", tiny)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"error: '{tiny}': reading and checking it crashed with SIGSEGV: the file is damaged or "
        "hostile; nothing was taken from it; export the model again\n"
    )
