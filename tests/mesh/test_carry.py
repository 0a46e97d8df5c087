"""Local correction that carries on what is left over: its kernel, and what it reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.hardware.topologies import SIZES
from photonpu.mesh import MESHES, haar, kernels_carry, reference_carry
from photonpu.mesh.values import Plan, fixed, frozen

if TYPE_CHECKING:
    from tests.conftest import Figure

Floats = NDArray[np.float64]
Mesh = tuple[Plan, int, np.random.Generator]
UNIVERSAL = sorted(name for name in MESHES if MESHES[name].universal and not MESHES[name].real)


@st.composite
def plans(draw: st.DrawFn) -> Mesh:
    """Draw the plan of a mesh, its ports, and a generator of numbers for it."""
    topology = draw(st.sampled_from([name for name in MESHES if not MESHES[name].real]))
    ports = draw(st.integers(2, 9))
    if SIZES[topology].power_of_two:
        ports = 1 << (ports.bit_length() - 1)
    return MESHES[topology].plan(ports), ports, np.random.default_rng(draw(st.integers(0, 2**32)))


@given(plans())
def test_carry_agrees_with_its_reference(drawn: Mesh) -> None:
    plan, ports, rng = drawn
    mzis, shape = len(plan.row), (2, 2 * len(plan.row) + ports)
    wanted = frozen(rng.uniform(0.2, 2.8, shape))
    phase, offset = frozen(rng.uniform(-3.0, 3.0, shape)), frozen(rng.normal(0.0, 0.2, shape))
    free = fixed(rng.uniform(size=shape) < 0.85)
    ideal = haar(ports, 2, int(rng.integers(1000)))
    real = fixed(ideal + 0.1 * haar(ports, 2, int(rng.integers(1000))))
    alpha, beta, gamma = map(frozen, rng.normal(0.0, 0.1, (3, 2, mzis)))
    arguments = (wanted, phase, offset, free, fixed(ideal), real, plan, alpha, beta, gamma)

    found, clipped = kernels_carry.carry(*arguments)
    expected, count = reference_carry.carry(*arguments)

    npt.assert_array_equal(clipped, count)
    npt.assert_array_equal(found[~free], phase[~free])
    npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-8)
    if plan.push:
        npt.assert_allclose(found[:, :mzis], expected[:, :mzis], atol=1e-8)


def left_over(topology: str, ports: int, draws: int, sigma: float) -> tuple[Floats, Floats]:
    """Return the error of Haar unitaries, corrected each interferometer alone, and carried."""
    unitaries = haar(ports, draws, seed=ports)
    phases = mesh.decompose(unitaries, topology)
    errors = np.random.default_rng(draws).normal(0.0, sigma, (3, *phases.theta.shape))

    def error(used: mesh.Phases) -> Floats:
        real = mesh.matrix(used, topology, alpha=errors[0], beta=errors[1], gamma=errors[2])
        return np.asarray(np.linalg.norm(real - unitaries, axis=(1, 2)) / np.sqrt(ports))

    alone, _ = mesh.correct_alone(phases, topology, *errors)
    carried, _ = mesh.correct(phases, topology, *errors)
    return error(alone), error(carried)


@pytest.mark.parametrize("topology", UNIVERSAL)
def test_what_is_in_reach_is_exact_and_what_is_not_leaves_less(topology: str) -> None:
    # 1e-5: N^3 sigma^2 / 3 = 1e-7 splits of a Haar unitary out of reach (law B4.5); the spare
    # interferometers of a diamond should be in the bar state, which errors just miss.
    alone, carried = left_over(topology, 10, 4, 1e-5)
    assert max(alone.max(), carried.max()) < 1e-8

    alone, carried = left_over(topology, 16, 30, 0.05)
    assert carried.mean() < 0.9 * alone.mean()


def test_one_interferometer_has_nobody_behind_it() -> None:
    alone, carried = left_over("clements", 2, 50, 0.3)
    npt.assert_allclose(carried, alone, atol=1e-12)


# At most 0.057 and 0.119; local correction that hands on phases only leaves 0.0617 and 0.121.
BOUNDS = [(32, 0.057), (64, 0.119)]


@pytest.mark.parametrize(("ports", "bound"), BOUNDS)
def test_what_local_correction_leaves_on_average_is_below_its_bound(
    ports: int, bound: float
) -> None:
    _, carried = left_over("clements", ports, 1536 // ports, 0.05)
    assert carried.mean() < bound


@pytest.mark.slow
@pytest.mark.parametrize(("ports", "bound"), BOUNDS)
def test_what_local_correction_leaves_of_many_draws_is_below_its_bound_by_four_deviations(
    ports: int, bound: float, figure: Figure
) -> None:
    alone, carried = left_over("clements", ports, 25600 // ports, 0.05)
    figure("local correction, carried, mean", f"{ports} ports, 0.05", carried.mean(), bound)
    assert carried.mean() + 4.0 * carried.std() / np.sqrt(len(carried)) < bound
    assert carried.mean() < 0.9 * alone.mean()
