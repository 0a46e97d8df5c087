"""Compiled kernels agree with what is written out in the reference."""

import math
from collections.abc import Callable

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu.hardware.topologies import SIZES
from photonpu.mesh import (
    MESHES,
    haar,
    kernels,
    kernels_correction,
    kernels_elimination,
    kernels_math,
    kernels_refine,
    kernels_settle,
    layouts,
    reference,
    reference_refine,
    reference_settle,
    values,
)
from photonpu.mesh.crosstalk import couplings
from photonpu.mesh.values import Errors, Plan, Splitters, frozen, frozen_ints

BUILDS = {"clements": layouts.clements, "reck": layouts.reck}
ports_drawn = st.integers(2, 9)
seeds = st.integers(0, 2**32 - 1)
builds = st.sampled_from(list(BUILDS))


@st.composite
def plans(draw: st.DrawFn, most: int = 9) -> tuple[Plan, int, np.random.Generator]:
    """Draw the plan of a mesh, its ports, and a generator of numbers for it."""
    topology = draw(st.sampled_from(list(MESHES)))
    ports = draw(st.integers(2, most))
    if SIZES[topology].power_of_two:
        ports = 1 << (ports.bit_length() - 1)
    return MESHES[topology].plan(ports), ports, np.random.default_rng(draw(seeds))


@given(builds, ports_drawn, seeds)
def test_decompose_agrees_with_its_reference(topology: str, ports: int, seed: int) -> None:
    steps = BUILDS[topology](ports)[1]
    unitaries = haar(ports, 2, seed)
    unitaries.flags.writeable = False
    arguments = (unitaries, steps.left, steps.pair, steps.pivot, steps.slot)
    fast = kernels_elimination.decompose(*arguments)
    for found, expected in zip(fast, reference.decompose(*arguments), strict=True):
        npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-12)


