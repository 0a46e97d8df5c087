"""Other people's interferometers: their parameters from ours and back, one by one and by mesh.

Every convention has an inner phase that sets the split and an outer one on one waveguide, before
the interferometer or behind it. What differs beyond that is phases on whole waveguides, and those
move through a mesh to its inputs or outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError
from photonpu.mesh.meshes import one_armed, push_pulled
from photonpu.mesh.mzi import block_of, splitter, transfer
from photonpu.mesh.topologies import MESHES, Phases
from photonpu.registry import Registry

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_TURN = 2.0 * np.pi


@dataclass(frozen=True, slots=True)
class Convention:
    """How a publication or a package describes one interferometer.

    Attributes
    ----------
    name
        For `convert` and on the command line.
    names
        Of its parameters, in rad.
    block
        From the parameters (...) to the matrix (..., 2, 2), outputs by inputs.
    values
        From inner phase and outer phase to the parameters.
    inner
        From our theta in [0, pi] to the inner phase of the same split.
    outer
        Where the outer phase acts: on the upper input, the upper output or the lower output.
    source
        Where it is defined.
    """

    name: str
    names: tuple[str, ...]
    block: Callable[..., Complexes]
    values: Callable[[Floats, Floats], tuple[Floats, ...]]
    inner: Callable[[Floats], Floats]
    outer: Literal["upper input", "upper output", "lower output"]
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class ForeignPhases:
    """Phases of T meshes of K interferometers and N ports in another convention.

    Attributes
    ----------
    convention, topology
        Names in `CONVENTIONS` and in `MESHES`.
    values
        Parameter to (T, K), in the order of the layout, rad.
    inputs, outputs
        (T, N) phases before the first and after the last column, rad.
    """

    convention: str
    topology: str
    values: dict[str, Floats]
    inputs: Floats
    outputs: Floats


CONVENTIONS = Registry[Convention]("convention")


def convert(phases: Phases, topology: str, convention: str) -> ForeignPhases:
    """Return the phases of meshes in another convention.

    Parameters
    ----------
    phases
        In ours, theta in [0, pi].
    topology
        A name in `MESHES`, of interferometers with two splitters.
    convention
        A name in `CONVENTIONS`.

    Returns
    -------
    ForeignPhases
        Where the outer phase is on an output, what is left over is on the inputs, else on the
        outputs.

    Raises
    ------
    UnknownNameError
        If there is no such topology or convention.
    InputError
        If the interferometers of the topology have three splitters.
    """
    other = CONVENTIONS[convention]
    _require_two(topology)
    layout = MESHES[topology].layout(phases.psi.shape[1])
    phases = one_armed(phases, topology)
    before = other.outer == "upper input"
    owed = np.zeros((len(phases.psi), layout.waveguides))
    if not before:
        owed[:, : layout.ports] = phases.psi
    values = np.empty((len(other.names), *phases.theta.shape))
    for k in range(layout.mzis) if before else reversed(range(layout.mzis)):
        arms = [layout.row[k], layout.partner[k]]
        turn = np.exp(1j * owed[:, arms])
        ours = transfer(phases.theta[:, k], phases.phi[:, k])
        goal = ours * turn[:, None, :] if before else ours * turn[:, :, None]
        found = one_from(goal, other)
        values[:, :, k] = found
        theirs = other.block(*found)
        owed[:, arms] = np.angle(np.sum(goal * theirs.conj(), axis=2 if before else 1))
    rest, none = np.mod(owed[:, : layout.ports], _TURN), np.zeros_like(phases.psi)
    outputs = np.mod(rest + phases.psi, _TURN) if before else none
    return ForeignPhases(
        convention,
        topology,
        dict(zip(other.names, values, strict=True)),
        none if before else rest,
        outputs,
    )


def revert(foreign: ForeignPhases) -> Phases:
    """Return phases of meshes in our convention.

    Raises
    ------
    UnknownNameError
        If there is no such topology or convention.
    InputError
        If the interferometers of the topology have three splitters.
    """
    other = CONVENTIONS[foreign.convention]
    _require_two(foreign.topology)
    tiles, ports = foreign.inputs.shape
    layout = MESHES[foreign.topology].layout(ports)
    blocks = other.block(*(foreign.values[name] for name in other.names))
    owed = np.zeros((tiles, layout.waveguides))
    owed[:, :ports] = foreign.inputs
    theta, phi = np.empty((2, tiles, layout.mzis))
    for k in range(layout.mzis):
        arms = [layout.row[k], layout.partner[k]]
        goal = blocks[:, k] * np.exp(1j * owed[:, None, arms])
        theta[:, k] = _theta(goal)
        phi[:, k] = _angle_between(goal[:, 0, 0], goal[:, 0, 1])
        ours = transfer(theta[:, k], phi[:, k])
        owed[:, arms] = np.angle(np.sum(goal * ours.conj(), axis=2))
    found = Phases(theta, np.mod(phi, _TURN), np.mod(owed[:, :ports] + foreign.outputs, _TURN))
    return push_pulled(found, foreign.topology)


def one_from(goal: Complexes, convention: Convention) -> tuple[Floats, ...]:
    """Return the parameters with which one interferometer splits as a matrix does.

    Parameters
    ----------
    goal
        (..., 2, 2) unitary.
    convention
        Of the parameters.

    Returns
    -------
    tuple of ndarray
        (...) each; the matrix of these parameters is `goal` but for phases on its two outputs, or
        on its two inputs where the outer phase is on an output.
    """
    inner = convention.inner(_theta(goal))
    plain = convention.block(*convention.values(inner, np.zeros_like(inner)))
    if convention.outer == "upper input":
        outer = _angle_between(goal[..., 0, 0], goal[..., 0, 1])
        outer = outer - _angle_between(plain[..., 0, 0], plain[..., 0, 1])
    else:
        outer = _angle_between(goal[..., 0, 0], goal[..., 1, 0])
        outer = outer - _angle_between(plain[..., 0, 0], plain[..., 1, 0])
        outer = -outer if convention.outer == "lower output" else outer
    return convention.values(inner, np.mod(outer, _TURN))


def _require_two(topology: str) -> None:
    """Raise `InputError` if the interferometers of a topology have three splitters."""
    if MESHES[topology].third:
        raise InputError(
            f"topology '{topology}' has three splitters to an interferometer, which no other "
            "convention describes; use 'clements'"
        )


def _theta(goal: Complexes) -> Floats:
    """Return our theta for the split of (..., 2, 2) matrices."""
    return np.asarray(2.0 * np.arctan2(np.abs(goal[..., 0, 0]), np.abs(goal[..., 0, 1])))


def _angle_between(first: Complexes, second: Complexes) -> Floats:
    """Return by how much the phase of `first` is ahead; 0 where one of the two is dark."""
    lit = np.minimum(np.abs(first), np.abs(second)) > 1e-12
    return np.asarray(np.where(lit, np.angle(first * np.conj(second)), 0.0))


def angle_of_amplitude(error: ArrayLike) -> Floats:
    """Return the error of a splitter's angle for an error of its amplitude.

    Parameters
    ----------
    error
        (...) deviation of the amplitude that stays, ``r = 1/sqrt(2) + error`` (Fang et al. 2019,
        Opt. Express 27, 14009).

    Returns
    -------
    NDArray[np.float64]
        (...) deviation of the angle from pi/4, rad: ``arccos(r) - pi/4``, near ``-sqrt(2) error``.

    Raises
    ------
    InputError
        If an amplitude is not between 0 and 1.
    """
    amplitude = np.sqrt(0.5) + np.asarray(error, dtype=np.float64)
    if not ((amplitude >= 0.0) & (amplitude <= 1.0)).all():
        raise InputError("amplitude errors: 1/sqrt(2) and the error must add to 0 up to 1")
    return np.asarray(np.arccos(amplitude) - np.pi / 4)


def amplitude_of_angle(error: ArrayLike) -> Floats:
    """Return the error of a splitter's amplitude for an error of its angle, rad."""
    return np.asarray(np.cos(np.pi / 4 + np.asarray(error, dtype=np.float64)) - np.sqrt(0.5))


