"""Conventions: one interferometer, and which way light runs through a mesh."""

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonpu import mesh
from photonpu.mesh import Phases, attenuation, splitter, transfer
from photonpu.mesh.mzi import unbalanced

angles = st.floats(-7.0, 7.0)
errors = st.floats(-0.5, 0.5)


@given(angles, angles, errors, errors)
def test_the_closed_form_is_the_product_of_splitters_and_shifters(
    theta: float, phi: float, alpha: float, beta: float
) -> None:
    product = (
        splitter(math.pi / 4 + beta)
        @ np.diag([np.exp(1j * theta), 1.0])
        @ splitter(math.pi / 4 + alpha)
        @ np.diag([np.exp(1j * phi), 1.0])
    )
    npt.assert_allclose(transfer(theta, phi, alpha, beta), product, atol=1e-14)


def test_a_splitter_of_a_quarter_turn_splits_evenly_and_turns_the_crossed_half_by_i() -> None:
    half = math.sqrt(0.5)
    npt.assert_allclose(splitter(math.pi / 4), [[half, 1j * half], [1j * half, half]], atol=1e-15)


@given(angles, angles)
def test_the_ideal_block_has_the_outer_phase_in_its_first_column(theta: float, phi: float) -> None:
    s, c, outer = math.sin(theta / 2), math.cos(theta / 2), np.exp(1j * phi)
    expected = 1j * np.exp(0.5j * theta) * np.array([[outer * s, c], [outer * c, -s]])
    npt.assert_allclose(transfer(theta, phi), expected, atol=1e-14)


def test_theta_zero_is_the_cross_state() -> None:
    npt.assert_allclose(np.abs(transfer(0.0, 0.4)), [[0, 1], [1, 0]], atol=1e-15)


def test_theta_pi_is_the_bar_state() -> None:
    npt.assert_allclose(np.abs(transfer(math.pi, 0.4)), [[1, 0], [0, 1]], atol=1e-15)


@given(angles, angles, errors, errors)
def test_arms_that_lose_alike_make_the_unitary_block(
    theta: float, phi: float, alpha: float, beta: float
) -> None:
    npt.assert_allclose(
        unbalanced(theta, phi, alpha, beta), transfer(theta, phi, alpha, beta), atol=1e-14
    )


@given(angles, angles, errors, errors, st.floats(-3.0, 3.0))
def test_no_phase_and_no_splitter_makes_up_for_arms_that_lose_differently(
    theta: float, phi: float, alpha: float, beta: float, imbalance_db: float
) -> None:
    # The arms stand between unitary matrices: their fields are the singular values of the block.
    block = unbalanced(theta, phi, alpha, beta, 10 ** (-imbalance_db / 20))

    larger = 10 ** (abs(imbalance_db) / 40)
    npt.assert_allclose(np.linalg.svd(block)[1], [larger, 1 / larger], rtol=1e-12)


def test_a_decibel_between_the_arms_leaves_an_extinction_of_24_8_decibels() -> None:
    # By hand: u, l = 10^(-+1/40); at cross the bar path keeps ((l - u) / 2)^2 of the power.
    block = unbalanced(0.0, 0.0, skew=10 ** (-1 / 20))

    assert -20 * math.log10(abs(block[0, 0])) == pytest.approx(24.79, abs=0.01)
    assert abs(block[0, 1]) == pytest.approx(math.cosh(math.log(10) / 40))


@given(angles, errors, errors)
def test_an_attenuator_is_the_bar_path_without_its_common_phase(
    theta: float, alpha: float, beta: float
) -> None:
    bar = transfer(theta, 0.0, alpha, beta)[0, 0]
    npt.assert_allclose(
        attenuation(theta, alpha, beta) * 1j * np.exp(0.5j * theta), bar, atol=1e-14
    )


def test_arrays_of_angles_give_a_matrix_each() -> None:
    blocks = transfer(np.zeros((3, 1)), np.linspace(0.0, 1.0, 4))
    assert blocks.shape == (3, 4, 2, 2)
    npt.assert_allclose(blocks[2, 3], transfer(0.0, 1.0))


def test_light_meets_column_0_first_and_columns_of_the_matrix_are_inputs() -> None:
    # Three ports: (0, 1), then (1, 2), then (0, 1). Cross, cross, bar: port 0 goes to 1 and on
    # to 2; port 1 goes to 0 and stays; port 2 goes to 1 and stays. The inverse cycle would be
    # the answer if columns or the order were swapped.
    phases = Phases(np.array([[0.0, 0.0, math.pi]]), np.zeros((1, 3)), np.zeros((1, 3)))
    npt.assert_allclose(
        np.abs(mesh.matrix(phases, "clements")[0]),
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        atol=1e-15,
    )


def test_a_crossing_of_two_waveguides_has_the_phases_of_a_hand_calculation() -> None:
    # U = [[0, e^{0.3i}], [e^{1.1i}, 0]] is diag(e^{i psi}) i [[0, 1], [e^{i phi}, 0]] with
    # phi = 0, as one of the two elements of the step is zero.
    unitary = np.array([[0.0, np.exp(0.3j)], [np.exp(1.1j), 0.0]])
    phases = mesh.decompose(unitary[None], "clements")
    npt.assert_allclose(phases.theta, [[0.0]], atol=1e-15)
    npt.assert_allclose(phases.phi, [[0.0]], atol=1e-15)
    turn = 2 * math.pi
    npt.assert_allclose(
        phases.psi, [[0.3 - math.pi / 2 + turn, 1.1 - math.pi / 2 + turn]], atol=1e-14
    )


@pytest.mark.parametrize("topology", [m.name for m in mesh.MESHES.values() if m.universal])
def test_a_unitary_that_is_not_symmetric_comes_back_itself_not_transposed(topology: str) -> None:
    cycle = np.roll(np.eye(5), 1, axis=0)
    if not mesh.MESHES[topology].real:
        cycle = cycle @ np.diag(np.exp(1j * np.arange(5.0)))
    back = mesh.matrix(mesh.decompose(cycle[None], topology), topology)[0]
    npt.assert_allclose(back, cycle, atol=1e-14)
    assert np.abs(back - cycle.T).max() > 0.9
