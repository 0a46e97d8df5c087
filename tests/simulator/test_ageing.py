"""Time since the calibration and another temperature: what they turn, by hand, and what stays."""

from __future__ import annotations

import math

import numpy as np
import numpy.testing as npt
import pytest

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.simulator import PhotonicMatrix, ageing
from photonpu.simulator.strengths import scaled

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})


def machine_of(**changes: object) -> Machine:
    """Return a machine with `changes` (``phase__response_per_k``)."""
    return MACHINE.override({name.replace("__", "."): value for name, value in changes.items()})


def test_phases_walk_with_the_root_of_the_time_and_each_chip_its_own_way() -> None:
    hour, day = (
        machine_of(phase__drift_rad_per_rth=0.002, environment__since_calibration_s=seconds)
        for seconds in (3600.0, 86400.0)
    )
    one, other = Chip.draw(hour, 1), Chip.draw(hour, 2)

    for name in SOURCES["phase"]:
        walked = ageing.drift(hour, one)[name]
        npt.assert_allclose(ageing.drift(day, one)[name], math.sqrt(24) * walked)
        npt.assert_array_equal(ageing.drift(hour, Chip.draw(hour, 1))[name], walked)
        assert not np.array_equal(ageing.drift(hour, other)[name], walked)


def test_a_degree_turns_a_micrometre_of_silicon_by_0_73_milliradians() -> None:
    # 2 pi / 1.55 um x 1.8e-4 / K = 0.7297 mrad / (um K).
    machine = machine_of(
        mesh__path_difference_um=1.0,
        phase__thermo_optic_per_k=1.8e-4,
        environment__ambient_change_k=1.0,
    )
    colder = machine.override({"environment.ambient_change_k": -2.0})
    chip = Chip.draw(machine, 0)

    turned, back = ageing.ambient(machine, chip), ageing.ambient(colder, chip)

    assert set(turned) == set(SOURCES["phase"])
    errors = np.concatenate([error.ravel() for error in turned.values()])
    assert errors.std() == pytest.approx(7.297e-4, rel=4 / math.sqrt(2 * errors.size))
    for name, error in turned.items():
        npt.assert_allclose(back[name], -2.0 * error)


def test_paths_of_one_length_see_no_ambient_temperature() -> None:
    machine = machine_of(
        phase__thermo_optic_per_k=1.8e-4,
        environment__ambient_change_k=40.0,
        environment__since_calibration_s=1e6,
    )

    assert ageing.ambient(machine, Chip.draw(machine, 0)) == {}
    assert ageing.drift(machine, Chip.draw(machine, 0)) == {}


def test_a_warmer_heater_scales_every_phase_and_adds_to_its_own_error() -> None:
    machine = machine_of(
        phase__response_per_k=1e-3,
        environment__ambient_change_k=5.0,
        phase__gamma_error_rad_per_v2=0.002,
    )
    chip = Chip.draw(machine, 4)

    _, both, acting = scaled(machine, chip, {"heater": 1.0, "ambient": 2.0})
    _, alone, sources = scaled(machine, chip, {"ambient": 2.0})

    for name in SOURCES["heater"]:
        npt.assert_allclose(getattr(both, name), getattr(chip, name) + 0.01)
        npt.assert_allclose(getattr(alone, name), 0.01)
    assert acting["heater"] == sources["heater"] == 1.0


def test_what_is_switched_off_does_not_come_back_with_drift() -> None:
    machine = machine_of(
        phase__error_rad=0.5,
        phase__drift_rad_per_rth=0.002,
        environment__since_calibration_s=3600.0,
    )
    chip = Chip.draw(machine, 4)

    _, found, _ = scaled(machine, chip, {"drift": 3.0})
    _, together, _ = scaled(machine, chip, {"phase": 0.5, "drift": 3.0})

    for name, walked in ageing.drift(machine, chip).items():
        npt.assert_allclose(getattr(found, name), 3.0 * walked)
        npt.assert_allclose(getattr(together, name), 0.5 * getattr(chip, name) + 3.0 * walked)


def test_drift_of_all_phases_follows_the_law_of_phase_errors() -> None:
    # E = sqrt(N) sigma for N = 32 ports, sigma = 0.004 rad / sqrt(h) x sqrt(25 h).
    machine = machine_of(
        mesh__ports=32,
        cores=1,
        phase__drift_rad_per_rth=0.004,
        environment__since_calibration_s=25 * 3600.0,
    )
    phases = mesh.decompose(mesh.haar(32, 1, seed=1))
    found = []
    for seed in range(40):
        error = ageing.drift(machine, Chip.draw(machine, seed))
        moved = mesh.Phases(
            phases.theta + error["theta_error"][0, :1],
            phases.phi + error["phi_error"][0, :1],
            phases.psi + error["psi_error"][0, :1],
        )
        off = mesh.matrix(moved)[0] - mesh.matrix(phases)[0]
        found.append((np.abs(off) ** 2).sum() / 32)

    assert math.sqrt(np.mean(found)) == pytest.approx(math.sqrt(32) * 0.02, rel=0.04)


def test_a_measured_chip_ages_too() -> None:
    machine = machine_of(phase__drift_rad_per_rth=0.01, environment__since_calibration_s=3600.0)
    chip = Chip("bench", None, **Chip.draw(machine, 3).arrays)

    assert all(error.any() for error in ageing.drift(machine, chip).values())


def test_a_product_gets_worse_with_time() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 8))
    x = np.random.default_rng(1).uniform(-1, 1, (8, 200))

    def error(hours: float) -> float:
        machine = machine_of(
            phase__drift_rad_per_rth=0.02, environment__since_calibration_s=3600.0 * hours
        )
        y = np.asarray(PhotonicMatrix(weight, machine, noise="drift") @ x)
        return float(np.linalg.norm(y - weight @ x) / np.linalg.norm(weight @ x))

    assert error(0) < 1e-5 < error(1) < error(4) < error(16)
