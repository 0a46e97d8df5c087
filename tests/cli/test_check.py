"""``photonpu check`` and ``compile --stop-after``: what would become of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from photonpu.compiler.stages import STAGES
from tests.cli.conftest import network

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_a_model_is_checked_without_a_program(
    photonpu: CommandLine, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = photonpu.json("check", tiny, "--set", "mesh.ports=8")
    assert found["tiles"] == 2
    assert found["macs"] == 9 * 8 * 8
    assert found["mac_share_on_mesh"] == 1.0
    assert found["operators"][0] == {
        "op": "Conv",
        "lane": "mesh",
        "count": 1,
        "macs": 576,
        "operations": 1152,
        "share": 1152 / (1152 + 4 * 64),
    }
    assert found["products_left_digital"] == found["notes"] == []
    assert list(tmp_path.iterdir()) == [tiny]


def test_the_check_agrees_with_the_compiler(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    checked = photonpu.json("check", tiny)
    compiled = photonpu.json("compile", tiny, "-o", tmp_path / "tiny.ppu")
    for key in ("name", "machine", "ports", "tiles", "macs", "mac_share_on_mesh"):
        assert checked[key] == compiled[key]


def test_the_check_tells_people_the_lanes(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("check", tiny)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "tiny on mzi64-eo: 1 of 2 operators on the mesh (2 in the file)" in result.stdout
    assert "100.0% of 576 MACs on the mesh" in result.stdout


def test_a_model_that_nothing_can_run_has_its_own_exit_code(
    photonpu: CommandLine, strange_network: Path
) -> None:
    result = photonpu("check", strange_network)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("error: node 'last' (org.example.Entangle)")


def test_a_program_that_is_not_there_is_named(photonpu: CommandLine) -> None:
    result = photonpu("check", "old.ppu")
    assert result.exit_code == 1
    assert "old.ppu" in result.stderr


def test_names_from_a_model_cannot_move_the_cursor(photonpu: CommandLine, tmp_path: Path) -> None:
    model = network()
    for node in model.graph.node:
        node.name = f"\x1b[2J{node.name}"
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "\x1b[2Jsum"
    path = tmp_path / "rude.onnx"
    onnx.save(model, path)
    for words in (["check", path], ["compile", path, "--stop-after", "lower"]):
        result = photonpu(*words)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert "\\x1b[2J" in result.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_printed_and_writes_no_program(
    photonpu: CommandLine,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = photonpu("compile", tiny, "--stop-after", stage)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "Conv" in result.stdout
    told = photonpu.json("compile", tiny, "--stop-after", stage)
    assert told == {"stage": stage, "lines": result.stdout.rstrip("\n").split("\n")}
    assert list(tmp_path.iterdir()) == [tiny]


def test_the_help_names_every_stage(photonpu: CommandLine) -> None:
    text = " ".join(photonpu("compile", "--help").stdout.replace("│", " ").split())
    *first, last = STAGES
    assert f"{', '.join(first)} or {last}" in text


@pytest.mark.parametrize(
    ("stage", "guess"), [("tiling", "; did you mean 'tile'? There are"), ("NONE", "; there are")]
)
def test_an_unknown_stage_names_all_before_the_model_is_read(
    photonpu: CommandLine, tmp_path: Path, stage: str, guess: str
) -> None:
    result = photonpu("compile", tmp_path / "missing.onnx", "--stop-after", stage)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: no stage is called '{stage}'{guess}: read, simplify, passes, lower, tile, "
        "program\n"
    )


def test_a_stage_and_an_output_exclude_each_other(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.ppu"
    result = photonpu("compile", tiny, "-o", out, "--stop-after", "lower")
    assert result.exit_code == 2
    assert "with --stop-after no program is written" in result.stderr
    assert not out.exists()
