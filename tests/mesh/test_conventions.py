"""Other conventions, each against its published formula written out here."""

import cmath
import math
from collections.abc import Callable

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError
from photonpu.mesh import MESHES
from photonpu.mesh.conventions import (
    CONVENTIONS,
    ForeignPhases,
    amplitude_of_angle,
    angle_of_amplitude,
    convert,
    one_from,
    revert,
)
from photonpu.mesh.mzi import splitter, transfer
from photonpu.registry import UnknownNameError

Complexes = NDArray[np.complex128]
Rows = list[list[complex]]

A, B, C, D = 0.4, 2.3, 0.7, 5.1
every_convention = pytest.mark.parametrize("name", list(CONVENTIONS))


def ours(theta: float, phi: float) -> Rows:
    s, c, e = math.sin(theta / 2), math.cos(theta / 2), cmath.exp(1j * phi)
    common = 1j * cmath.exp(1j * theta / 2)
    return [[common * e * s, common * c], [common * e * c, -common * s]]


def clements(theta: float, phi: float) -> Rows:
    e, c, s = cmath.exp(1j * phi), math.cos(theta), math.sin(theta)
    return [[e * c, -s], [e * s, c]]


def reck(omega: float, phi: float) -> Rows:
    e, c, s = cmath.exp(1j * phi), math.cos(omega), math.sin(omega)
    return [[e * s, e * c], [c, -s]]


def strawberryfields(phi_in: float, phi_ex: float) -> Rows:
    i, e = cmath.exp(1j * phi_in), cmath.exp(1j * phi_ex)
    return [[(i - 1) * e / 2, 1j * (1 + i) / 2], [1j * (1 + i) * e / 2, (1 - i) / 2]]


def perceval(phi_a: float, phi_b: float) -> Rows:
    return strawberryfields(phi_b, phi_a)


def perceval_last(phi_a: float, phi_b: float) -> Rows:
    i, e = cmath.exp(1j * phi_a), cmath.exp(1j * phi_b)
    return [[(1 - i) / 2, 1j * (1 + i) / 2], [1j * (1 + i) * e / 2, (i - 1) * e / 2]]


def neurophox(t1: float, t2: float, p1: float, p2: float) -> Rows:
    common = 1j * cmath.exp(1j * (t1 + t2) / 2)
    s, c = common * math.sin((t1 - t2) / 2), common * math.cos((t1 - t2) / 2)
    u, v = cmath.exp(1j * p1), cmath.exp(1j * p2)
    return [[u * s, v * c], [u * c, -v * s]]


def neurophox_hadamard(t1: float, t2: float, p1: float, p2: float) -> Rows:
    common = cmath.exp(1j * (t1 + t2) / 2)
    s, c = common * 1j * math.sin((t1 - t2) / 2), common * math.cos((t1 - t2) / 2)
    u, v = cmath.exp(1j * p1), cmath.exp(1j * p2)
    return [[u * c, v * s], [u * s, v * c]]


def neuroptica(theta: float, phi: float) -> Rows:
    i, e = cmath.exp(1j * theta), cmath.exp(1j * phi)
    return [[e * (i - 1) / 2, 1j * e * (1 + i) / 2], [1j * (i + 1) / 2, (1 - i) / 2]]


def push_pull(theta: float, phi: float) -> Rows:
    turn = cmath.exp(-1j * theta / 2)
    return [[turn * x for x in row] for row in ours(theta, phi)]


FORMULAS: dict[str, Callable[..., Rows]] = {
    "photonpu": ours,
    "clements": clements,
    "reck": reck,
    "strawberryfields": strawberryfields,
    "perceval": perceval,
    "perceval-last": perceval_last,
    "neurophox": neurophox,
    "neurophox-hadamard": neurophox_hadamard,
    "neuroptica": neuroptica,
    "fang": ours,
    "push-pull": push_pull,
}


def test_every_convention_has_its_formula_tested() -> None:
    assert set(FORMULAS) == set(CONVENTIONS)


@every_convention
def test_one_interferometer_is_the_published_formula(name: str) -> None:
    values = (A, B, C, D)[: len(CONVENTIONS[name].names)]
    npt.assert_allclose(CONVENTIONS[name].block(*values), FORMULAS[name](*values), atol=1e-14)


@every_convention
def test_one_interferometer_is_found_again_but_for_phases_on_one_side(name: str) -> None:
    convention = CONVENTIONS[name]
    goal = np.asarray(mesh.haar(2, 50, seed=1))
    found = convention.block(*one_from(goal, convention))
    npt.assert_allclose(np.abs(found), np.abs(goal), atol=1e-12)
    aligned = 2 if convention.outer == "upper input" else 1
    npt.assert_allclose(np.abs(np.sum(goal * found.conj(), axis=aligned)), 1.0, atol=1e-12)


