"""Tiles as programmed on a chip: each source by itself, by hand calculation or against a law."""

from typing import Any

import numba
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.mesh.crosstalk import kappa

Complexes = NDArray[np.complex128]
ALL = frozenset({"splitter", "phase", "loss", "dac", "crosstalk", "imbalance", "heater"})

UNIVERSAL = [entry.name for entry in mesh.MESHES.values() if entry.universal]
universal = pytest.mark.parametrize("topology", UNIVERSAL)
# Light escapes to spare waveguides; theta alone cannot undo what is imaginary.
INEXACT = ("diamond", "clements-real")


def machine_of(ports: int, **changes: object) -> Machine:
    """Return a machine of three cores without any error, but for `changes` (``mesh__ports``)."""
    silent: dict[str, object] = {
        "cores": 3,
        "mesh.ports": ports,
        "mesh.splitter_error_rad": 0.0,
        "mesh.mzi_loss_db": 0.0,
        "mesh.mzi_loss_std_db": 0.0,
        "mesh.correction": "none",
        "phase.error_rad": 0.0,
        "phase.crosstalk": 0.0,
    }
    wanted = {name.replace("__", "."): value for name, value in changes.items()}
    return Machine.preset("mzi64-eo").override(silent | wanted)


def bank(
    ports: int, tiles: int, topology: str = "clements", seed: int = 0
) -> tuple[dict[str, Any], Complexes]:
    """Return the phases of random tiles by `tile_matrices`' names, and the tiles themselves."""
    rng = np.random.default_rng(seed)
    left, right = mesh.haar(ports, tiles, seed), mesh.haar(ports, tiles, seed + 1)
    if mesh.MESHES[topology].real:
        left, right = np.linalg.qr(left.real)[0], np.linalg.qr(right.real)[0]
    singular = np.sort(rng.uniform(0.0, 1.0, (tiles, ports)))[:, ::-1]
    singular[:, 0] = 1.0
    second, first = mesh.decompose(left, topology), mesh.decompose(right, topology)
    phases = {
        "theta": np.stack([first.theta, second.theta], axis=1),
        "phi": np.stack([first.phi, second.phi], axis=1),
        "psi": np.stack([first.psi, second.psi], axis=1),
        "attenuator": 2.0 * np.arcsin(singular),
        "core": rng.integers(0, 3, tiles).astype(np.int32),
    }
    return phases, (left * singular[:, None, :]) @ right


@universal
def test_without_sources_the_product_is_exact_on_the_worst_of_chips(topology: str) -> None:
    machine = machine_of(
        8, mesh__topology=topology, mesh__splitter_error_rad=0.2, phase__error_rad=0.3
    )
    phases, tiles = bank(8, 4, topology)
    found = mesh.tile_matrices(**phases, chip=Chip.draw(machine, 1), machine=machine)
    npt.assert_allclose(found, tiles, atol=1e-12)


@universal
@pytest.mark.parametrize(
    "source", ["splitter", "phase", "loss", "crosstalk", "imbalance", "heater"]
)
def test_a_source_of_strength_zero_changes_nothing(topology: str, source: str) -> None:
    machine = machine_of(6, mesh__topology=topology)
    phases, tiles = bank(6, 3, topology)
    found = mesh.tile_matrices(
        **phases, chip=Chip.ideal(machine), machine=machine, sources=frozenset({source})
    )
    npt.assert_allclose(found, tiles, atol=1e-12)


# Not the diamond: its spare interferometers should be all in the bar state, which no real one is.
@pytest.mark.parametrize("topology", [name for name in UNIVERSAL if name not in INEXACT])
def test_correction_gives_the_exact_tile_where_every_split_can_be_reached(topology: str) -> None:
    # Attenuations of at most 0.99, as a blemished attenuator cannot pass all.
    changes = {"mesh__topology": topology, "mesh__splitter_error_rad": 0.004}
    machine = machine_of(5, mesh__correction="local", **changes)
    phases, _ = bank(5, 8, topology)
    phases["attenuator"] = np.clip(phases["attenuator"], 0.1, 2.9)
    chip = Chip.draw(machine, 2)
    exact = mesh.tile_matrices(**phases, chip=chip, machine=machine)
    sources = frozenset({"splitter"})
    corrected = mesh.tile_matrices(**phases, chip=chip, machine=machine, sources=sources)
    plain = machine_of(5, **changes)
    uncorrected = mesh.tile_matrices(**phases, chip=chip, machine=plain, sources=sources)
    assert np.abs(uncorrected - exact).max() > 0.005
    npt.assert_allclose(corrected, exact, atol=1e-12)