def _clements(theta: Floats, phi: Floats) -> Complexes:
    c, s, turn = np.cos(theta), np.sin(theta), np.exp(1j * np.asarray(phi))
    return block_of(turn * c, -s, turn * s, c)


def _reck(omega: Floats, phi: Floats) -> Complexes:
    s, c, turn = np.sin(omega), np.cos(omega), np.exp(1j * np.asarray(phi))
    return block_of(turn * s, turn * c, c, -s)


def _neuroptica(theta: Floats, phi: Floats) -> Complexes:
    inner, turn = np.exp(1j * np.asarray(theta)), np.exp(1j * np.asarray(phi))
    return 0.5 * block_of(turn * (inner - 1), 1j * turn * (1 + inner), 1j * (inner + 1), 1 - inner)


def _phase_last(phi_a: Floats, phi_b: Floats) -> Complexes:
    half = splitter(np.pi / 4)
    return np.asarray(_diagonal(0.0, phi_b) @ half @ _diagonal(0.0, phi_a) @ half)


def _push_pull(theta: Floats, phi: Floats) -> Complexes:
    half = splitter(np.pi / 4)
    inner = _diagonal(0.5 * np.asarray(theta), -0.5 * np.asarray(theta))
    return np.asarray(half @ inner @ half @ _diagonal(phi, 0.0))


