"""Machine files: what they extend, and how bad ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonpu.errors import MachineError
from photonpu.hardware import Machine


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_extends_the_default_and_takes_its_own_name(tmp_path: Path) -> None:
    machine = Machine.load(write(tmp_path, "[mesh]\nports = 32\n"))

    assert machine.name == "mine"
    assert machine.mesh.ports == 32
    assert machine.mesh.mzi_loss_db == Machine.preset("mzi64-eo").mesh.mzi_loss_db


def test_a_file_extends_a_preset(tmp_path: Path) -> None:
    machine = Machine.load(write(tmp_path, 'extends = "lt-mzi"\ncores = 4\n'))

    assert machine.mesh.ports == 12
    assert machine.cores == 4


def test_a_file_extends_a_file_beside_it(tmp_path: Path) -> None:
    write(tmp_path, 'extends = "lt-mzi"\n[mesh]\nmzi_loss_db = 0.5\n', "base.toml")

    machine = Machine.load(write(tmp_path, 'extends = "base.toml"\ncores = 4\n'))

    assert (machine.mesh.ports, machine.mesh.mzi_loss_db, machine.cores) == (12, 0.5, 4)


def test_a_source_is_kept_and_a_plain_number_has_none(tmp_path: Path) -> None:
    text = '[mesh]\nports = 32\nmzi_loss_db = { value = 0.5, source = "measured" }\n'

    sources = Machine.load(write(tmp_path, text)).sources

    assert sources["mesh.mzi_loss_db"] == "measured"
    assert "mesh.ports" not in sources
    assert "cores" in sources


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mesh\nports = 3", "is not valid TOML: "),
        ("cores = " + "[" * 100_000, "is not valid TOML: "),
        ("cores = " + "9" * 5_000, "is not valid TOML: "),
        ("[mesh]\nports = 2020-01-01", "a mesh needs a whole number"),
        ("name = [1, 2]", "name=[1, 2]: a machine needs text"),
        ("[mesh]\nprots = 3", "mesh.prots: no such key; did you mean 'mesh.ports'?"),
        ("[mehs]\nports = 3", "mehs.ports: no such key; did you mean 'mesh.ports'?"),
        ("mesh = 3", "mesh: a section; set its keys"),
        ("extend = 'lt-mzi'", "extend: no such key; did you mean 'extends'?"),
        ("extends = 'lt-mzo'", "extends='lt-mzo': no machine preset is called 'lt-mzo'"),
        ("extends = 3", "extends=3: needs the name of a preset or a file"),
        ("extends = 'gone.toml'", "extends='gone.toml': there is no file"),
        ("extends = 'mine.toml'", "extends more than 16 files; is there a circle?"),
        ("[mesh]\nports = { value = 3, sorce = 'x' }", "mesh.ports.sorce: no such key"),
        ("[mesh]\nports = { source = 'x' }", "mesh.ports: needs a value, as in"),
        ("[mesh]\nports = [3]", "mesh.ports=[3]: a mesh needs a whole number"),
        ("clock_ghz = nan", "clock_ghz=nan: a machine needs a finite number"),
        ("clock_ghz = " + "9" * 400, "clock_ghz="),
        ("[mesh]\nports = 1", "mesh.ports=1: a mesh needs 2 or more"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path, text)

    with pytest.raises(MachineError) as caught:
        Machine.load(path)

    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_told_with_the_presets(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"gone.toml.*No such file.*presets are mzi64-eo"):
        Machine.load(tmp_path / "gone.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(b"\x08\x0a\xff\xfe")

    with pytest.raises(MachineError, match="is not text"):
        Machine.load(path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_bytes(b"#" * 1_000_001)

    with pytest.raises(MachineError, match="larger than 1 MB"):
        Machine.load(path)


def test_a_text_without_a_name_is_unnamed() -> None:
    assert Machine.from_toml("cores = 2").name == "unnamed"
    assert Machine.from_toml("name = 'a'").name == "a"


def test_a_text_cannot_make_files_be_read() -> None:
    with pytest.raises(MachineError, match="extends='a.toml': only a file can extend a file"):
        Machine.from_toml("extends = 'a.toml'")