def test_loss_takes_its_decibels_from_both_meshes_and_the_attenuator() -> None:
    machine = machine_of(2, mesh__mzi_loss_db=0.7)
    phases, tiles = bank(2, 3)
    found = mesh.tile_matrices(
        **phases, chip=Chip.draw(machine, 0), machine=machine, sources=frozenset({"loss"})
    )
    npt.assert_allclose(found, tiles * 10 ** (-3 * 0.7 / 20), atol=1e-12)


def test_unequal_arms_are_those_of_both_meshes_and_of_the_attenuators() -> None:
    machine = machine_of(
        4, mesh__mzi_loss_db=0.5, mesh__mzi_imbalance_db=0.3, mesh__mzi_imbalance_std_db=0.2
    )
    chip = Chip.draw(machine, 3)
    phases, _ = bank(4, 2)
    core = phases["core"]
    found = mesh.tile_matrices(
        **phases, chip=chip, machine=machine, sources=frozenset({"imbalance"})
    )
    first, second = (
        mesh.matrix(*_mesh(phases, which), imbalance_db=chip.mzi_imbalance_db[core, which])
        for which in (0, 1)
    )
    # Bar to bar of an attenuator: (u e^{i h} + l e^{-i h}) / 2 in push-pull, less the factor i.
    half = phases["attenuator"] / 2
    upper = 10 ** (-chip.attenuator_imbalance_db[core] / 40)
    passed = (upper * np.exp(1j * half) - np.exp(-1j * half) / upper) / 2j
    npt.assert_allclose(found, second @ (passed[:, :, None] * first), atol=1e-12)


def test_of_losses_of_0_2_and_0_4_decibels_each_arm_keeps_its_own() -> None:
    # One interferometer at bar, two attenuators wide open: without unequal arms there.
    machine = machine_of(2, mesh__mzi_loss_db=0.3)
    phases = mesh.Phases(np.full((1, 1), np.pi), np.zeros((1, 1)), np.zeros((1, 2)))
    found = mesh.matrix(phases, loss_db=machine.mesh.mzi_loss_db, imbalance_db=0.2)[0]
    upper, lower = 10 ** (-0.4 / 20), 10 ** (-0.2 / 20)
    # By hand: S diag(-u, l) S with S = [[1, i], [i, 1]] / sqrt 2.
    expected = [[-upper - lower, 1j * (lower - upper)], [1j * (lower - upper), upper + lower]]
    npt.assert_allclose(found, np.array(expected) / 2, atol=1e-14)


def test_unequal_arms_follow_their_law_and_real_meshes_move_into_quadrature() -> None:
    # Each of N (N - 1) / 2 interferometers moves by x = ln(10) sigma / 40 in two of N rows:
    # E = sqrt(N - 1) x. The first order of real ones is imaginary: 2 sigma is 4 times as much.
    rng = np.random.default_rng(4)
    drawn = rng.normal(size=(40, 120))
    sigma_db = 0.1
    law = np.sqrt(15) * np.log(10) / 40 * sigma_db

    def error(unitaries: NDArray[Any], deviation: float, real: bool) -> float:
        moved = mesh.matrix(mesh.decompose(unitaries), imbalance_db=deviation * drawn)
        off = moved.real - unitaries.real if real else moved - unitaries
        return float(np.sqrt((np.abs(off) ** 2).sum(axis=(1, 2)).mean() / 16))

    real = np.linalg.qr(rng.normal(size=(40, 16, 16)))[0]
    assert error(mesh.haar(16, 40, seed=1), sigma_db, False) == pytest.approx(law, rel=0.03)
    assert error(real, sigma_db, False) == pytest.approx(law, rel=0.03)
    ratio = error(real, 2 * sigma_db, True) / error(real, sigma_db, True)
    assert ratio == pytest.approx(4.0, rel=0.02)
    assert error(real, sigma_db, True) < 0.05 * law


def test_local_correction_does_not_repair_unequal_arms() -> None:
    errors: dict[str, Any] = dict.fromkeys(("alpha", "beta"), 0.003)
    unitaries = mesh.haar(6, 4, seed=2)
    phases = mesh.decompose(unitaries)
    fixed, unreachable = mesh.correct(phases, "clements", **errors)
    balanced = mesh.matrix(fixed, **errors)
    lossy = mesh.matrix(fixed, imbalance_db=0.5, **errors)
    assert unreachable.sum() == 0
    npt.assert_allclose(balanced, unitaries, atol=1e-12)
    # Each block keeps singular values of 10^(+-0.5/40): no unitary is nearer than that.
    singular = np.linalg.svd(lossy)[1]
    assert (singular.max(axis=1) > 10 ** (0.5 / 40)).all()


