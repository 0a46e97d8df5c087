"""Fabricated chips: their statistics, keys and files."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import InputError, MachineError
from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.registry import UnknownNameError

MACHINE = Machine.preset("mzi64-eo").override(
    {
        "mesh.ports": 8,
        "cores": 3,
        "mesh.topology": "clements-3",
        "mesh.mzi_imbalance_db": 0.02,
        "mesh.mzi_imbalance_std_db": 0.05,
        "phase.dead_share": 0.3,
        "phase.gamma_error_rad_per_v2": 0.002,
    }
)
ARRAYS = [name for names in SOURCES.values() for name in names]


def test_a_chip_has_an_error_for_every_component() -> None:
    chip = Chip.draw(MACHINE, 0)

    assert (chip.cores, chip.ports) == (3, 8)
    assert chip.splitter_in.shape == chip.phi_error.shape == chip.mzi_loss_db.shape == (3, 2, 28)
    assert chip.psi_error.shape == (3, 2, 8)
    assert chip.attenuator_error.shape == chip.attenuator_loss_db.shape == (3, 8)
    assert sorted(ARRAYS) == sorted(
        field.name for field in fields(Chip) if field.name not in ("name", "seed")
    )


def test_a_mesh_of_two_splitters_has_no_errors_of_a_third() -> None:
    chip = Chip.draw(MACHINE.override({"mesh.topology": "clements"}), 0)

    assert not chip.splitter_third.any()
    npt.assert_array_equal(chip.splitter_in, Chip.draw(MACHINE, 0).splitter_in)


@pytest.mark.parametrize(("topology", "mzis"), [("diamond", 49), ("butterfly", 12)])
def test_a_chip_has_as_many_interferometers_as_its_topology(topology: str, mzis: int) -> None:
    chip = Chip.draw(MACHINE.override({"mesh.topology": topology}), 0)

    assert chip.theta_error.shape == (3, 2, mzis)


def test_a_chip_measured_before_newer_errors_were_known_loads_without_them(
    tmp_path: Path,
) -> None:
    machine = MACHINE.override({"mesh.topology": "reck"})
    Chip.draw(machine, 1).save(tmp_path / "old.npz")
    with np.load(tmp_path / "old.npz") as file:
        later = ("splitter_third", *SOURCES["dead"], *SOURCES["imbalance"], *SOURCES["heater"])
        old = {name: file[name] for name in file.files if name not in later}
    np.savez(tmp_path / "old.npz", **old)

    chip = Chip.load(tmp_path / "old.npz")
    assert not any(getattr(chip, name).any() for name in later)


def test_as_many_shifters_are_dead_as_the_machine_says_and_stuck_anywhere() -> None:
    machine = Machine.preset("mzi64-eo").override({"cores": 8, "phase.dead_share": 0.1})

    stuck = Chip.draw(machine, 3).theta_stuck

    # n = 32,256: sigma of the share is 0.0017; of the mean of 3,226 settings 0.032.
    assert np.mean(stuck > 0) == pytest.approx(0.1, abs=0.007)
    assert stuck[stuck > 0].mean() == pytest.approx(np.pi, abs=0.13)
    assert stuck.max() <= 2 * np.pi
    assert not Chip.draw(machine.override({"phase.dead_share": 0}), 3).theta_stuck.any()


def test_heaters_differ_by_a_normal_number_within_three_standard_deviations() -> None:
    machine = Machine.preset("mzi64-thermal").override(
        {"cores": 62, "phase.gamma_error_rad_per_v2": 0.002, "phase.pi_voltage_v": 4.36}
    )
    chip = Chip.draw(machine, 3)
    found = np.concatenate([chip.theta_response.ravel(), chip.phi_response.ravel()])[:500_000]

    # gamma = pi / 4.36^2 = 0.1653 rad/V^2, of which 0.002 is 1.21 %. The normal distribution has
    # the density 0.0044318 at 3 sigma and 0.9973002 within: the variance is 1 - 6 x 0.0044318 /
    # 0.9973002 = 0.973337 of the whole one's.
    whole, n = 0.002 / (np.pi / 4.36**2), found.size
    sigma = whole * np.sqrt(0.973337)
    assert whole == pytest.approx(0.0121, abs=1e-4)
    assert abs(found.mean()) < 3 * sigma / np.sqrt(n)
    assert abs(found.var() / sigma**2 - 1) < 3 * np.sqrt(2 / n)
    assert 2.95 * whole < np.abs(found).max() <= 3 * whole


def test_arms_lose_differently_as_the_machine_says_and_neither_amplifies() -> None:
    machine = Machine.preset("mzi64-eo").override(
        {"cores": 8, "mesh.mzi_imbalance_db": 0.05, "mesh.mzi_imbalance_std_db": 0.03}
    )

    found = Chip.draw(machine, 3).mzi_imbalance_db

    # n = 32,256; half of the 0.4 dB at which an arm would lose nothing is 5 sigma away.
    assert abs(found.mean() - 0.05) < 3 * 0.03 / np.sqrt(found.size)
    assert abs(found.var() / 0.03**2 - 1) < 3 * np.sqrt(2 / found.size)
    wild = Chip.draw(machine.override({"mesh.mzi_imbalance_std_db": 5.0}), 3)
    for imbalance, loss in (
        (wild.mzi_imbalance_db, wild.mzi_loss_db),
        (wild.attenuator_imbalance_db, wild.attenuator_loss_db),
    ):
        assert (loss - np.abs(imbalance) / 2 >= 0).all()
        assert (np.abs(imbalance) == 2 * loss).any()


def test_dead_shifters_stay_dead_as_more_die() -> None:
    few, many = (
        Chip.draw(MACHINE.override({"phase.dead_share": share}), 1).phi_stuck
        for share in (0.2, 0.4)
    )

    npt.assert_array_equal(many[few > 0], few[few > 0])


def test_a_digest_is_of_the_numbers_and_not_of_the_name(tmp_path: Path) -> None:
    chip = Chip.draw(MACHINE, 8)
    chip.save(tmp_path / "other name.npz")

    assert Chip.load(tmp_path / "other name.npz").digest == chip.digest
    assert Chip.draw(MACHINE, 9).digest != chip.digest


def test_errors_have_the_machines_statistics() -> None:
    machine = Machine.preset("mzi64-eo").override({"cores": 8})
    chip = Chip.draw(machine, 3)

    # n = 32,256 for each: sigma of a standard deviation is 0.4 % of it, of a mean 0.6 %.
    for name, mean, deviation in (
        ("splitter_in", 0.0, 0.02),
        ("splitter_out", 0.0, 0.02),
        ("theta_error", 0.0, 0.002),
        ("phi_error", 0.0, 0.002),
        ("mzi_loss_db", 0.2, 0.02),
    ):
        array = getattr(chip, name)
        assert array.mean() == pytest.approx(mean, abs=0.03 * deviation), name
        assert array.std() == pytest.approx(deviation, rel=0.02), name


def test_the_same_seed_is_the_same_chip_and_another_is_not() -> None:
    one, same, other = Chip.draw(MACHINE, 5), Chip.draw(MACHINE, 5), Chip.draw(MACHINE, 6)

    for name in ARRAYS:
        npt.assert_array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_quantities_and_cores_are_independent() -> None:
    chip = Chip.draw(Machine.preset("mzi64-eo"), 1)
    rows = [
        np.concatenate([core.ravel() for core in getattr(chip, name)[:, None]][:1])
        for name in ("splitter_in", "splitter_out", "theta_error", "phi_error")
    ] + [chip.splitter_in[core].ravel() for core in (1, 2, 3)]

    correlation = np.corrcoef([row[:4032] for row in rows])

    # n = 4032: sigma of a correlation is 0.016.
    assert np.abs(correlation - np.eye(len(rows))).max() < 5 * 0.016


def test_the_pattern_of_a_seed_stays_as_errors_grow_and_cores_are_added() -> None:
    stronger = MACHINE.override({"mesh.splitter_error_rad": 0.04, "cores": 4})

    npt.assert_allclose(
        Chip.draw(stronger, 2).splitter_in[:3], 2.0 * Chip.draw(MACHINE, 2).splitter_in
    )


def test_no_interferometer_amplifies() -> None:
    rough = MACHINE.override({"mesh.mzi_loss_db": 0.1, "mesh.mzi_loss_std_db": 1.0})

    chip = Chip.draw(rough, 0)

    assert chip.mzi_loss_db.min() == chip.attenuator_loss_db.min() == 0.0


def test_an_ideal_chip_has_no_errors() -> None:
    chip = Chip.ideal(MACHINE)

    assert all(not getattr(chip, name).any() for name in ARRAYS)
    assert chip.theta_error.shape == (3, 2, 28)


@pytest.mark.parametrize("source", list(SOURCES))
def test_a_source_that_is_left_out_is_zero_and_the_others_stay(source: str) -> None:
    chip = Chip.draw(MACHINE, 4)

    less = chip.without({source})

    for name in ARRAYS:
        expected = np.zeros_like(getattr(chip, name)) if name in SOURCES[source] else None
        npt.assert_array_equal(
            getattr(less, name), getattr(chip, name) if expected is None else expected
        )
    assert (less.name, less.seed) == (chip.name, chip.seed)


def test_a_source_of_another_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'splitters'; did you mean 'splitter'"):
        Chip.ideal(MACHINE).without({"splitters"})


def test_a_chip_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Chip.draw(MACHINE, 0).splitter_in[0, 0, 0] = 1.0


def test_a_seed_is_a_whole_number_from_zero() -> None:
    with pytest.raises(InputError, match="seed=-1"):
        Chip.draw(MACHINE, -1)


def test_a_chip_survives_the_way_through_a_file(tmp_path: Path) -> None:
    chip = Chip.draw(MACHINE, 8)

    chip.save(tmp_path / "chip8.npz")
    loaded = Chip.load(tmp_path / "chip8.npz")

    assert (loaded.name, loaded.seed) == ("chip8", None)
    for name in ARRAYS:
        npt.assert_array_equal(getattr(loaded, name), getattr(chip, name))


def saved(path: Path, **changes: np.ndarray | None) -> Path:
    """Write a chip with some arrays replaced, or left out where None."""
    chip = Chip.draw(MACHINE, 0)
    arrays = {name: getattr(chip, name) for name in ARRAYS} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phi_error": None}, "missing arrays: phi_error; unknown arrays: none"),
        ({"phi_eror": np.zeros(3)}, "unknown arrays: phi_eror; did you mean 'phi_error'"),
        ({"phi_error": np.zeros((3, 2, 27))}, "'phi_error' has the shape (3, 2, 27); 3 cores of 8"),
        ({"psi_error": np.zeros(8)}, "need the axes (core, mesh, element)"),
        ({"psi_error": np.full((3, 2, 8), np.nan)}, "'psi_error' has numbers that are not finite"),
        ({"psi_error": np.zeros((3, 2, 8), complex)}, "an array is not of real numbers"),
    ],
)
def test_a_chip_file_that_does_not_hold_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray | None], message: str
) -> None:
    path = saved(tmp_path / "bad.npz", **changes)

    with pytest.raises(MachineError) as caught:
        Chip.load(path)

    assert message in str(caught.value)
    assert "bad" in str(caught.value)


def test_a_file_that_is_no_chip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.npz"
    path.write_text("hello")

    with pytest.raises(MachineError, match="cannot read chip file"):
        Chip.load(path)
    with pytest.raises(MachineError, match="'.*gone.npz': No such file or directory; Chip.save"):
        Chip.load(tmp_path / "gone.npz")


def test_pickled_objects_in_a_chip_file_are_never_loaded(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.savez(file, splitter_in=np.array([{"a": 1}], dtype=object))
    path = tmp_path / "pickle.npz"
    path.write_bytes(file.getvalue())

    with pytest.raises(MachineError, match="cannot read chip file"):
        Chip.load(path)


def test_a_chip_file_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "large.npz")
    monkeypatch.setattr("photonpu.hardware.chip._MAX_BYTES", 1000)

    with pytest.raises(MachineError, match="bytes; 2 GB is the limit"):
        Chip.load(path)
