"""What holds for every topology in the table, on the day it is added."""

import subprocess
import sys
from collections.abc import Callable

import numba
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError
from photonpu.mesh import MESHES
from photonpu.registry import UnknownNameError

Complexes = NDArray[np.complex128]

DEPTHS: dict[str, Callable[[int], int]] = {
    "clements": lambda ports: ports if ports > 2 else 1,
    "reck": lambda ports: 2 * ports - 3,
}

every_mesh = pytest.mark.parametrize("topology", list(MESHES))


def degenerate() -> Complexes:
    """Return unitaries of size 6 that are mostly zeros."""
    eye = np.eye(6, dtype=np.complex128)
    blocks = np.kron(np.eye(3), [[0.6, -0.8], [0.8, 0.6]])
    fourier = np.fft.fft(np.eye(3)) / np.sqrt(3)
    padded = np.block([[fourier, np.zeros((3, 3))], [np.zeros((3, 3)), np.eye(3)]])
    return np.stack(
        [
            eye,
            -eye,
            eye[::-1],
            eye[[3, 0, 5, 1, 4, 2]],
            np.diag(np.exp(1j * np.arange(6))),
            blocks.astype(np.complex128),
            padded,
            padded[::-1],
        ]
    )


@every_mesh
@pytest.mark.parametrize("ports", [*range(2, 17), 64, 128])
def test_haar_unitaries_come_back_from_their_phases(topology: str, ports: int) -> None:
    unitaries = mesh.haar(ports, 4, seed=ports)
    phases = mesh.decompose(unitaries, topology)
    npt.assert_allclose(mesh.matrix(phases, topology), unitaries, atol=1e-12)


@every_mesh
def test_unitaries_with_zeros_come_back_from_finite_phases(topology: str) -> None:
    phases = mesh.decompose(degenerate(), topology)
    assert np.isfinite(phases.theta).all()
    assert np.isfinite(phases.phi).all()
    npt.assert_allclose(mesh.matrix(phases, topology), degenerate(), atol=1e-14)


@every_mesh
def test_elements_too_small_to_have_a_phase_are_zeros(topology: str) -> None:
    tiny = np.eye(4, dtype=np.complex128)
    tiny[3, :3] = 1e-160 * np.exp(1j * np.arange(3))
    phases = mesh.decompose(tiny[None], topology)
    npt.assert_allclose(mesh.matrix(phases, topology)[0], np.eye(4), atol=1e-14)


@every_mesh
def test_phases_are_in_their_ranges(topology: str) -> None:
    for unitaries in (mesh.haar(9, 20, seed=1), degenerate()):
        phases = mesh.decompose(unitaries, topology)
        assert 0.0 <= phases.theta.min() <= phases.theta.max() <= np.pi
        for turned in (phases.phi, phases.psi):
            assert 0.0 <= turned.min() <= turned.max() < 2 * np.pi


@every_mesh
@pytest.mark.parametrize("ports", [2, 3, 4, 7, 16])
def test_a_mesh_has_one_interferometer_for_each_pair_of_ports(topology: str, ports: int) -> None:
    layout = MESHES[topology].layout(ports)
    assert layout.mzis == len(layout.row) == len(layout.column) == ports * (ports - 1) // 2


@every_mesh
@pytest.mark.parametrize("ports", [2, 3, 4, 7, 16])
def test_the_depth_is_the_published_one(topology: str, ports: int) -> None:
    assert MESHES[topology].layout(ports).depth == DEPTHS[topology](ports)


@every_mesh
@pytest.mark.parametrize("ports", [2, 3, 4, 7, 16])
def test_no_port_is_used_twice_in_one_column(topology: str, ports: int) -> None:
    layout = MESHES[topology].layout(ports)
    used = [
        (column, row + arm)
        for row, column in zip(layout.row, layout.column, strict=True)
        for arm in (0, 1)
    ]
    assert len(set(used)) == len(used)
    assert all(0 <= port < ports for _, port in used)


@every_mesh
def test_light_meets_interferometers_in_the_order_of_the_layout(topology: str) -> None:
    layout = MESHES[topology].layout(9)
    assert (np.diff(layout.column) >= 0).all()


@every_mesh
def test_imperfect_splitters_conserve_power(topology: str) -> None:
    phases = mesh.decompose(mesh.haar(8, 3, seed=0), topology)
    alpha, beta = np.random.default_rng(0).normal(0.0, 0.2, (2, 3, 28))
    matrix = mesh.matrix(phases, topology, alpha=alpha, beta=beta)
    npt.assert_allclose(matrix @ matrix.conj().transpose(0, 2, 1), [np.eye(8)] * 3, atol=1e-13)