@pytest.mark.parametrize("crosstalk", [0.0, 1.0])
def test_heaters_that_respond_differently_turn_and_warm_by_what_they_make(
    crosstalk: float,
) -> None:
    machine = machine_of(
        4,
        phase__crosstalk=crosstalk,
        phase__gamma_error_rad_per_v2=0.002,
        mesh__mzi_width_um=15.0,
    )
    chip = Chip.draw(machine, 3)
    phases, _ = bank(4, 2)
    phases |= {"phi": phases["phi"] % 6.0, "psi": phases["psi"] % 6.0}  # none beyond a turn
    core = phases["core"]
    made = {
        "theta": phases["theta"] * (1 + chip.theta_response[core]),
        "phi": phases["phi"] * (1 + chip.phi_response[core]),
        "psi": phases["psi"] * (1 + chip.psi_response[core]),
        "attenuator": phases["attenuator"] * (1 + chip.attenuator_response[core]),
        "core": core,
    }
    found = mesh.tile_matrices(
        **phases, chip=chip, machine=machine, sources=frozenset({"heater", "crosstalk"})
    )
    expected = mesh.tile_matrices(
        **made, chip=chip, machine=machine, sources=frozenset({"crosstalk"})
    )
    npt.assert_allclose(found, expected, atol=1e-12)


def test_a_tile_meets_the_errors_of_its_own_core() -> None:
    machine = machine_of(4, phase__error_rad=0.1)
    chip = Chip.draw(machine, 0)
    phases, _ = bank(4, 1)
    phases = {name: np.repeat(values, 3, axis=0) for name, values in phases.items()}
    phases["core"] = np.array([0, 2, 0])
    found = mesh.tile_matrices(**phases, chip=chip, machine=machine, sources=frozenset({"phase"}))
    npt.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_static_errors_add_to_each_phase_of_both_meshes_and_the_attenuators() -> None:
    machine = machine_of(4, phase__error_rad=0.1)
    chip = Chip.draw(machine, 3)
    phases, _ = bank(4, 2)
    core = phases["core"]
    moved = {
        "theta": phases["theta"] + chip.theta_error[core],
        "phi": phases["phi"] + chip.phi_error[core],
        "psi": phases["psi"] + chip.psi_error[core],
        "attenuator": phases["attenuator"] + chip.attenuator_error[core],
        "core": core,
    }
    found, first = (
        mesh.tile_matrices(**phases, chip=chip, machine=machine, sources=frozenset({"phase"})),
        mesh.matrix(*_mesh(moved, 0)),
    )
    passed = np.sin(moved["attenuator"] / 2)[:, :, None]
    npt.assert_allclose(found, mesh.matrix(*_mesh(moved, 1)) @ (passed * first), atol=1e-12)


def _mesh(phases: dict[str, Any], which: int) -> tuple[mesh.Phases]:
    """Return the phases of one of the two meshes."""
    return (mesh.Phases(*(phases[name][:, which] for name in ("theta", "phi", "psi"))),)


def test_phases_are_rounded_to_the_steps_of_the_converters() -> None:
    machine = machine_of(4, phase__dac_bits=5)
    phases, _ = bank(4, 3)
    step = 2 * np.pi / 32
    rounded = {name: np.round(values / step) * step for name, values in phases.items()}
    rounded["core"] = phases["core"]
    chip = Chip.ideal(machine)
    npt.assert_allclose(
        mesh.tile_matrices(**phases, chip=chip, machine=machine, sources=frozenset({"dac"})),
        mesh.tile_matrices(**rounded, chip=chip, machine=machine),
        atol=1e-12,
    )


def test_a_phase_just_below_a_whole_turn_is_set_to_zero_and_heats_nothing() -> None:
    machine = machine_of(2, phase__dac_bits=6, phase__crosstalk=1.0, mesh__mzi_length_um=20.0)
    phases, _ = bank(2, 1)
    below = {**phases, "phi": np.full((1, 2, 1), 2 * np.pi - 0.01)}
    at_zero = {**phases, "phi": np.zeros((1, 2, 1))}
    found, expected = (
        mesh.tile_matrices(
            **each,
            chip=Chip.ideal(machine),
            machine=machine,
            sources=frozenset({"dac", "crosstalk"}),
        )
        for each in (below, at_zero)
    )
    npt.assert_array_equal(found, expected)