def product(foreign: ForeignPhases) -> Complexes:
    """Multiply the published blocks of a mesh out, one mesh after the other."""
    layout = MESHES[foreign.topology].layout(foreign.inputs.shape[1])
    names = CONVENTIONS[foreign.convention].names
    found = []
    for t, (inputs, outputs) in enumerate(zip(foreign.inputs, foreign.outputs, strict=True)):
        field = np.eye(layout.waveguides, dtype=np.complex128)
        field[: layout.ports, : layout.ports] = np.diag(np.exp(1j * inputs))
        for k, (m, p) in enumerate(zip(layout.row, layout.partner, strict=True)):
            values = (foreign.values[name][t, k] for name in names)
            field[[m, p]] = np.array(FORMULAS[foreign.convention](*values)) @ field[[m, p]]
        found.append(np.diag(np.exp(1j * outputs)) @ field[: layout.ports, : layout.ports])
    return np.array(found)


@every_convention
@pytest.mark.parametrize("topology", ["clements", "reck", "diamond"])
def test_meshes_in_another_convention_are_the_same_matrix_and_come_back(
    name: str, topology: str
) -> None:
    # Haar unitaries are not symmetric: a transposition would show.
    unitaries = mesh.haar(6, 2, seed=3)
    foreign = convert(mesh.decompose(unitaries, topology), topology, name)
    npt.assert_allclose(product(foreign), unitaries, atol=1e-12)
    assert np.abs(product(foreign) - unitaries.transpose(0, 2, 1)).max() > 0.1
    npt.assert_allclose(mesh.matrix(revert(foreign), topology), unitaries, atol=1e-12)


@every_convention
def test_crosses_and_bars_have_phases_too(name: str) -> None:
    shuffled = np.eye(5)[[2, 0, 1, 4, 3]][None] + 0j
    foreign = convert(mesh.decompose(shuffled), "clements", name)
    npt.assert_allclose(product(foreign), shuffled, atol=1e-12)


def test_four_free_phases_of_neurophox_are_read() -> None:
    rng = np.random.default_rng(0)
    names = CONVENTIONS["neurophox"].names
    values = {name: rng.uniform(0, 6, (1, 6)) for name in names}
    foreign = ForeignPhases("neurophox", "clements", values, *rng.uniform(0, 6, (2, 1, 4)))
    npt.assert_allclose(mesh.matrix(revert(foreign)), product(foreign), atol=1e-12)


def test_an_amplitude_error_is_the_published_matrix_of_two_splitters() -> None:
    # Fang et al. 2019: r, t of the output splitter, q, s of the input one.
    into, out = 0.013, -0.021
    q, r = math.sqrt(0.5) + into, math.sqrt(0.5) + out
    s, t = math.sqrt(1 - q * q), math.sqrt(1 - r * r)
    i, e = cmath.exp(1j * A), cmath.exp(1j * C)
    published = [
        [e * (r * q * i - t * s), 1j * (t * q + r * s * i)],
        [1j * e * (t * q * i + r * s), r * q - t * s * i],
    ]
    found = transfer(A, C, angle_of_amplitude(into), angle_of_amplitude(out))
    npt.assert_allclose(found, published, atol=1e-14)


def test_small_amplitude_errors_are_angles_by_the_square_root_of_two() -> None:
    npt.assert_allclose(angle_of_amplitude(1e-6), -math.sqrt(2) * 1e-6, rtol=1e-5)
    npt.assert_allclose(amplitude_of_angle(angle_of_amplitude([0.02, -0.01])), [0.02, -0.01])


def test_an_amplitude_that_no_splitter_has_is_refused() -> None:
    with pytest.raises(InputError, match="must add to 0 up to 1"):
        angle_of_amplitude(0.5)


def test_three_splitters_have_no_other_convention() -> None:
    phases = mesh.decompose(np.eye(3)[None], "clements-3")
    with pytest.raises(InputError, match="'clements-3' has three splitters .* use 'clements'"):
        convert(phases, "clements-3", "reck")


def test_an_unknown_convention_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no convention is called 'rek'; did you mean"):
        convert(mesh.decompose(np.eye(2)[None]), "clements", "rek")


def test_strawberry_fields_itself_makes_the_matrix() -> None:
    decompositions = pytest.importorskip("strawberryfields.decompositions")
    unitary = mesh.haar(5, 1, seed=4)
    foreign = convert(mesh.decompose(unitary), "clements", "strawberryfields")
    found = np.eye(5, dtype=np.complex128)
    rows = MESHES["clements"].layout(5).row
    gates = zip(rows, foreign.values["phi_in"][0], foreign.values["phi_ex"][0], strict=True)
    for row, inner, outer in gates:
        found = decompositions.mach_zehnder(int(row), int(row) + 1, inner, outer, 5) @ found
    npt.assert_allclose(np.diag(np.exp(1j * foreign.outputs[0])) @ found, unitary[0], atol=1e-9)


def test_perceval_itself_makes_the_block() -> None:
    components = pytest.importorskip("perceval.components")
    item = components.catalog["mzi phase last"]
    circuit = item.build_circuit(phi_a=A, phi_b=B)
    found = np.array(circuit.compute_unitary())
    npt.assert_allclose(found, CONVENTIONS["perceval-last"].block(A, B), atol=1e-12)


def test_a_splitter_of_perceval_is_ours_at_half_its_angle() -> None:
    # BS.Rx(theta) = [[cos theta/2, i sin theta/2], [i sin theta/2, cos theta/2]].
    npt.assert_allclose(splitter(math.pi / 4), np.array([[1, 1j], [1j, 1]]) / math.sqrt(2))