def skews(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return ratios of the fields behind two arms, 1 for some interferometers."""
    return frozen(np.where(rng.uniform(size=shape) < 0.3, 1.0, rng.uniform(0.7, 1.4, shape)))


@given(plans())
def test_matrix_agrees_with_its_reference(mesh: tuple[Plan, int, np.random.Generator]) -> None:
    plan, ports, rng = mesh
    theta, phi, alpha, beta, gamma, gain = map(frozen, rng.normal(size=(6, 3, len(plan.row))))
    psi = frozen(rng.normal(size=(3, ports)))
    skew = skews(rng, (3, len(plan.row)))
    arguments = (theta, phi, psi, plan, alpha, beta, gamma, gain, skew)
    npt.assert_allclose(kernels.matrix(*arguments), reference.matrix(*arguments), atol=1e-12)


@given(plans())
def test_correct_agrees_with_its_reference(mesh: tuple[Plan, int, np.random.Generator]) -> None:
    plan, ports, rng = mesh
    mzis = len(plan.row)
    theta = frozen(rng.uniform(0.0, math.pi, (3, mzis)))
    phi = frozen(rng.uniform(0.0, 2 * math.pi, (3, mzis)))
    psi, owed = map(frozen, rng.normal(size=(2, 3, ports)))
    alpha, beta, gamma = map(frozen, rng.normal(0.0, 0.1, (3, 3, mzis)))
    arguments = (theta, phi, psi, owed, plan, alpha, beta, gamma)
    *fast, fast_count = kernels_correction.correct(*arguments)
    *literal, literal_count = reference.correct(*arguments)
    npt.assert_array_equal(fast_count, literal_count)
    for found, expected in zip(fast, literal, strict=True):
        npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-11)


@given(plans())
def test_with_third_agrees_with_its_reference(mesh: tuple[Plan, int, np.random.Generator]) -> None:
    plan, ports, rng = mesh
    theta = frozen(rng.uniform(0.0, math.pi, (3, len(plan.row))))
    phi = frozen(rng.uniform(0.0, 2 * math.pi, (3, len(plan.row))))
    arguments = (theta, phi, frozen(rng.normal(size=(3, ports))), plan)
    fast = kernels_correction.with_third(*arguments)
    for found, expected in zip(fast, reference.with_third(*arguments), strict=True):
        npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-11)


@given(plans(most=5), st.integers(0, 2))
def test_refine_agrees_with_its_reference(
    mesh: tuple[Plan, int, np.random.Generator], sweeps: int
) -> None:
    plan, ports, rng = mesh
    goals = haar(ports, 2, int(rng.integers(1000)))
    goals.flags.writeable = False
    theta = frozen(rng.uniform(0.0, math.pi, (2, len(plan.row))))
    phi = frozen(rng.uniform(0.0, 2 * math.pi, (2, len(plan.row))))
    psi = frozen(rng.normal(size=(2, ports)))
    alpha, beta, gamma = map(frozen, rng.normal(0.0, 0.1, (3, 2, len(plan.row))))
    arguments = (goals, theta, phi, psi, plan, alpha, beta, gamma, sweeps)
    *fast, fast_overlap = kernels_refine.refine(*arguments)
    *literal, overlap = reference_refine.refine(*arguments)
    npt.assert_allclose(fast_overlap, overlap, atol=1e-10)
    for found, expected in zip(fast, literal, strict=True):
        npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-7)


@given(plans(most=5), st.sampled_from([(0.0, 0.0), (math.pi / 8, 0.0), (0.0, 0.05)]))
def test_settle_agrees_with_its_reference(
    mesh: tuple[Plan, int, np.random.Generator], dac: tuple[float, float]
) -> None:
    plan, ports, rng = mesh
    mzis, shape = len(plan.row), (2, 2 * len(plan.row) + ports)
    goals = rng.normal(size=(2, ports, ports, 2)) @ np.array([1.0, 1.0j])
    goals.flags.writeable = False
    phase, offset = frozen(rng.uniform(0.0, 6.0, shape)), frozen(rng.normal(0.0, 0.1, shape))
    free = rng.uniform(size=shape) < 0.8
    free.flags.writeable = False
    alpha, beta, gamma = map(frozen, rng.normal(0.0, 0.1, (3, 2, mzis)))
    plan = plan._replace(step=dac[0], unit=dac[1])
    columns = frozen_ints(np.unique([0, mzis // 2, mzis]) if any(dac) else [])
    arguments = (goals, phase, offset, free, plan, alpha, beta, gamma, columns, 2)
    found = kernels_settle.settle(*arguments)
    expected = reference_settle.settle(*arguments)
    npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-6)
    npt.assert_allclose(np.exp(1j * found[~free]), np.exp(1j * phase[~free]), atol=1e-12)


@given(
    plans(),
    st.sampled_from([(0.0, 0.0), (math.pi / 32, 0.0), (math.pi / 2048, 0.0), (0.0, 0.01)]),
    st.booleans(),
)
def test_tile_matrices_agrees_with_its_reference(
    mesh: tuple[Plan, int, np.random.Generator], dac: tuple[float, float], programmed: bool
) -> None:
    plan, ports, rng = mesh
    tiles, cores, mzis = 3, 2, len(plan.row)
    theta = frozen(rng.uniform(0.0, math.pi, (tiles, 2, mzis)))
    phi = frozen(rng.uniform(-4.0, 10.0, (tiles, 2, mzis)))
    psi = frozen(rng.uniform(-4.0, 10.0, (tiles, 2, ports)))
    attenuator = frozen(rng.uniform(0.0, math.pi, (tiles, ports)))
    core = frozen_ints(rng.integers(0, cores, tiles))
    known, actual = (
        Splitters(
            *map(frozen, rng.normal(0.0, 0.1, (3, cores, 2, mzis))),
            *map(frozen, rng.normal(0.0, 0.1, (2, cores, ports))),
        )
        for _ in range(2)
    )
    errors = Errors(
        frozen(rng.normal(0.0, 0.1, (cores, 2, 2 * mzis + ports))),
        frozen(rng.normal(0.0, 0.1, (cores, ports))),
        frozen(rng.uniform(0.8, 1.0, (cores, 2, mzis))),
        frozen(rng.uniform(0.8, 1.0, (cores, ports))),
        frozen(np.maximum(rng.uniform(-20.0, 2 * math.pi, (cores, 2, 2 * mzis + ports)), 0.0)),
        frozen(np.maximum(rng.uniform(-20.0, 2 * math.pi, (cores, ports)), 0.0)),
        skews(rng, (cores, 2, mzis)),
        skews(rng, (cores, ports)),
        frozen(rng.uniform(0.9, 1.1, (cores, 2, 2 * mzis + ports))),
        frozen(rng.uniform(0.9, 1.1, (cores, ports))),
    )
    within = couplings(rng.uniform(0.0, 200.0, (2 * mzis + ports, 2)))
    line = couplings(rng.uniform(0.0, 60.0, (ports, 2)))
    plan = plan._replace(step=dac[0], unit=dac[1], programmed=programmed)
    arguments = (theta, phi, psi, attenuator, core, known, actual, errors, plan, within, line)
    npt.assert_allclose(
        kernels.tile_matrices(*arguments), reference.tile_matrices(*arguments), atol=1e-11
    )


def test_a_perfect_bar_or_cross_between_perfect_splitters_is_corrected_to_itself() -> None:
    # Its other path is dark: the phase there means nothing and must not become NaN.
    plan = MESHES["clements"].plan(3)
    theta = frozen([[0.0, math.pi, 0.0], [math.pi, 0.0, math.pi]])
    none = frozen(np.zeros((2, 3)))
    fixed = kernels_correction.correct(theta, none, none, none, plan, none, none, none)
    before = reference.matrix(theta, none, none, plan, none, none, none, none + 1.0, none + 1.0)
    after = reference.matrix(*fixed[:3], plan, none, none, none, none + 1.0, none + 1.0)
    npt.assert_allclose(after, before, atol=1e-14)
    npt.assert_array_equal(fixed[3], 0)


GRID = np.concatenate([np.linspace(-60.0, 60.0, 2401), np.arange(-16, 17) * math.pi / 4])


def test_sin_and_cos_agree_with_the_c_library() -> None:
    found = np.array([kernels_math.sincos(x) for x in GRID])
    npt.assert_allclose(found, np.stack([np.sin(GRID), np.cos(GRID)], axis=1), atol=3e-16)


@pytest.mark.parametrize("radius", [1e-30, 1.0, 1e30])
def test_the_angle_of_a_point_agrees_with_the_c_library(radius: float) -> None:
    points = radius * np.exp(1j * GRID)
    found = [kernels_math.arctan2(z.imag, z.real) for z in points]
    npt.assert_allclose(found, np.angle(points), atol=1e-15)


def test_the_angle_at_the_origin_is_zero_and_on_the_axes_exact() -> None:
    assert kernels_math.arctan2(0.0, 0.0) == 0.0
    assert kernels_math.arctan2(0.0, 2.0) == 0.0
    assert kernels_math.arctan2(2.0, 0.0) == math.pi / 2
    assert kernels_math.arctan2(0.0, -2.0) == math.pi
    assert kernels_math.arctan2(-2.0, 0.0) == -math.pi / 2


@pytest.mark.parametrize("wrap", [kernels_math.wrap, values.wrap])
def test_wrapping_never_gives_what_rounding_keeps_from_a_whole_turn(
    wrap: Callable[[float], float],
) -> None:
    assert wrap(-1e-17) == 0.0
    assert wrap(-1e-13) == 0.0
    assert wrap(2 * math.pi) == 0.0
    npt.assert_allclose(wrap(-1e-11), 2 * math.pi - 1e-11, rtol=1e-15)
    npt.assert_allclose(wrap(-1.0), 2 * math.pi - 1.0, rtol=1e-15)
    npt.assert_allclose(wrap(9.0), 9.0 - 2 * math.pi, rtol=1e-14)
