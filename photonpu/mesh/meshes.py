"""Unitary matrices to phases of a mesh and back, for every topology in `MESHES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError
from photonpu.mesh import layouts
from photonpu.mesh.layouts import Elimination, Layout
from photonpu.mesh.values import frozen
from photonpu.registry import Registry

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Unitaries = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Phases:
    """Phases of T meshes of K interferometers and N ports: ``U = diag(e^{i psi}) T_K ... T_1``.

    Attributes
    ----------
    theta, phi
        (T, K) internal and external phases in the order of the layout, rad.
    psi
        (T, N) phases after the last column, rad.
    """

    theta: Floats
    phi: Floats
    psi: Floats


@dataclass(frozen=True, slots=True)
class Topology:
    """One way to arrange the interferometers of a mesh.

    Attributes
    ----------
    name
        As machines name it.
    layout
        From the number of ports to the places of the interferometers.
    decompose
        From unitaries (T, N, N), float64 or complex128, to phases.
    """

    name: str
    layout: Callable[[int], Layout]
    decompose: Callable[[Unitaries], Phases]


MESHES = Registry[Topology]("mesh")


def _enter(name: str, build: Callable[[int], tuple[Layout, Elimination]]) -> None:
    """Enter the topology that `build` describes into `MESHES`."""

    def layout(ports: int) -> Layout:
        return build(ports)[0]

    def decompose_all(unitaries: Unitaries) -> Phases:
        from photonpu.mesh import kernels_elimination as kernels

        steps = build(unitaries.shape[1])[1]
        order = (steps.left, steps.pair, steps.pivot, steps.slot)
        if np.iscomplexobj(unitaries):
            return Phases(*kernels.decompose(unitaries, *order))
        return Phases(*kernels.decompose_real(unitaries, *order))

    MESHES.register(name)(Topology(name, layout, decompose_all))


_enter("clements", layouts.clements)
_enter("reck", layouts.reck)


def decompose(unitaries: ArrayLike, topology: str = "clements") -> Phases:
    """Take unitary matrices apart into the phases of a mesh.

    Every unitary has phases: also the identity, permutations, and any other with zeros, where a
    phase that means nothing is 0. The same matrix gives the same bits in every batch and for any
    number of threads. What is not unitary is not noticed.

    Real numbers take a path of their own, twice as fast: rotations without phases make them
    diagonal, and the common phases of the interferometers become part of phi and psi afterwards.
    The phases are those of the same matrix given as complex numbers, but for rounding.

    Parameters
    ----------
    unitaries
        (T, N, N) complex or real, N of 2 or more.
    topology
        A name in `MESHES`.

    Returns
    -------
    Phases
        theta in [0, pi], phi and psi in [0, 2 pi).

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the matrices are not a batch of square ones, or not finite.
    """
    mesh = MESHES[topology]
    given = np.asarray(unitaries)
    kind = np.complex128 if np.iscomplexobj(given) else np.float64
    batch: Unitaries = np.ascontiguousarray(given, dtype=kind).view()
    batch.flags.writeable = False
    if batch.ndim != 3 or batch.shape[1] != batch.shape[2]:
        raise InputError(f"unitaries of shape {batch.shape}: decompose needs (tiles, N, N)")
    if not np.isfinite(batch).all():
        raise InputError("unitaries: some elements are NaN or infinite")
    return mesh.decompose(batch)


def matrix(
    phases: Phases,
    topology: str = "clements",
    *,
    alpha: ArrayLike = 0.0,
    beta: ArrayLike = 0.0,
    loss_db: ArrayLike = 0.0,
) -> Complexes:
    """Return what meshes with these phases do to the field.

    Parameters
    ----------
    phases
        Of T meshes.
    topology
        A name in `MESHES`.
    alpha, beta
        Errors of the angles of the input and output splitters, rad; anything that broadcasts to
        (T, K).
    loss_db
        Insertion loss of each interferometer, dB of power; broadcasts to (T, K).

    Returns
    -------
    NDArray[np.complex128]
        (T, N, N) field at the outputs (rows) for unit fields at the inputs (columns).

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the phases do not fit each other or the topology.
    """
    from photonpu.mesh import kernels

    row = _layout(phases, topology).row
    gain = frozen(10.0 ** (-_each(loss_db, phases) / 20.0))
    result: Complexes = kernels.matrix(
        frozen(phases.theta),
        frozen(phases.phi),
        frozen(phases.psi),
        row,
        _each(alpha, phases),
        _each(beta, phases),
        gain,
    )
    return result


def correct(
    phases: Phases, topology: str, alpha: ArrayLike, beta: ArrayLike
) -> tuple[Phases, NDArray[np.int32]]:
    """Return phases that make up for measured splitter errors.

    Parameters
    ----------
    phases
        Of T meshes without errors, theta in [0, pi].
    topology
        A name in `MESHES`.
    alpha, beta
        Measured errors of the angles of the input and output splitters, rad; anything that
        broadcasts to (T, K).

    Returns
    -------
    Phases
        For the meshes with these errors.
    NDArray[np.int32]
        (T,) how many interferometers cannot reach the split that they should have.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the phases do not fit each other or the topology.
    """
    from photonpu.mesh import kernels

    theta, phi, psi, clipped = kernels.correct(
        frozen(phases.theta),
        frozen(phases.phi),
        frozen(phases.psi),
        frozen(np.zeros_like(phases.psi)),
        _layout(phases, topology).row,
        _each(alpha, phases),
        _each(beta, phases),
    )
    return Phases(theta, phi, psi), clipped


def _layout(phases: Phases, topology: str) -> Layout:
    """Return the layout that phases are for, or raise `InputError` if they do not fit it."""
    tiles, ports = phases.psi.shape
    layout = MESHES[topology].layout(ports)
    for name, array in (("theta", phases.theta), ("phi", phases.phi)):
        if array.shape != (tiles, layout.mzis):
            raise InputError(
                f"{name} of shape {array.shape}: {tiles} '{topology}' meshes of {ports} ports "
                f"need {(tiles, layout.mzis)}"
            )
    return layout


def _each(value: ArrayLike, phases: Phases) -> Floats:
    """Return `value` for each interferometer of each mesh, (T, K)."""
    return frozen(np.broadcast_to(np.asarray(value, dtype=np.float64), phases.theta.shape))


def haar(ports: int, count: int, seed: int) -> Complexes:
    """Return unitary matrices drawn from the Haar measure.

    QR of Gaussian matrices with the phases of R's diagonal moved into Q (Mezzadri 2007, Notices
    of the AMS 54, 592).

    Parameters
    ----------
    ports
        Size N of each matrix.
    count
        How many, T.
    seed
        Fixes the draw.

    Returns
    -------
    NDArray[np.complex128]
        (T, N, N).
    """
    generator = np.random.default_rng(seed)
    gauss = generator.standard_normal((2, count, ports, ports))
    q, r = np.linalg.qr(gauss[0] + 1j * gauss[1])
    diagonal = np.einsum("tii->ti", r)
    return np.asarray(q * (diagonal / np.abs(diagonal))[:, None, :], dtype=np.complex128)
