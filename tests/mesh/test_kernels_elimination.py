"""The elimination of eight tiles at a time agrees with the literal one, whatever the steps."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu.mesh import decompose, haar, kernels_elimination, layouts, matrix, mzi, reference
from photonpu.mesh.layouts import Elimination, Layout
from photonpu.mesh.values import Plan, frozen, frozen_ints
from photonpu.simd import DOUBLE_LANES as LANES

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def from_the_left(ports: int) -> Elimination:
    """Return the steps that null column after column from the bottom up, all from the left."""
    steps = [
        (pair, pivot) for pivot in range(ports - 1) for pair in range(ports - 2, pivot - 1, -1)
    ]
    count = len(steps)
    return Elimination(
        np.ones(count, np.bool_),
        frozen_ints([pair for pair, _ in steps]),
        frozen_ints([pivot for _, pivot in steps]),
        frozen_ints(np.arange(count)),
    )


ELIMINATIONS = {
    "clements": lambda ports: layouts.clements(ports)[1],
    "reck": lambda ports: layouts.reck(ports)[1],
    "from the left": from_the_left,
}

kinds = st.sampled_from(list(ELIMINATIONS))
seeds = st.integers(0, 2**32 - 1)


def orthogonals(ports: int, count: int, seed: int) -> Floats:
    """Draw real orthogonal matrices."""
    gauss = np.random.default_rng(seed).standard_normal((count, ports, ports))
    return frozen(np.linalg.qr(gauss)[0])


def sparse(ports: int, count: int, seed: int) -> Floats:
    """Draw orthogonal matrices that are signed permutations but for some rows and columns."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((count, ports, ports))
    for rows in drawn:
        some = rng.integers(0, ports + 1)
        rows[np.arange(ports), np.arange(ports)] = rng.choice([-1.0, 1.0], ports)
        rows[:some, :some] = np.linalg.qr(rng.standard_normal((some, some)))[0]
        rows[:] = rows[rng.permutation(ports)][:, rng.permutation(ports)]
    return frozen(drawn)


@given(kinds, st.integers(2, 18), st.integers(1, 2 * LANES + 1), seeds)
def test_real_matrices_get_the_phases_of_the_reference(
    kind: str, ports: int, tiles: int, seed: int
) -> None:
    steps = ELIMINATIONS[kind](ports)
    order = (steps.left, steps.pair, steps.pivot, steps.slot)
    real = orthogonals(ports, tiles, seed)
    fast = kernels_elimination.decompose_real(real, *order)
    literal = reference.decompose(real.astype(np.complex128), *order)
    for found, expected in zip(fast, literal, strict=True):
        npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-10)


@given(kinds, st.integers(2, 9), st.integers(1, 2 * LANES + 1), seeds)
def test_complex_matrices_get_the_phases_of_the_reference(
    kind: str, ports: int, tiles: int, seed: int
) -> None:
    steps = ELIMINATIONS[kind](ports)
    order = (steps.left, steps.pair, steps.pivot, steps.slot)
    unitaries = haar(ports, tiles, seed)
    unitaries.flags.writeable = False
    fast = kernels_elimination.decompose(unitaries, *order)
    for found, expected in zip(fast, reference.decompose(unitaries, *order), strict=True):
        npt.assert_allclose(np.exp(1j * found), np.exp(1j * expected), atol=1e-10)


@given(st.sampled_from([layouts.clements, layouts.reck]), st.integers(2, 8), seeds)
def test_signed_permutations_come_back(
    build: Callable[[int], tuple[Layout, Elimination]], ports: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = [np.eye(ports)[rng.permutation(ports)] * rng.choice([-1, 1], ports) for _ in range(9)]
    layout, steps = build(ports)
    phases = kernels_elimination.decompose_real(
        frozen(drawn), steps.left, steps.pair, steps.pivot, steps.slot
    )
    none = frozen(np.zeros_like(phases[0]))
    plan = Plan(layout.row, layout.partner, ports, False, 0.0)
    back = reference.matrix(*phases, plan, none, none, none, none + 1.0, none + 1.0)
    npt.assert_allclose(back, drawn, atol=1e-14)


@given(kinds, st.integers(2, 24), st.integers(1, 2 * LANES + 1), seeds)
def test_matrices_with_many_zeros_come_back(kind: str, ports: int, tiles: int, seed: int) -> None:
    steps = ELIMINATIONS[kind](ports)
    real = sparse(ports, tiles, seed)
    theta, phi, psi = kernels_elimination.decompose_real(
        real, steps.left, steps.pair, steps.pivot, steps.slot
    )
    back = np.stack([built(steps, *phases, ports) for phases in zip(theta, phi, psi, strict=True)])
    npt.assert_allclose(back, real, atol=1e-13)


def built(steps: Elimination, theta: Floats, phi: Floats, psi: Floats, ports: int) -> Complexes:
    """Build a matrix from the phases of an elimination: right steps first, left ones last on."""
    product = np.eye(ports, dtype=np.complex128)
    right, left = np.flatnonzero(~steps.left), np.flatnonzero(steps.left)[::-1]
    for step in (*right, *left):
        k = steps.slot[step]
        block = mzi.transfer(theta[k], phi[k])
        product = reference.embed(block, steps.pair[step], ports) @ product
    product *= np.exp(1j * psi)[:, None]
    return product


@pytest.mark.parametrize("ports", [64, 100])
def test_large_real_matrices_come_back(ports: int) -> None:
    real = orthogonals(ports, LANES + 1, seed=ports)
    back = matrix(decompose(real))
    npt.assert_allclose(back, real, atol=1e-13)


def test_where_one_of_two_elements_is_zero_the_phase_between_them_is_zero() -> None:
    # The last row is (0, 1, 0): a bar keeps its 1 in the middle, then a cross moves it on.
    rotated = np.array([[[0.6, 0.0, -0.8], [0.8, 0.0, 0.6], [0.0, 1.0, 0.0]]])
    steps = layouts.reck(3)[1]
    theta, phi, _ = kernels_elimination.decompose_real(
        frozen(rotated), steps.left, steps.pair, steps.pivot, steps.slot
    )
    first, second = steps.slot[:2]
    npt.assert_array_equal(theta[0, [first, second]], [np.pi, 0.0])
    npt.assert_array_equal(phi[0, [first, second]], [0.0, 0.0])


@given(st.integers(2, 20), st.integers(1, LANES + 4), seeds)
def test_the_bits_of_a_real_tile_depend_on_nothing_beside_it(
    ports: int, tiles: int, seed: int
) -> None:
    steps = layouts.clements(ports)[1]
    order = (steps.left, steps.pair, steps.pivot, steps.slot)
    real = np.concatenate([orthogonals(ports, tiles, seed), sparse(ports, tiles, seed)])
    real = frozen(np.random.default_rng(seed).permutation(real))
    together = kernels_elimination.decompose_real(real, *order)
    chosen = seed % len(real)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = kernels_elimination.decompose_real(real[chosen : chosen + 1], *order)
        turned = kernels_elimination.decompose_real(frozen(real[::-1]), *order)
    finally:
        numba.set_num_threads(before)
    for whole, one, back in zip(together, alone, turned, strict=True):
        npt.assert_array_equal(one[0], whole[chosen])
        npt.assert_array_equal(back[::-1], whole)
