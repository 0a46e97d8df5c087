"""What holds for every topology in the table, on the day it is added."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import numba
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError
from photonpu.hardware.topologies import SIZES
from photonpu.mesh import MESHES
from photonpu.registry import UnknownNameError

Complexes = NDArray[np.complex128]

# As published: the interferometers and columns of a mesh of N ports.
COUNTS: dict[str, tuple[Callable[[int], int], Callable[[int], int]]] = {
    "clements": (lambda n: n * (n - 1) // 2, lambda n: n if n > 2 else 1),
    "reck": (lambda n: n * (n - 1) // 2, lambda n: 2 * n - 3),
    "clements-3": (lambda n: n * (n - 1) // 2, lambda n: n if n > 2 else 1),
    "clements-symmetric": (lambda n: n * (n - 1) // 2, lambda n: n if n > 2 else 1),
    "clements-real": (lambda n: n * (n - 1) // 2, lambda n: n if n > 2 else 1),
    "diamond": (lambda n: (n - 1) ** 2, lambda n: 2 * n - 3),
    "butterfly": (lambda n: n // 2 * int(np.log2(n)), lambda n: int(np.log2(n))),
}

every_mesh = pytest.mark.parametrize("topology", list(MESHES))
complete = pytest.mark.parametrize("topology", [m.name for m in MESHES.values() if not m.real])
universal = pytest.mark.parametrize("topology", [m.name for m in MESHES.values() if m.universal])


def drawn(topology: str, ports: int, count: int, seed: int) -> NDArray[Any]:
    """Return Haar unitaries, or orthogonal matrices for meshes of real ones."""
    if not MESHES[topology].real:
        return mesh.haar(ports, count, seed)
    gauss = np.random.default_rng(seed).normal(size=(count, ports, ports))
    return np.asarray(np.linalg.qr(gauss)[0])


def sparse(topology: str) -> NDArray[Any]:
    """Return those of `degenerate` that a mesh can do."""
    found = degenerate()
    return found[[0, 1, 2, 3, 5]].real if MESHES[topology].real else found


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


@universal
@pytest.mark.parametrize("ports", [*range(2, 65), 128])
def test_haar_unitaries_come_back_from_their_phases(topology: str, ports: int) -> None:
    unitaries = drawn(topology, ports, 4, seed=ports)
    phases = mesh.decompose(unitaries, topology)
    npt.assert_allclose(mesh.matrix(phases, topology), unitaries, atol=1e-12)


@universal
def test_unitaries_with_zeros_come_back_from_finite_phases(topology: str) -> None:
    phases = mesh.decompose(sparse(topology), topology)
    assert np.isfinite(phases.theta).all()
    assert np.isfinite(phases.phi).all()
    npt.assert_allclose(mesh.matrix(phases, topology), sparse(topology), atol=1e-14)


@universal
def test_elements_too_small_to_have_a_phase_are_zeros(topology: str) -> None:
    tiny = np.eye(4, dtype=np.complex128)
    tiny[3, :3] = 1e-160 * np.exp(1j * np.arange(3))
    given = tiny.real if MESHES[topology].real else tiny
    phases = mesh.decompose(given[None], topology)
    npt.assert_allclose(mesh.matrix(phases, topology)[0], np.eye(4), atol=1e-14)


@universal
def test_phases_are_in_their_ranges(topology: str) -> None:
    for unitaries in (drawn(topology, 9, 20, seed=1), sparse(topology)):
        phases = mesh.decompose(unitaries, topology)
        least = -np.pi if MESHES[topology].real else 0.0
        assert least <= phases.theta.min() <= phases.theta.max() <= np.pi
        for turned in (phases.phi, phases.psi):
            assert 0.0 <= turned.min() <= turned.max() < 2 * np.pi


def sizes(topology: str) -> list[int]:
    """Return numbers of ports that a mesh can have."""
    return [n for n in (2, 3, 4, 7, 8, 16) if n & (n - 1) == 0 or not SIZES[topology].power_of_two]


@every_mesh
def test_a_mesh_has_the_published_number_of_interferometers_and_columns(topology: str) -> None:
    mzis, depth = COUNTS[topology]
    for ports in sizes(topology):
        layout = MESHES[topology].layout(ports)
        assert layout.mzis == len(layout.row) == len(layout.column) == mzis(ports)
        assert layout.depth == layout.column.max(initial=0) + 1 == depth(ports)


@every_mesh
def test_what_machines_know_of_a_mesh_is_true(topology: str) -> None:
    size = SIZES[topology]
    kind = MESHES[topology]
    assert (kind.third, kind.push, kind.real) == (size.third, size.push, size.real)
    for ports in sizes(topology):
        counts = MESHES[topology].counts(ports)
        assert (counts.mzis, counts.path_max) == (size.mzis(ports), size.depth(ports))


def test_machines_and_the_table_know_the_same_meshes() -> None:
    assert set(SIZES) == set(MESHES) == set(COUNTS)


@every_mesh
def test_no_waveguide_is_used_twice_in_one_column(topology: str) -> None:
    for ports in sizes(topology):
        layout = MESHES[topology].layout(ports)
        arms = np.stack([layout.row, layout.partner])
        used = {(column, arm) for k, column in enumerate(layout.column) for arm in arms[:, k]}
        assert len(used) == 2 * layout.mzis
        assert all(0 <= arm < layout.waveguides for _, arm in used)


@every_mesh
def test_no_two_interferometers_stand_in_one_place(topology: str) -> None:
    for ports in sizes(topology):
        layout = MESHES[topology].layout(ports)
        corners = zip(layout.column, layout.height, strict=True)
        places = {(column, height + arm) for column, height in corners for arm in (0, 1)}
        assert len(places) == 2 * layout.mzis


@every_mesh
def test_light_meets_interferometers_in_the_order_of_the_layout(topology: str) -> None:
    layout = MESHES[topology].layout(8)
    assert (np.diff(layout.column) >= 0).all()


@every_mesh
def test_imperfect_splitters_conserve_power(topology: str) -> None:
    phases = mesh.decompose(drawn(topology, 8, 3, seed=0), topology)
    errors = np.random.default_rng(0).normal(0.0, 0.2, (3, *phases.theta.shape))
    if topology == "diamond":
        errors[:, phases.theta == np.pi] = 0.0  # else light leaves by its spare waveguides
    matrix = mesh.matrix(phases, topology, alpha=errors[0], beta=errors[1], gamma=errors[2])
    npt.assert_allclose(matrix @ matrix.conj().transpose(0, 2, 1), [np.eye(8)] * 3, atol=1e-13)


@every_mesh
def test_loss_takes_its_decibels_from_each_interferometer_on_the_way(topology: str) -> None:
    # All in the bar state: light stays in its waveguide and meets every interferometer there.
    layout = MESHES[topology].layout(4)
    mzis = layout.mzis
    theta = np.full((1, mzis), np.pi)
    gamma = -np.pi / 4  # a splitter before them that does nothing
    phases = mesh.Phases(theta, np.zeros((1, mzis)), np.zeros((1, 4)))
    met = np.array([np.sum((layout.row == n) | (layout.partner == n)) for n in range(4)])
    power = np.abs(np.diag(mesh.matrix(phases, topology, gamma=gamma, loss_db=0.3)[0])) ** 2
    npt.assert_allclose(power, 10 ** (-0.3 * met / 10), rtol=1e-12)


@universal
def test_real_matrices_have_phases_too(topology: str) -> None:
    orthogonal = np.linalg.qr(np.random.default_rng(2).normal(size=(1, 6, 6)))[0]
    phases = mesh.decompose(orthogonal, topology)
    npt.assert_allclose(mesh.matrix(phases, topology), orthogonal, atol=1e-14)


@every_mesh
def test_an_empty_batch_has_empty_phases(topology: str) -> None:
    phases = mesh.decompose(np.zeros((0, 4, 4)), topology)
    assert phases.theta.shape == (0, MESHES[topology].layout(4).mzis)
    assert mesh.matrix(phases, topology).shape == (0, 4, 4)


@every_mesh
def test_a_matrix_has_the_same_bits_in_every_batch_and_for_any_threads(topology: str) -> None:
    unitaries = drawn(topology, 16, 7, seed=3)
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


@complete
def test_correction_undoes_splitter_errors_where_every_split_can_be_reached(topology: str) -> None:
    phases = mesh.decompose(mesh.haar(8, 60, seed=5), topology)
    goals = mesh.matrix(phases, topology)
    errors = np.random.default_rng(5).normal(0.0, 0.04, (3, *phases.theta.shape))
    if topology == "diamond":
        errors[:, phases.theta == np.pi] = 0.0  # no real interferometer is all in the bar state
    corrected, clipped = mesh.correct(phases, topology, *errors)
    real = mesh.matrix(corrected, topology, alpha=errors[0], beta=errors[1], gamma=errors[2])
    error = np.abs(real - goals).max(axis=(1, 2))
    assert 10 < np.sum(clipped == 0) < 60
    assert error[clipped == 0].max() < 1e-12
    assert error[clipped > 0].min() > 1e-6


@complete
def test_refinement_brings_a_mesh_nearer_than_local_correction_does(topology: str) -> None:
    phases = mesh.decompose(mesh.haar(16, 10, seed=2), topology)
    goals = mesh.matrix(phases, topology)
    alpha, beta, gamma = np.random.default_rng(2).normal(0.0, 0.1, (3, *phases.theta.shape))

    def error(sweeps: int) -> NDArray[np.float64]:
        better, _ = mesh.correct(phases, topology, alpha, beta, gamma, sweeps=sweeps)
        real = mesh.matrix(better, topology, alpha=alpha, beta=beta, gamma=gamma)
        return np.asarray(np.linalg.norm(real - goals, axis=(1, 2)))

    once, twice, often = error(0), error(1), error(8)
    assert (twice <= once * (1 + 1e-9)).all()
    assert (often <= twice * (1 + 1e-9)).all()
    assert topology == "butterfly" or often.mean() < 0.9 * once.mean()


def test_a_negative_number_of_sweeps_is_refused() -> None:
    phases = mesh.decompose(np.eye(2)[None])
    with pytest.raises(InputError, match="sweeps=-1: 0 corrects locally, 1 and more refine"):
        mesh.correct(phases, "clements", 0.0, 0.0, sweeps=-1)


def test_a_butterfly_does_the_fourier_transform_exactly() -> None:
    # Cooley and Tukey's columns, after the bits of the input's number are turned around.
    turned = [int(f"{i:04b}"[::-1], 2) for i in range(16)]
    fourier = np.fft.fft(np.eye(16))[:, turned] / 4
    phases = mesh.decompose(fourier[None], "butterfly")
    npt.assert_allclose(mesh.matrix(phases, "butterfly")[0], fourier, atol=1e-12)


def test_what_a_butterfly_made_comes_back_from_its_phases() -> None:
    rng = np.random.default_rng(4)
    drawn = mesh.Phases(
        rng.uniform(0, np.pi, (5, 12)), rng.uniform(0, 6, (5, 12)), rng.uniform(0, 6, (5, 8))
    )
    made = mesh.matrix(drawn, "butterfly")
    phases = mesh.decompose(made, "butterfly")
    npt.assert_allclose(mesh.matrix(phases, "butterfly"), made, atol=1e-10)


def test_a_butterfly_comes_nearer_to_a_unitary_than_chance_does() -> None:
    # A drawn butterfly overlaps a Haar unitary of 16 ports by about 1/16; 80 of its 256 phases
    # are enough for several times that, and not for all of it.
    unitaries = mesh.haar(16, 20, seed=0)
    found = mesh.matrix(mesh.decompose(unitaries, "butterfly"), "butterfly")
    overlap = np.abs(np.einsum("tij,tij->t", unitaries.conj(), found)) / 16
    assert 0.3 < overlap.mean() < 0.9


@pytest.mark.parametrize("ports", [1, 6, 0])
def test_a_butterfly_of_another_size_than_a_power_of_two_is_refused(ports: int) -> None:
    with pytest.raises(InputError, match=f"ports={ports}: a butterfly needs a power of 2"):
        MESHES["butterfly"].layout(ports)


def test_paths_through_small_meshes_are_those_counted_by_hand() -> None:
    # Clements, 3 ports: (0,1), (1,2), (0,1). Reck: the same. Butterfly of 4: every path meets 2.
    three = MESHES["clements"].counts(3)
    assert (three.path_min, three.path_max, three.shifters) == (1, 3, 9)
    # From port 0 or 1 half meets 2, a quarter 3 and a quarter 2; from port 2 half 2 and half 1.
    npt.assert_allclose(three.path_mean, (2.25 + 2.25 + 1.5) / 3)
    assert MESHES["butterfly"].counts(4).loss_db(0.5) == (1.0, 1.0, 1.0)


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


@pytest.mark.parametrize("real", [False, True])
def test_what_overflows_in_one_matrix_is_not_found_in_another(real: bool) -> None:
    unitaries = mesh.haar(6, 9, seed=0)
    unitaries = np.linalg.qr(unitaries.real)[0] if real else unitaries
    alone = mesh.decompose(unitaries[8:])
    unitaries[:8] = 1e200

    before = numba.get_num_threads()
    numba.set_num_threads(1)  # the same memory holds all of them, one after the other
    try:
        found = mesh.decompose(unitaries)
    finally:
        numba.set_num_threads(before)

    for one, all_of_them in zip(phases(alone), phases(found), strict=True):
        npt.assert_array_equal(all_of_them[8], one[0])


def phases(found: mesh.Phases) -> tuple[np.ndarray, ...]:
    """Return the arrays of phases."""
    return found.theta, found.phi, found.psi


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("topology", ["clements", "clements-symmetric", "diamond"])
def test_phases_go_into_arrays_that_are_handed_in(
    topology: str, real: bool, order: Literal["C", "F"]
) -> None:
    unitaries = mesh.haar(9, 11, seed=0)
    unitaries = np.linalg.qr(unitaries.real)[0] if real else unitaries
    wanted = mesh.decompose(unitaries, topology)
    of = wanted.theta, wanted.phi, wanted.psi
    places = mesh.Phases(*(np.empty(a.shape, order=order) for a in of))

    found = mesh.decompose(unitaries, topology, into=places)

    assert found is places
    npt.assert_array_equal(places.theta, wanted.theta)
    npt.assert_array_equal(places.phi, wanted.phi)
    npt.assert_array_equal(places.psi, wanted.psi)