def test_heat_adds_to_neighbours_what_the_floor_plan_of_two_ports_says() -> None:
    # One interferometer of 20 x 12 um: phi at x = 5, theta at 15, psi at 25 um, all on y = 0,
    # and the second psi at (25, 12) um; two attenuators 12 um apart.
    machine = machine_of(2, phase__crosstalk=0.5, mesh__mzi_length_um=20.0, mesh__mzi_width_um=12.0)
    theta, phi, psi, other = 1.0, 2.0, 3.0, 4.0
    near, far, side = 0.5 * kappa([10.0, 20.0, 12.0])
    across, corner = 0.5 * kappa([np.hypot(10, 12), np.hypot(20, 12)])
    warm = mesh.Phases(
        np.array([[theta + near * phi + near * psi + across * other]]),
        np.array([[phi + near * theta + far * psi + corner * other]]),
        np.array(
            [
                [
                    psi + near * theta + far * phi + side * other,
                    other + across * theta + corner * phi + side * psi,
                ]
            ]
        ),
    )
    line = np.array([2.0, 1.5]) + side * np.array([1.5, 2.0])
    block = mesh.matrix(warm)[0]
    found = mesh.tile_matrices(
        theta=np.full((1, 2, 1), theta),
        phi=np.full((1, 2, 1), phi),
        psi=np.array([[[psi, other], [psi, other]]]),
        attenuator=np.array([[2.0, 1.5]]),
        core=np.array([1]),
        chip=Chip.ideal(machine),
        machine=machine,
        sources=frozenset({"crosstalk"}),
    )
    npt.assert_allclose(found[0], block @ np.diag(np.sin(line / 2)) @ block, atol=1e-12)


def test_heat_comes_from_the_wrapped_phase() -> None:
    machine = machine_of(3, phase__crosstalk=1.0, mesh__mzi_width_um=15.0)
    phases, _ = bank(3, 2)
    turned = {**phases, "phi": phases["phi"] - 2 * np.pi, "psi": phases["psi"] + 4 * np.pi}
    found, expected = (
        mesh.tile_matrices(
            **each, chip=Chip.ideal(machine), machine=machine, sources=frozenset({"crosstalk"})
        )
        for each in (turned, phases)
    )
    npt.assert_allclose(found, expected, atol=1e-12)


def test_the_same_bits_come_out_in_any_order_and_for_any_threads() -> None:
    machine = machine_of(
        7, mesh__splitter_error_rad=0.05, phase__error_rad=0.02, mesh__correction="local"
    )
    chip = Chip.draw(machine, 5)
    phases, _ = bank(7, 6)
    together = mesh.tile_matrices(**phases, chip=chip, machine=machine, sources=ALL)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        backwards = mesh.tile_matrices(
            **{name: values[::-1] for name, values in phases.items()},
            chip=chip,
            machine=machine,
            sources=ALL,
        )
    finally:
        numba.set_num_threads(before)
    npt.assert_array_equal(backwards[::-1], together)


def test_names_of_other_sources_are_passed_over() -> None:
    machine = machine_of(3)
    phases, tiles = bank(3, 1)
    found = mesh.tile_matrices(
        **phases, chip=Chip.ideal(machine), machine=machine, sources=frozenset({"shot", "adc"})
    )
    npt.assert_allclose(found, tiles, atol=1e-12)


def test_tiles_of_another_size_than_the_chip_are_refused() -> None:
    machine = machine_of(4)
    phases, _ = bank(3, 1)
    with pytest.raises(InputError, match=r"tiles of 3 ports .* do not fit chip .* of 4 and 6"):
        mesh.tile_matrices(**phases, chip=Chip.ideal(machine), machine=machine)


def test_tiles_for_more_cores_than_the_chip_has_are_refused() -> None:
    machine = machine_of(4)
    phases, _ = bank(4, 2)
    phases["core"] = np.array([0, 3])
    with pytest.raises(InputError, match=r"run on cores 0 to 3, and chip .* has 3: compile"):
        mesh.tile_matrices(**phases, chip=Chip.ideal(machine), machine=machine)


@pytest.mark.parametrize("name", ["theta", "phi", "psi", "attenuator"])
def test_arrays_of_different_numbers_of_tiles_are_refused(name: str) -> None:
    machine = machine_of(4)
    phases, _ = bank(4, 3)
    phases[name] = phases[name][:2]
    with pytest.raises(InputError, match=rf"{name} of shape \(2, .*: 3 tiles need \(3, "):
        mesh.tile_matrices(**phases, chip=Chip.ideal(machine), machine=machine)
