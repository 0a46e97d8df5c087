"""``photonpu machine``: what ships is listed and shown, and a file is checked as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.hardware import Machine

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_the_list_names_every_preset(photonpu: CommandLine) -> None:
    listed = photonpu.json("machine", "list")
    assert [item["name"] for item in listed] == list(Machine.presets())
    text = photonpu("machine", "list").stdout
    assert all(name in text for name in Machine.presets())


def test_what_is_shown_reads_back_as_the_same_machine(photonpu: CommandLine) -> None:
    text = photonpu("machine", "show", "mzi64-eo", "--set", "mesh.ports=32").stdout
    assert Machine.from_toml(text) == Machine.preset("mzi64-eo").override({"mesh.ports": 32})


def test_shown_values_come_with_their_sources(photonpu: CommandLine) -> None:
    shown = photonpu.json("machine", "show", "mzi64-eo")
    assert shown["values"]["mesh.ports"] == 64
    assert shown["sources"]["mesh.mzi_loss_db"]


def test_every_field_is_listed_with_unit_and_meaning(photonpu: CommandLine) -> None:
    fields = {item["path"]: item for item in photonpu.json("machine", "fields")}
    assert set(fields) == {item.path for item in Machine.fields()}
    assert fields["mesh.mzi_loss_db"]["unit"] == "dB"
    assert "mesh.mzi_loss_db" in photonpu("machine", "fields").stdout


def test_a_file_that_holds_is_checked_with_its_light(photonpu: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    Machine.preset("mzi64-eo").override({"name": "mine"}).save(path)
    checked = photonpu.json("machine", "check", path)
    assert checked["name"] == "mine"
    assert checked["laser_power_w"] > 0
    assert "machine 'mine' holds" in photonpu("machine", "check", path).stdout


def test_a_file_with_a_typo_names_the_key_that_was_meant(
    photonpu: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "mzi64-eo"\n[mesh]\nprots = 32\n')
    result = photonpu("machine", "check", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "mesh.prots" in result.stderr
    assert "did you mean 'mesh.ports'?" in result.stderr


def test_a_mistyped_preset_names_the_one_that_was_meant(photonpu: CommandLine) -> None:
    result = photonpu("machine", "show", "mzi64-oe")
    assert result.exit_code == 1
    assert "did you mean 'mzi64-eo'?" in result.stderr
