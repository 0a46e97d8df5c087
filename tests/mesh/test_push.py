"""Push-pull interferometers: meshes without common phases, and meshes of real matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError, MachineError
from photonpu.hardware import Chip, Machine
from photonpu.mesh import MESHES, crosstalk, kernels_push, reference_push
from photonpu.mesh.meshes import one_armed, push_pulled
from photonpu.mesh.values import Plan, frozen
from photonpu.program.cutting import Block
from photonpu.program.tiles import bank, held_phases

if TYPE_CHECKING:
    from tests.conftest import Figure

Floats = NDArray[np.float64]

PUSH = ["clements-symmetric", "clements-real"]
seeds = st.integers(0, 2**32 - 1)


def orthogonal(ports: int, count: int, seed: int) -> Floats:
    return np.asarray(
        np.linalg.qr(np.random.default_rng(seed).normal(size=(count, ports, ports)))[0]
    )


def rms_error(found: NDArray[Any], ideal: Floats) -> float:
    difference = np.abs(found - ideal) ** 2
    return float(np.sqrt(np.mean(np.sum(difference, axis=(1, 2))) / ideal.shape[1]))


def test_a_push_pull_interferometer_is_its_splitters_and_both_halves_of_theta() -> None:
    rng = np.random.default_rng(0)
    theta, phi, alpha, beta = rng.normal(size=(4, 50))
    none = np.zeros_like(theta)
    halves = mesh.mzi.block_of(np.exp(0.5j * theta), none, none, np.exp(-0.5j * theta))
    outer = mesh.mzi.block_of(np.exp(1j * phi), none, none, none + 1.0)
    into, out = mesh.splitter(np.pi / 4 + alpha), mesh.splitter(np.pi / 4 + beta)
    found = reference_push.push_pull(theta, phi, alpha, beta)
    npt.assert_allclose(found, -1j * out @ halves @ into @ outer, atol=1e-14)


def test_without_phi_and_errors_it_is_a_real_reflection() -> None:
    theta = np.linspace(-np.pi, np.pi, 9)
    s, c = np.sin(theta / 2), np.cos(theta / 2)
    npt.assert_allclose(
        reference_push.push_pull(theta, 0.0), mesh.mzi.block_of(s, c, c, -s), atol=1e-15
    )


def plan(topology: str, ports: int) -> Plan:
    return MESHES[topology].plan(ports)


@given(st.integers(2, 9), seeds)
def test_phases_for_both_ways_to_drive_agree_with_their_reference(ports: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layout = plan("clements-symmetric", ports)
    theta = frozen(rng.uniform(0.0, 2 * math.pi, (2, len(layout.row))))
    phi, psi = frozen(rng.normal(size=theta.shape)), frozen(rng.normal(size=(2, ports)))
    for name in ("with_push", "without_push"):
        fast = getattr(kernels_push, name)(theta, phi, psi, layout)
        literal = getattr(reference_push, name)(theta, phi, psi, layout)
        npt.assert_allclose(fast[0], literal[0], atol=1e-15)
        for found, expected in zip(fast[1:], literal[1:], strict=True):
            npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-12)


@given(st.integers(2, 9), seeds)
def test_phases_of_real_meshes_agree_with_their_reference(ports: int, seed: int) -> None:
    one_arm = mesh.decompose(orthogonal(ports, 2, seed))
    arguments = frozen(one_arm.theta), frozen(one_arm.phi), frozen(one_arm.psi)
    layout = plan("clements-real", ports)
    fast = kernels_push.with_push(*arguments, layout)
    for found, expected in zip(fast, reference_push.with_push(*arguments, layout), strict=True):
        npt.assert_allclose(found, expected, atol=1e-12)


def test_signed_permutations_are_bars_crosses_and_signs_of_a_real_mesh() -> None:
    rng = np.random.default_rng(0)
    signed = np.stack(
        [np.eye(16)[rng.permutation(16)] * rng.choice([-1, 1], 16) for _ in range(50)]
    )
    phases = mesh.decompose(signed, "clements-real")
    npt.assert_allclose(mesh.matrix(phases, "clements-real"), signed, atol=1e-14)
    half_turns = phases.theta / np.pi
    npt.assert_allclose(half_turns, np.round(half_turns), atol=1e-14)


@pytest.mark.parametrize("topology", PUSH)
def test_the_same_phases_in_one_arm_do_the_same_with_errors_and_losses(topology: str) -> None:
    phases = mesh.decompose(orthogonal(9, 5, seed=1), topology)
    alpha, beta = np.random.default_rng(1).normal(0.0, 0.1, (2, *phases.theta.shape))
    one_arm = one_armed(phases, topology)
    npt.assert_allclose(
        mesh.matrix(one_arm, "clements", alpha=alpha, beta=beta, loss_db=0.2),
        mesh.matrix(phases, topology, alpha=alpha, beta=beta, loss_db=0.2),
        atol=1e-13,
    )
    back = push_pulled(one_arm, topology)
    npt.assert_allclose(mesh.matrix(back, topology), mesh.matrix(phases, topology), atol=1e-13)


def test_complex_matrices_are_refused_by_a_real_mesh() -> None:
    with pytest.raises(InputError, match="'clements-real' does real matrices only, and these are"):
        mesh.decompose(mesh.haar(4, 1, seed=0), "clements-real")


def test_correction_leaves_a_real_mesh_as_it_is() -> None:
    phases = mesh.decompose(orthogonal(8, 3, seed=0), "clements-real")
    corrected, clipped = mesh.correct(phases, "clements-real", 0.1, -0.05)
    npt.assert_array_equal(corrected.theta, phases.theta)
    npt.assert_array_equal(clipped, 0)


def test_refining_a_real_mesh_is_refused() -> None:
    phases = mesh.decompose(np.eye(4)[None], "clements-real")
    with pytest.raises(InputError, match="sweeps=2: 'clements-real' has no phases to refine but"):
        mesh.correct(phases, "clements-real", 0.0, 0.0, sweeps=2)


def test_what_needs_shifters_in_one_arm_names_itself() -> None:
    MESHES["clements"].require_one_arm("self-configuration")
    with pytest.raises(InputError, match="'clements-real' has push-pull interferometers: self-con"):
        MESHES["clements-real"].require_one_arm("self-configuration")


@pytest.mark.parametrize("topology", PUSH)
def test_a_push_pull_mesh_takes_no_converters_in_the_voltage_domain(topology: str) -> None:
    with pytest.raises(MachineError, match=f"mesh.topology='{topology}' is push-pull, for 'phase'"):
        Machine.preset("mzi64-eo").override(
            {"mesh.topology": topology, "phase.dac_domain": "voltage"}
        )


@pytest.mark.parametrize("topology", PUSH)
def test_a_machine_with_a_push_pull_mesh_does_not_refine(topology: str) -> None:
    message = f"mesh.correction='refined': mesh.topology='{topology}' is push-pull, 'local'"
    with pytest.raises(MachineError, match=message):
        Machine.preset("mzi64-eo").override(
            {"mesh.topology": topology, "mesh.correction": "refined"}
        )


def test_a_real_core_has_one_shifter_for_each_interferometer_and_attenuator() -> None:
    machine = Machine.preset("mzi64-eo").override({"mesh.topology": "clements-real"})
    # 64 ports: 2016 interferometers a mesh.
    assert machine.mesh.shifters == 2 * 2016 + 64
    assert MESHES["clements-real"].counts(64).shifters == 2016
    assert Machine.preset("mzi64-eo").mesh.shifters == 2 * (2 * 2016 + 64) + 64


def test_push_pull_heaters_hold_half_a_turn_for_each_interferometer() -> None:
    tiles = np.random.default_rng(0).normal(size=(3, 4, 4))
    found = bank((Block(0, 0, 4, 4),) * 3, tiles, "clements-real", 1)
    # Two meshes of six pairs at (pi +- theta) / 2; attenuators; signs cost nothing.
    expected = 12 + found.attenuator.sum(axis=1) / np.pi
    npt.assert_allclose(held_phases(found, "clements-real"), expected, rtol=1e-12)


def tile_error(
    topology: str, source: str, tiles: int = 12, **changes: object
) -> tuple[float, float]:
    """Return errors of 64-port tiles ``U V^H`` without attenuation, and of their real parts."""
    machine = Machine.preset("mzi64-eo").override(
        {"cores": tiles, "mesh.topology": topology}
        | {name.replace("__", "."): value for name, value in changes.items()}
    )
    left, right = orthogonal(64, tiles, seed=1), orthogonal(64, tiles, seed=2)
    second, first = mesh.decompose(left, topology), mesh.decompose(right, topology)
    real = mesh.tile_matrices(
        np.stack([first.theta, second.theta], axis=1),
        np.stack([first.phi, second.phi], axis=1),
        np.stack([first.psi, second.psi], axis=1),
        np.full((tiles, 64), np.pi),
        np.arange(tiles, dtype=np.int32),
        Chip.draw(machine, 0),
        machine,
        sources=frozenset({source}),
    )
    return rms_error(real, left @ right), rms_error(real.real, left @ right)


# A push-pull theta that is off by d moves its block by d / sqrt(2) in the norm, one in one arm by
# d; there are (N - 1) / 2 of each for each port, and as many phi, which move it by d, and a psi.
LAWS = {
    "clements": lambda ports: math.sqrt(ports),
    "clements-symmetric": lambda ports: math.sqrt(0.75 * (ports - 1) + 1),
    "clements-real": lambda ports: math.sqrt((ports - 1) / 4),
}


@pytest.mark.parametrize("topology", list(LAWS))
def test_phase_errors_follow_the_law_of_the_shifters_that_a_mesh_has(topology: str) -> None:
    error, _ = tile_error(topology, "phase", phase__error_rad=0.01)
    npt.assert_allclose(error, math.sqrt(2) * LAWS[topology](64) * 0.01, rtol=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("topology", list(LAWS))
@pytest.mark.parametrize("sigma", [0.005, 0.02])
def test_phase_errors_follow_their_law_for_many_draws(
    topology: str, sigma: float, figure: Figure
) -> None:
    error, _ = tile_error(topology, "phase", tiles=60, phase__error_rad=sigma)
    law = math.sqrt(2) * LAWS[topology](64) * sigma
    figure(f"phase errors, {topology}, two meshes", f"64 ports, {sigma}", error, law)
    npt.assert_allclose(error, law, rtol=0.03)


# Without common phases phi is 0 or pi for a real matrix, which converters set exactly.
CONVERTED = LAWS | {"clements-symmetric": LAWS["clements-real"]}


@pytest.mark.parametrize("topology", list(CONVERTED))
def test_phase_converters_act_as_phase_errors_of_a_step_over_root_12(topology: str) -> None:
    error, _ = tile_error(topology, "dac", phase__dac_bits=9)
    step = 2 * math.pi / 2**9
    npt.assert_allclose(error, math.sqrt(2 / 12) * CONVERTED[topology](64) * step, rtol=0.04)


@pytest.mark.parametrize("correction", ["none", "local"])
def test_splitter_errors_leave_a_real_mesh_complex_and_its_real_part_right_to_first_order(
    correction: str,
) -> None:
    both, real = tile_error(
        "clements-real", "splitter", mesh__splitter_error_rad=0.01, mesh__correction=correction
    )
    law = math.sqrt(2 * 2 * 63) * 0.01
    npt.assert_allclose(both, law, rtol=0.05)
    # What is left of the real part is of the second order: the law's square, but for a factor.
    assert 0.5 * law**2 < real < 1.5 * law**2


@pytest.mark.parametrize("topology", PUSH)
def test_heat_reaches_the_two_arms_of_a_push_pull_shifter_with_opposite_signs(
    topology: str,
) -> None:
    found = crosstalk.mesh_couplings(topology, 4, 40.0, 20.0)
    places = crosstalk.floor_plan(topology, 4, 40.0, 20.0)
    # Interferometers 0 and 1 share a column; their upper arms are two widths, 40 um, apart.
    assert (places[1] - places[0]).tolist() == [0.0, 40.0]
    near, equal, far = crosstalk.kappa([20.0, 40.0, 60.0])
    row = slice(found.first[0], found.first[1])
    strength = dict(zip(found.neighbour[row].tolist(), found.strength[row].tolist(), strict=True))
    npt.assert_allclose(strength[1], (2 * equal - near - far) / 2, rtol=1e-12)
    assert 0 not in strength
    mzis = 6
    phis = [k for k in strength if k >= mzis]
    assert bool(phis) == (topology == "clements-symmetric")