def _four(theta_1: Floats, theta_2: Floats, phi_1: Floats, phi_2: Floats) -> Complexes:
    half = splitter(np.pi / 4)
    return np.asarray(half @ _diagonal(theta_1, theta_2) @ half @ _diagonal(phi_1, phi_2))


def _hadamard(theta_1: Floats, theta_2: Floats, phi_1: Floats, phi_2: Floats) -> Complexes:
    half = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
    return np.asarray(half @ _diagonal(theta_1, theta_2) @ half @ _diagonal(phi_1, phi_2))


def _diagonal(upper: ArrayLike, lower: ArrayLike) -> Complexes:
    """Return ``diag(e^{i upper}, e^{i lower})``."""
    zero = np.zeros(np.broadcast_shapes(np.shape(upper), np.shape(lower)))
    return block_of(np.exp(1j * np.asarray(upper)), zero, zero, np.exp(1j * np.asarray(lower)))


def _two(inner: Floats, outer: Floats) -> tuple[Floats, ...]:
    return inner, outer


def _outer_first(inner: Floats, outer: Floats) -> tuple[Floats, ...]:
    return outer, inner


def _upper_arms(inner: Floats, outer: Floats) -> tuple[Floats, ...]:
    zero = np.zeros_like(inner)
    return inner, zero, outer, zero


def _same(theta: Floats) -> Floats:
    return theta


def _half(theta: Floats) -> Floats:
    return 0.5 * theta


def _half_from_bar(theta: Floats) -> Floats:
    return 0.5 * (np.pi - theta)


def _from_bar(theta: Floats) -> Floats:
    return np.pi - theta


for _entry in (
    Convention(
        "photonpu", ("theta", "phi"), transfer, _two, _same, "upper input", "photonpu.mesh.mzi"
    ),
    Convention(
        "clements",
        ("theta", "phi"),
        _clements,
        _two,
        _half_from_bar,
        "upper input",
        "Clements et al. 2016, Optica 3, 1460; `interferometer`; Strawberry Fields 'rectangular'",
    ),
    Convention(
        "reck",
        ("omega", "phi"),
        _reck,
        _two,
        _half,
        "upper output",
        "Reck et al. 1994, Phys. Rev. Lett. 73, 58",
    ),
    Convention(
        "strawberryfields",
        ("phi_in", "phi_ex"),
        transfer,
        _two,
        _same,
        "upper input",
        "Strawberry Fields 0.23, MZgate and 'rectangular_symmetric'",
    ),
    Convention(
        "perceval",
        ("phi_a", "phi_b"),
        lambda phi_a, phi_b: transfer(phi_b, phi_a),
        _outer_first,
        _same,
        "upper input",
        "Perceval 1.3, catalog['mzi phase first']",
    ),
    Convention(
        "perceval-last",
        ("phi_a", "phi_b"),
        _phase_last,
        _two,
        _same,
        "lower output",
        "Perceval 1.3, catalog['mzi phase last']",
    ),
    Convention(
        "neurophox",
        ("theta_1", "theta_2", "phi_1", "phi_2"),
        _four,
        _upper_arms,
        _same,
        "upper input",
        "neurophox 0.1, MZI with hadamard=False",
    ),
    Convention(
        "neurophox-hadamard",
        ("theta_1", "theta_2", "phi_1", "phi_2"),
        _hadamard,
        _upper_arms,
        _from_bar,
        "upper input",
        "neurophox 0.1, MZI with hadamard=True",
    ),
    Convention(
        "neuroptica",
        ("theta", "phi"),
        _neuroptica,
        _two,
        _same,
        "upper output",
        "neuroptica 0.1, MZI",
    ),
    Convention(
        "fang",
        ("theta", "phi"),
        transfer,
        _two,
        _same,
        "upper input",
        "Fang et al. 2019, Opt. Express 27, 14009; errors by `angle_of_amplitude`",
    ),
    Convention(
        "push-pull",
        ("theta", "phi"),
        _push_pull,
        _two,
        _same,
        "upper input",
        "both arms driven by half the phase, with opposite signs",
    ),
):
    CONVENTIONS.register(_entry.name)(_entry)
