"""``photonpu export`` and ``machine draw | meshes``: files for other tools and for the eye."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_a_program_is_exported_to_a_file_and_to_stdout(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    compiled, out = tmp_path / "tiny.ppu", tmp_path / "phases.json"
    assert photonpu("compile", tiny, "-o", compiled, "--set", "mesh.ports=8").exit_code == 0
    assert photonpu("export", compiled, "-o", out).exit_code == 0
    assert len(json.loads(out.read_text())["tiles"]) == 2
    one = photonpu("export", compiled, "--format", "sax", "--tile", 1)
    assert set(json.loads(one.stdout)["vh"]) == {"instances", "connections", "ports"}


def test_an_export_of_what_is_not_there_is_one_line(photonpu: CommandLine, tmp_path: Path) -> None:
    told = photonpu("export", tmp_path / "none.ppu")
    assert told.exit_code == 1
    assert "no such file; `photonpu compile` makes one" in told.stderr


def test_a_mesh_is_drawn(photonpu: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "mesh.svg"
    told = photonpu("machine", "draw", "mzi16-mems", "-o", file)
    assert told.exit_code == 0
    assert "drew clements of 16 ports" in told.stderr
    assert "clements, 16 ports: 120 interferometers, 16 columns" in file.read_text()


def test_topologies_are_listed_with_their_parts(photonpu: CommandLine) -> None:
    told = {item["name"]: item for item in photonpu.json("machine", "meshes", "--ports", 8)}
    assert told["diamond"]["mzis"] == 49
    assert told["clements"]["path"] == [4, 7.0, 8]
    assert told["butterfly"]["universal"] is False
    assert told["clements-real"]["real"] is True
    rows = photonpu("machine", "meshes", "--ports", 6).stdout
    assert "butterfly" not in rows
    assert "clements-3" in rows
