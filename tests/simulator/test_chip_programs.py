"""Programs compiled for one chip: from the compiler through the file to the session."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import photonpu
from photonpu.cli.app import app
from photonpu.errors import InputError, MachineError, PhotonpuWarning, ProgramError
from photonpu.hardware import Chip, Machine

MACHINE = Machine.preset("mzi64-eo").override(
    {"mesh.ports": 8, "cores": 2, "mesh.splitter_error_rad": 0.05, "phase.dead_share": 0.002}
)
WEIGHT = np.random.default_rng(0).normal(size=(16, 12)).astype(np.float32)
SAMPLES = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
KNOWN = {"splitter": 1.0, "phase": 1.0, "loss": 1.0, "dead": 1.0}


def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "one_product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 12])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compiled(**options: object) -> photonpu.Program:
    return photonpu.compile(model(), MACHINE, calibration=SAMPLES, **options)  # type: ignore[arg-type]


def error(session: photonpu.Session) -> float:
    found = session.run(None, {"x": SAMPLES})[0]
    return float(np.linalg.norm(found - SAMPLES @ WEIGHT) / np.linalg.norm(SAMPLES @ WEIGHT))


def test_a_program_for_a_chip_comes_nearer_than_correction_at_run_time() -> None:
    at_run_time = error(photonpu.Session(compiled(), KNOWN, chip=0))

    refined = error(photonpu.Session(compiled(chip=0, programming="refined"), "ideal"))

    assert refined < 0.7 * at_run_time


def test_its_phases_are_used_as_programmed_and_its_chip_acts_in_every_kind_of_noise() -> None:
    program = compiled(chip=0, programming="refined", assignment="best")
    made = program.programming
    assert made is not None
    assert len(made.error) == len(program.tiles)

    found = error(photonpu.Session(program, "ideal"))

    assert 0.5 * made.error.min() < found < 1.5 * made.error.max()
    npt.assert_array_equal(
        photonpu.Session(program, "ideal").run(None, {"x": SAMPLES})[0],
        photonpu.Session(program, KNOWN, chip=0).run(None, {"x": SAMPLES})[0],
    )


@pytest.mark.parametrize(
    ("correction", "method", "share"), [("carried", "local", 0.9), ("refined", "refined", 0.7)]
)
def test_a_session_programs_for_the_splitters_of_its_chip_where_the_machine_says_so(
    correction: str, method: str, share: float, tmp_path: Path
) -> None:
    (tmp_path / "refining.toml").write_text(
        'extends = "mzi64-eo"\nname = "refining"\ncores = 2\n[mesh]\nports = 8\n'
        f'splitter_error_rad = 0.05\ncorrection = "{correction}"\n'
        "mzi_loss_db = 0.0\nmzi_loss_std_db = 0.0\n"
    )
    machine = Machine.load(tmp_path / "refining.toml")
    local = machine.override({"mesh.correction": "local"})
    program = photonpu.compile(model(), machine, calibration=SAMPLES)
    noise = {"splitter": 1.0}

    better = photonpu.Session(program, noise, chip=3)
    locally = error(photonpu.Session(program, noise, chip=3, machine=local))
    # What it makes is what the chip's splitters alone would be compiled for.
    chip = Chip.draw(machine, 3)
    names = [name for name in Chip.__dataclass_fields__ if "splitter" in name]
    known = replace(Chip.ideal(machine), **{name: getattr(chip, name) for name in names})
    compiled_for = photonpu.compile(
        model(), machine, calibration=SAMPLES, chip=known, programming=method
    )

    assert error(better) < share * locally
    expected = photonpu.Session(compiled_for, "ideal").run(None, {"x": SAMPLES})[0]
    npt.assert_allclose(better.run(None, {"x": SAMPLES})[0], expected, atol=2e-4)
    assert error(photonpu.Session(program, "ideal", chip=3)) < 1e-5
    plain = machine.override({"mesh.correction": "none"})
    found, nominal = (
        photonpu.Session(program, {"phase": 1.0}, chip=3, machine=m).run(None, {"x": SAMPLES})[0]
        for m in (machine, plain)
    )
    npt.assert_array_equal(found, nominal)


def test_a_session_on_another_chip_warns() -> None:
    program = compiled(chip=0)

    with pytest.warns(PhotonpuWarning, match="was compiled for chip 'mzi64-eo/0' and runs on chip"):
        photonpu.Session(program, chip=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photonpu.Session(program, chip=Chip.draw(MACHINE, 0))
        photonpu.Session(program)


def test_it_survives_the_way_through_a_file(tmp_path: Path) -> None:
    program = compiled(chip=3, programming="refined", rounding="absorbed", assignment="best")
    program.save(tmp_path / "one.ppu")

    loaded = photonpu.Program.load(tmp_path / "one.ppu")

    before, after = program.programming, loaded.programming
    assert before is not None
    assert after is not None
    assert after.chip.digest == before.chip.digest
    assert (after.chip.name, after.chip.seed) == ("mzi64-eo/3", 3)
    assert (after.method, after.rounding, after.assignment) == ("refined", "absorbed", "best")
    npt.assert_array_equal(after.unreachable, before.unreachable)
    npt.assert_array_equal(after.error, before.error)
    npt.assert_array_equal(loaded.tiles.theta, program.tiles.theta)
    assert loaded.text() == program.text()
    assert "programmed for chip 'mzi64-eo/3'" in loaded.text()


def test_a_program_for_no_chip_says_nothing_of_chips(tmp_path: Path) -> None:
    program = compiled()
    program.save(tmp_path / "plain.ppu")

    assert program.programming is None
    assert b"programming" not in (tmp_path / "plain.ppu").read_bytes()
    assert photonpu.Program.load(tmp_path / "plain.ppu").programming is None


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("programming/error", lambda a: a[:1], "told for another number of tiles"),
        ("chip/psi_error", lambda a: a[:, :, :4], "'splitter_in' has|has the shape|needs? "),
        ("chip/phi_error", lambda a: a.astype(np.float32), "an array is not of float64"),
        ("chip/phi_error", lambda a: a * np.nan, "holds NaN or infinity"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, change: object, message: str) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    compiled(chip=0).save(tmp_path / "one.ppu")
    with safe_open(tmp_path / "one.ppu", "numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    arrays[name] = np.ascontiguousarray(change(arrays[name]))  # type: ignore[operator]
    save_file(arrays, tmp_path / "bad.ppu", metadata)

    with pytest.raises(ProgramError, match=message):
        photonpu.Program.load(tmp_path / "bad.ppu")


def test_what_cannot_be_is_refused_before_the_model_is_read() -> None:
    with pytest.raises(InputError, match="these are for one chip; say chip=, a file or a seed"):
        photonpu.compile("missing.onnx", MACHINE, programming="refined")
    with pytest.raises(InputError, match="programming='refine'"):
        photonpu.compile("missing.onnx", MACHINE, chip=0, programming="refine")
    with pytest.raises(MachineError, match="measure a chip of this machine"):
        photonpu.compile("missing.onnx", "mzi64-eo", chip=Chip.ideal(MACHINE))


def test_the_command_line_compiles_for_a_chip_and_tells_how_well(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "m.onnx")
    Chip.draw(MACHINE, 5).save(tmp_path / "chip.npz")
    np.savez(tmp_path / "x.npz", x=SAMPLES)
    files = ["-o", str(tmp_path / "m.ppu"), "--calibration", str(tmp_path / "x.npz")]
    settings = ["--set", "mesh.ports=8", "--set", "cores=2", "--trust", "--json"]
    options = ["--chip", str(tmp_path / "chip.npz"), "--programming", "refined"]
    run = CliRunner().invoke(
        app, ["compile", str(tmp_path / "m.onnx"), *files, *settings, *options]
    )

    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)["programming"]
    assert (told["chip"], told["programming"]) == ("chip", "refined")
    assert len(told["unreachable"]) == len(told["error"]) == 4
    assert told["chip_sha256"] == Chip.draw(MACHINE, 5).digest


def test_check_and_estimate_tell_how_well_a_program_suits_its_chip(tmp_path: Path) -> None:
    program = compiled(chip=0, programming="local")
    program.save(tmp_path / "one.ppu")
    made = program.programming
    assert made is not None
    worst = int(np.argmax(made.error))

    for verb in ("check", "estimate"):
        told = CliRunner().invoke(app, [verb, str(tmp_path / "one.ppu"), "--json"])
        shown = CliRunner().invoke(app, [verb, str(tmp_path / "one.ppu")])
        assert (told.exit_code, shown.exit_code) == (0, 0), told.output + shown.output

        found = json.loads(told.stdout)["programming"]
        assert found["programming"] == "local"
        assert found["unreachable"] == made.unreachable.tolist()
        assert found["worst"][0] == {
            "layer": "product",
            "tile": worst,
            "core": int(program.tiles.core[worst]),
            "unreachable": int(made.unreachable[worst]),
            "error": pytest.approx(made.error.max()),
        }
        assert f"{int(made.unreachable.sum())} splits out of reach" in shown.stdout
        assert f"{made.error.max():.3g}" in shown.stdout


def test_a_program_for_no_chip_has_no_programming_to_tell_of(tmp_path: Path) -> None:
    compiled().save(tmp_path / "plain.ppu")

    shown = CliRunner().invoke(app, ["estimate", str(tmp_path / "plain.ppu")])

    assert shown.exit_code == 0
    assert "splits out of reach" not in shown.stdout


def test_a_chip_of_which_no_loss_was_measured_keeps_the_size_of_its_outputs(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("core,mesh,column,row,alpha\n0,vh,0,0,0.001\n")

    program = compiled(chip=tmp_path / "map.csv")

    assert program.programming is not None
    # Paths differ by a few interferometers of 0.2 dB; all 15 of a mean path are a factor of 1.41.
    assert program.programming.error.max() < 0.05
    assert error(photonpu.Session(program, "ideal")) < 0.05
