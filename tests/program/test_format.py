"""The program file: what is written comes back, and what is damaged is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from safetensors.numpy import load_file, save_file

from photonpu.errors import ProgramError, StorageError
from photonpu.hardware import Machine
from photonpu.program import HostOperator, HostStep, Program, TileBank
from photonpu.simulator import PhotonicMatrix


@pytest.fixture(scope="module")
def program() -> Program:
    """Return a small program with both kinds of steps."""
    machine = Machine.preset("mzi64-eo").override({"mesh.ports": 4})
    made = PhotonicMatrix(np.arange(12.0).reshape(3, 4), machine).program
    operator = HostOperator("relu", "Relu", 3, 3, 3)
    host = HostStep("digital/1", b"any bytes", ("y",), ("z",), (operator,))
    photonic = replace(made.photonic_steps[0], bias=np.ones(3, np.float32))
    return replace(made, steps=(photonic, host), notes=("a note",), model_sha256="ab")


def test_a_program_comes_back_as_it_was(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p.ppu")

    back = Program.load(tmp_path / "p.ppu")

    assert back.machine == program.machine
    assert back.machine.sources == program.machine.sources
    assert back.text() == program.text()
    assert back.host_steps == program.host_steps
    assert (back.notes, back.model_sha256) == (program.notes, program.model_sha256)
    for name in TileBank.__dataclass_fields__:
        npt.assert_array_equal(getattr(back.tiles, name), getattr(program.tiles, name))
    for field in fields(back.photonic_steps[0]):
        one, other = (getattr(p.photonic_steps[0], field.name) for p in (back, program))
        npt.assert_array_equal(one, other) if field.name == "bias" else None
        assert field.name == "bias" or one == other


def test_two_writings_are_the_same_bytes(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "one.ppu")
    program.save(tmp_path / "two.ppu")

    assert (tmp_path / "one.ppu").read_bytes() == (tmp_path / "two.ppu").read_bytes()


def test_arrays_of_a_loaded_program_cannot_be_changed(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p.ppu")

    with pytest.raises(ValueError, match="read-only"):
        Program.load(tmp_path / "p.ppu").tiles.theta[...] = 0


def test_a_full_disk_leaves_the_old_program(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "p.ppu"
    program.save(target)
    before = target.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"cannot write '.*p.ppu': No space left on device"):
        program.save(target)

    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["p.ppu"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"cannot read program '.*no\.ppu': no such file"):
        Program.load(tmp_path / "no.ppu")


@pytest.mark.parametrize("content", [b"", b"just text, no program at all", b"\x08" + b"\0" * 30])
def test_what_is_no_safetensors_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.ppu"
    path.write_bytes(content)

    with pytest.raises(ProgramError, match="is not a photonpu program, or is damaged"):
        Program.load(path)


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    save_file({"w": np.ones(3)}, tmp_path / "p.ppu")

    with pytest.raises(ProgramError, match="is a safetensors file but no photonpu program"):
        Program.load(tmp_path / "p.ppu")


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _edit(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Write the file again with a changed header or changed arrays."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["photonpu"])
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    change(header, arrays)
    save_file(arrays, path, metadata={"photonpu": json.dumps(header)})


def _newer(header: dict[str, Any], _: dict[str, np.ndarray]) -> None:
    header["schema_version"] = 99


def _nan(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["tiles/theta"][0, 0, 0] = np.nan


def _missing(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    del arrays["tiles/phi"]


def _surplus(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["more"] = np.ones(2)


def _unknown_key(header: dict[str, Any], _: dict[str, np.ndarray]) -> None:
    header["steps"][0]["speed"] = 1


def _zero_range(header: dict[str, Any], _: dict[str, np.ndarray]) -> None:
    header["steps"][0]["input_range"] = 0.0


def _wrong_shape(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["tiles/psi"] = arrays["tiles/psi"][:, :, :3].copy()


def _wrong_core(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["tiles/core"][:] = 7


def _outside(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["tiles/row"][:] = 2


def _no_such_tiles(header: dict[str, Any], _: dict[str, np.ndarray]) -> None:
    header["steps"][0]["tiles"] = [[0, 9]]


def _two_names(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    header["steps"][1]["name"] = "matrix"
    arrays["host/matrix"] = arrays.pop("host/digital/1")


def _bad_bias(_: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["bias/matrix"] = np.ones(5, np.float32)


def _bad_machine(header: dict[str, Any], _: dict[str, np.ndarray]) -> None:
    header["machine"] = header["machine"].replace("ports = ", "prots = ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_newer, "its schema is 99 and this photonpu reads 1"),
        (_nan, "array 'tiles/theta' holds NaN or infinity"),
        (_missing, "array 'tiles/phi' is missing"),
        (_surplus, "array 'more' belongs to no step"),
        (_unknown_key, "header entry steps.0.photonic.speed: Extra inputs are not permitted"),
        (_zero_range, "header entry steps.0.photonic.input_range"),
        (_wrong_shape, r"'tiles/psi' is float64 \(1, 2, 3\), not float64 \(1, 2, 4\)"),
        (_wrong_core, "a tile runs on a core that the machine of 4 has not"),
        (_outside, "step 'matrix': a tile lies outside its matrix of 3 x 4"),
        (_no_such_tiles, "step 'matrix': tiles 0 to 9 of 1"),
        (_two_names, "two steps have one name"),
        (_bad_bias, r"its bias has shape \(5,\), not \(3,\)"),
        (_bad_machine, "its machine does not hold .*did you mean 'mesh.ports'"),
    ],
)
def test_a_damaged_program_is_refused_and_says_what_is_wrong(
    program: Program,
    tmp_path: Path,
    change: Callable[[dict[str, Any], dict[str, np.ndarray]], None],
    message: str,
) -> None:
    path = tmp_path / "p.ppu"
    program.save(path)
    _edit(path, change)

    with pytest.raises(ProgramError, match=message):
        Program.load(path)


def test_a_program_that_was_cut_short_is_refused(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "p.ppu"
    program.save(path)
    _cut_short(path)

    with pytest.raises(ProgramError, match="is not a photonpu program, or is damaged"):
        Program.load(path)


def test_a_header_that_says_a_key_twice_is_refused(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "p.ppu"
    program.save(path)
    arrays = load_file(path)
    save_file(arrays, path, metadata={"photonpu": '{"name": "a", "name": "b"}'})

    with pytest.raises(ProgramError, match="a key stands twice in one object"):
        Program.load(path)
