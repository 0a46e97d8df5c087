"""Tables of measurements: what stands in a line reaches its interferometer, or is refused."""

from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import MachineError
from photonpu.hardware import Chip, Machine
from photonpu.mesh import MESHES
from photonpu.mesh.splitter_map import read_map

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 4, "cores": 2})
HEAD = "core,mesh,column,row,alpha,beta\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "measured.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("topology", list(MESHES))
def test_a_chip_written_out_comes_back(topology: str, tmp_path: Path) -> None:
    machine = MACHINE.override({"mesh.topology": topology, "phase.error_rad": 0.01})
    chip = Chip.draw(machine, 3)
    layout = MESHES[topology].layout(4)
    lines = ["core,mesh,column,row,alpha,beta,gamma,theta_error,phi_error,loss_db"]
    for core in range(2):
        for which, mesh in enumerate(("vh", "u")):
            for k in range(layout.mzis):
                names = ("splitter_in", "splitter_out", "splitter_third", "theta_error")
                arrays = (*names, "phi_error", "mzi_loss_db")
                values = [float(getattr(chip, name)[core, which, k]) for name in arrays]
                place = [core, mesh, layout.column[k], layout.row[k]]
                lines.append(",".join(map(str, [*place, *values])))
        for n in range(4):
            into, out = chip.attenuator_splitter_in[core, n], chip.attenuator_splitter_out[core, n]
            inner, loss = chip.attenuator_error[core, n], chip.attenuator_loss_db[core, n]
            lines.append(f"{core},attenuator,,{n},{into},{out},,{inner},,{loss}")
    found = read_map(write(tmp_path, "\n".join(lines) + "\n"), machine)
    for name in Chip.__dataclass_fields__:
        if name not in ("name", "seed", "psi_error"):
            npt.assert_array_equal(getattr(found, name), getattr(chip, name), err_msg=name)
    assert (found.name, found.seed) == ("measured", None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "0,vh,0,1,0.1,0",
            "column '0', row '1'; it has cores 0 to 1, meshes 'vh' and 'u' with rows",
        ),
        ("0,vh,9,0,0.1,0", "meshes 'vh' and 'u' with columns 0 to 3, and attenuators"),
        (
            "0,u,0,0,45,0",
            "alpha=45 rad is more than a quarter turn off an even splitter; are these",
        ),
    ],
)
def test_a_refusal_tells_what_there_is(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=message):
        read_map(write(tmp_path, f"{HEAD}{line}\n"), MACHINE)


def test_what_nobody_measured_loses_what_the_machine_says(tmp_path: Path) -> None:
    text = "core,mesh,column,row,alpha,loss_db\n1,u,0,2,0.01,\n0,u,0,2,0.02,0.9\n"
    with_losses = read_map(write(tmp_path, text), MACHINE)
    without = read_map(write(tmp_path, HEAD + "0,vh,0,0,0.01,0\n"), MACHINE)

    expected = np.full_like(with_losses.mzi_loss_db, MACHINE.mesh.mzi_loss_db)
    npt.assert_array_equal(without.mzi_loss_db, expected)
    npt.assert_array_equal(without.attenuator_loss_db, MACHINE.mesh.mzi_loss_db)
    expected[0, 1, 1] = 0.9
    npt.assert_array_equal(with_losses.mzi_loss_db, expected)


def test_unequal_arms_and_responses_are_read_and_all_others_are_even(tmp_path: Path) -> None:
    text = "core,mesh,column,row,imbalance_db,theta_response,phi_response\n1,u,0,2,-0.2,.01,.02\n"
    text += "0,attenuator,,3,0.1,-0.03,\n"
    chip = read_map(write(tmp_path, text), MACHINE)

    assert chip.mzi_imbalance_db[1, 1, 1] == -0.2
    assert (chip.theta_response[1, 1, 1], chip.phi_response[1, 1, 1]) == (0.01, 0.02)
    assert (chip.attenuator_imbalance_db[0, 3], chip.attenuator_response[0, 3]) == (0.1, -0.03)
    for name in ("mzi_imbalance_db", "theta_response", "phi_response", "attenuator_response"):
        assert np.count_nonzero(getattr(chip, name)) == 1


def test_dead_shifters_are_read_and_all_others_work(tmp_path: Path) -> None:
    text = "core,mesh,column,row,theta_stuck,phi_stuck\n1,u,0,2,1.5,\n0,vh,1,1,,0.5\n"
    text += "0,attenuator,,3,2.5,\n"
    chip = read_map(write(tmp_path, text), MACHINE)

    assert chip.theta_stuck[1, 1, 1] == 1.5
    assert chip.phi_stuck[0, 0, 2] == 0.5
    assert chip.attenuator_stuck[0, 3] == 2.5
    for name in ("theta_stuck", "phi_stuck", "attenuator_stuck"):
        assert np.count_nonzero(getattr(chip, name)) == 1


def test_what_is_not_measured_is_without_error(tmp_path: Path) -> None:
    chip = read_map(write(tmp_path, f"# of 2026\n{HEAD}1,u,0,2,0.01,\n"), MACHINE)
    # Column 0 couples (0, 1) and (2, 3): the second interferometer.
    assert chip.splitter_in[1, 1, 1] == 0.01
    assert np.count_nonzero(chip.splitter_in) == 1
    assert not chip.splitter_out.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("core,mesh,row,alhpa\n", r"missing columns: column; unknown or repeated: alhpa; did you"),
        (f"{HEAD}2,u,0,2,0,0\n", r"measurement 1: the machine has no .* core '2', mesh 'u'"),
        (f"{HEAD}0,u,0,1,0,0\n", "measurement 1: the machine has no .* row '1'"),
        (f"{HEAD}0,x,0,0,0,0\n", "the machine has no .* mesh 'x'"),
        (f"{HEAD}0,attenuator,0,9,0,0\n", "the machine has no .* row '9'"),
        (f"{HEAD}0,u,0,0,0,0\n0,u,0,0,1,0\n", "measurement 2: .* was measured above already"),
        (f"{HEAD}0,u,0,0,nan,0\n", "measurement 1: alpha='nan' is no finite number"),
        (f"{HEAD}0,u,0,0,much,0\n", "measurement 1: alpha='much' is no finite number"),
        ("core,mesh,column,row,phi_error\n0,attenuator,,1,0.1\n", "an attenuator has no phi_error"),
        ("", "missing columns: core, mesh, column, row"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=message):
        read_map(write(tmp_path, text), MACHINE)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"none.csv': No such file or directory; name a table"):
        read_map(tmp_path / "none.csv", MACHINE)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_bytes(b"core,mesh,\xff\xfe")
    with pytest.raises(MachineError, match="can't decode byte 0xff .*; name a table"):
        read_map(tmp_path / "map.csv", MACHINE)
