"""Real matrices come apart into orthogonal ones and singular values."""

from __future__ import annotations

import numba
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError
from photonpu.mesh import reference

Floats = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def check(matrices: Floats) -> None:
    """Compare with the reference, and put the factors together again."""
    factors, values, found = mesh.factor(matrices)
    _, expected, _ = reference.factor(matrices)
    ports = matrices.shape[1]
    largest = np.where(expected[:, :1] > 0, expected[:, :1], 1.0)
    assert found.all()
    npt.assert_allclose(values / largest, expected / largest, rtol=0, atol=1e-14)
    assert (np.diff(values, axis=1) <= 0).all()
    assert (values >= 0).all()
    turned = factors.transpose(0, 1, 3, 2)
    npt.assert_allclose(factors @ turned, np.broadcast_to(np.eye(ports), factors.shape), atol=3e-14)
    back = factors[:, 1] * values[:, None, :] @ factors[:, 0]
    npt.assert_allclose(back / largest[:, :, None], matrices / largest[:, :, None], atol=2e-14)


@given(st.integers(2, 24), st.integers(1, 17), seeds)
def test_gaussian_matrices_agree_with_the_reference(ports: int, count: int, seed: int) -> None:
    check(np.random.default_rng(seed).standard_normal((count, ports, ports)))


@pytest.mark.parametrize("ports", [64, 128])
def test_matrices_of_real_machines_agree_with_the_reference(ports: int) -> None:
    check(np.random.default_rng(ports).standard_normal((9, ports, ports)))


@given(st.integers(2, 12), st.integers(0, 12), seeds)
def test_matrices_of_any_rank_agree_with_the_reference(ports: int, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((2, 5, ports, min(rank, ports)))
    check(left @ right.transpose(0, 2, 1))


@given(st.integers(2, 10), seeds)
def test_matrices_of_few_numbers_agree_with_the_reference(ports: int, seed: int) -> None:
    # Zeros on the diagonal, equal singular values, permutations: what Gaussian numbers never are.
    check(np.random.default_rng(seed).integers(-1, 2, (16, ports, ports)).astype(np.float64))


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-10, 1e150])
def test_the_size_of_a_matrix_does_not_matter(scale: float) -> None:
    drawn = np.random.default_rng(0).standard_normal((4, 7, 7))
    _, values, _ = mesh.factor(scale * drawn)
    _, plain, _ = mesh.factor(drawn)
    npt.assert_allclose(values / scale, plain, rtol=1e-10 if scale > 1e-300 else 1e-4, atol=1e-10)


def test_columns_of_very_different_size_agree_with_the_reference() -> None:
    rng = np.random.default_rng(1)
    check(rng.standard_normal((9, 16, 16)) * 10.0 ** rng.uniform(-15, 0, (9, 1, 16)))


def test_bidiagonal_matrices_with_zeros_agree_with_the_reference() -> None:
    jordan = np.eye(12) + np.eye(12, k=1)
    holed = jordan.copy()
    holed[5, 5] = 0.0
    headless = jordan.copy()
    headless[0, 0] = 0.0
    check(np.stack([jordan, holed, headless, np.eye(12, k=1), np.eye(12)[::-1], np.ones((12, 12))]))


def test_a_matrix_of_zeros_has_the_identity_on_both_sides() -> None:
    factors, values, _ = mesh.factor(np.zeros((1, 5, 5)))
    npt.assert_array_equal(factors[0], [np.eye(5)] * 2)
    npt.assert_array_equal(values, 0.0)


@given(st.integers(2, 12), st.integers(2, 20), seeds)
def test_the_bits_of_a_matrix_depend_on_nothing_beside_it(
    ports: int, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((count, ports, ports)) * rng.integers(0, 2, (count, ports, 1))
    together = mesh.factor(drawn)
    chosen = seed % count
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = mesh.factor(drawn[chosen : chosen + 1])
        backwards = mesh.factor(drawn[::-1])
    finally:
        numba.set_num_threads(before)
    for whole, one, back in zip(together, alone, backwards, strict=True):
        assert one[0].tobytes() == whole[chosen].tobytes()
        assert back[::-1].tobytes() == whole.tobytes()


def test_what_is_not_a_batch_of_square_matrices_is_refused() -> None:
    with pytest.raises(InputError, match=r"matrices of shape \(3, 4\): factor needs"):
        mesh.factor(np.zeros((3, 4)))


def test_a_matrix_with_infinity_is_refused() -> None:
    with pytest.raises(InputError, match="matrices: some elements are NaN or infinite"):
        mesh.factor(np.full((1, 2, 2), np.inf))