@every_mesh
def test_loss_takes_its_decibels_from_each_interferometer_on_the_way(topology: str) -> None:
    # All in the bar state: light stays in its waveguide and meets every interferometer there.
    layout = MESHES[topology].layout(5)
    phases = mesh.Phases(np.full((1, 10), np.pi), np.zeros((1, 10)), np.zeros((1, 5)))
    met = np.array([np.sum((layout.row == n) | (layout.row == n - 1)) for n in range(5)])
    power = np.abs(np.diag(mesh.matrix(phases, topology, loss_db=0.3)[0])) ** 2
    npt.assert_allclose(power, 10 ** (-0.3 * met / 10), rtol=1e-12)


@every_mesh
def test_real_matrices_have_phases_too(topology: str) -> None:
    orthogonal = np.linalg.qr(np.random.default_rng(2).normal(size=(1, 6, 6)))[0]
    phases = mesh.decompose(orthogonal, topology)
    npt.assert_allclose(mesh.matrix(phases, topology), orthogonal, atol=1e-14)


@every_mesh
def test_an_empty_batch_has_empty_phases(topology: str) -> None:
    phases = mesh.decompose(np.zeros((0, 4, 4)), topology)
    assert phases.theta.shape == (0, 6)
    assert mesh.matrix(phases, topology).shape == (0, 4, 4)


@every_mesh
def test_a_matrix_has_the_same_bits_in_every_batch_and_for_any_threads(topology: str) -> None:
    unitaries = mesh.haar(12, 7, seed=3)
    together = mesh.decompose(unitaries, topology)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        backwards = mesh.decompose(unitaries[::-1], topology)
        alone = mesh.decompose(unitaries[4:5], topology)
    finally:
        numba.set_num_threads(before)
    for name in ("theta", "phi", "psi"):
        npt.assert_array_equal(getattr(backwards, name)[::-1], getattr(together, name))
        npt.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[4])


@every_mesh
def test_correction_undoes_splitter_errors_where_every_split_can_be_reached(topology: str) -> None:
    unitaries = mesh.haar(6, 40, seed=5)
    phases = mesh.decompose(unitaries, topology)
    alpha, beta = np.random.default_rng(5).normal(0.0, 0.05, (2, 40, 15))
    corrected, clipped = mesh.correct(phases, topology, alpha, beta)
    matrix = mesh.matrix(corrected, topology, alpha=alpha, beta=beta)
    error = np.abs(matrix - unitaries).max(axis=(1, 2))
    assert 10 < np.sum(clipped == 0) < 40
    assert error[clipped == 0].max() < 1e-12
    assert error[clipped > 0].min() > 1e-6


def test_importing_the_mesh_does_not_import_the_compiler_of_kernels() -> None:
    code = "import sys, photonpu.mesh; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_topology_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no mesh is called 'clement'; did you mean"):
        mesh.decompose(np.eye(2)[None], "clement")


@pytest.mark.parametrize("shape", [(4, 4), (1, 3, 4)])
def test_a_batch_that_is_not_of_square_matrices_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"unitaries of shape .* needs \(tiles, N, N\)"):
        mesh.decompose(np.zeros(shape))


def test_phases_of_another_mesh_are_refused() -> None:
    phases = mesh.Phases(np.zeros((2, 6)), np.zeros((2, 5)), np.zeros((2, 4)))
    with pytest.raises(InputError, match=r"phi of shape \(2, 5\): 2 'reck' meshes of 4 ports need"):
        mesh.matrix(phases, "reck")


def test_a_mesh_of_one_port_is_refused() -> None:
    with pytest.raises(InputError, match="ports=1: a mesh needs 2 or more"):
        mesh.decompose(np.ones((1, 1, 1)))


def test_a_matrix_with_nan_is_refused() -> None:
    with pytest.raises(InputError, match="unitaries: some elements are NaN or infinite"):
        mesh.decompose(np.full((1, 2, 2), np.nan))


def test_haar_draws_are_unitary_and_their_elements_have_the_moments_of_haar() -> None:
    # |U_ij|^2 has mean 1/N and |U_ij|^4 mean 2 / (N (N + 1)); 2000 x 25 elements.
    draws = mesh.haar(5, 2000, seed=0)
    npt.assert_allclose(draws @ draws.conj().transpose(0, 2, 1), [np.eye(5)] * 2000, atol=1e-13)
    npt.assert_allclose(np.mean(np.abs(draws) ** 4), 2 / 30, rtol=0.02)
    npt.assert_allclose(np.mean(draws), 0.0, atol=0.01)
