"""Unitary matrices to phases of a mesh and back, for every topology in `MESHES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError
from photonpu.mesh.layouts import Layout
from photonpu.mesh.topologies import MESHES, Phases
from photonpu.mesh.values import fixed, frozen, wrap

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Unitaries = NDArray[Any]


def decompose(
    unitaries: ArrayLike, topology: str = "clements", *, into: Phases | None = None
) -> Phases:
    """Take unitary matrices apart into the phases of a mesh.

    On a universal mesh every unitary has phases: also the identity, permutations, and any other
    with zeros, where a phase that means nothing is 0. The same matrix gives the same bits in every
    batch and for any number of threads. What is not unitary is not noticed.

    Real numbers take a path of their own, twice as fast: rotations without phases make them
    diagonal, and the common phases of the interferometers become part of phi and psi afterwards.
    The phases are those of the same matrix given as complex numbers, but for rounding.

    Parameters
    ----------
    unitaries
        (T, N, N) complex or real, N of 2 or more.
    topology
        A name in `MESHES`.
    into
        Contiguous arrays to fill in and to return; None for new ones.

    Returns
    -------
    Phases
        theta in [0, pi], phi and psi in [0, 2 pi). On meshes of real matrices theta is in
        [-pi, pi], phi is 0, and psi the sign of an output, 0 or pi.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the matrices are not a batch of square ones, or not finite, or complex where the mesh
        is for real ones.
    """
    mesh = MESHES[topology]
    given = np.asarray(unitaries)
    kind = np.complex128 if np.iscomplexobj(given) else np.float64
    batch: Unitaries = np.ascontiguousarray(given, dtype=kind).view()
    batch.flags.writeable = False
    if batch.ndim != 3 or batch.shape[1] != batch.shape[2]:
        raise InputError(f"unitaries of shape {batch.shape}: decompose needs (tiles, N, N)")
    found = mesh.decompose(batch, into)
    if into is None or found is into:
        return found
    into.theta[...], into.phi[...], into.psi[...] = found.theta, found.phi, found.psi
    return into


def matrix(
    phases: Phases,
    topology: str = "clements",
    *,
    alpha: ArrayLike = 0.0,
    beta: ArrayLike = 0.0,
    gamma: ArrayLike = 0.0,
    loss_db: ArrayLike = 0.0,
    imbalance_db: ArrayLike = 0.0,
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
    gamma
        The same for splitters before the interferometers; without effect where there are none.
    loss_db
        Insertion loss of each interferometer, dB of power; broadcasts to (T, K).
    imbalance_db
        What its upper arm loses more than its lower one, dB of power; `loss_db` is their mean.

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

    _layout(phases, topology)
    gain = frozen(10.0 ** (-_each(loss_db, phases) / 20.0))
    result: Complexes = kernels.matrix(
        frozen(phases.theta),
        frozen(phases.phi),
        frozen(phases.psi),
        MESHES[topology].plan(phases.psi.shape[1]),
        _each(alpha, phases),
        _each(beta, phases),
        _each(gamma, phases),
        gain,
        frozen(10.0 ** (-_each(imbalance_db, phases) / 20.0)),
    )
    return result


def correct(
    phases: Phases,
    topology: str,
    alpha: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike = 0.0,
    *,
    sweeps: int = 0,
) -> tuple[Phases, NDArray[np.int32]]:
    """Return phases that make up for measured splitter errors.

    One pass in the order of the light gives each interferometer the split that it should have, or
    the nearest that it can reach, and hands what is left over on to those behind it, which take
    off it what they can. With `sweeps`, all phases are then refined so that the mesh as a whole
    comes nearer to what it would be without errors.

    Meshes of real matrices keep their phases: the first order of splitter errors is imaginary,
    which no theta undoes, and a homodyne detector does not see it.

    Parameters
    ----------
    phases
        Of T meshes without errors, theta in [0, pi].
    topology
        A name in `MESHES`.
    alpha, beta
        Measured errors of the angles of the input and output splitters, rad; anything that
        broadcasts to (T, K).
    gamma
        The same for splitters before the interferometers; without effect where there are none.
    sweeps
        Rounds of refinement. On Haar unitaries whose errors have the standard deviation of
        0.05 rad, 10 take the relative error of 32 ports from 0.054 to 0.040, and of 64 from
        0.105 to 0.078.

    Returns
    -------
    Phases
        For the meshes with these errors; theta in [0, 2 pi), push-pull in [-pi, pi].
    NDArray[np.int32]
        (T,) how many interferometers cannot reach the split that they should have.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the phases do not fit each other or the topology, or `sweeps` is negative, or not 0
        where the mesh is for real matrices.
    """
    from photonpu.mesh import kernels_carry, kernels_refine

    if sweeps < 0:
        raise InputError(f"sweeps={sweeps}: 0 corrects locally, 1 and more refine")
    _layout(phases, topology)
    mesh = MESHES[topology]
    errors = _each(alpha, phases), _each(beta, phases), _each(gamma, phases)
    if mesh.real:
        if sweeps:
            raise InputError(f"sweeps={sweeps}: '{topology}' has no phases to refine but theta")
        return phases, np.zeros(len(phases.psi), dtype=np.int32)
    if mesh.push:
        one_arm = one_armed(phases, topology)
        better, clipped = correct(one_arm, "clements", *errors, sweeps=sweeps)
        return push_pulled(better, topology), clipped
    (tiles, mzis), ports = phases.theta.shape, phases.psi.shape[1]
    plan = mesh.plan(ports)
    wanted = frozen(np.concatenate([phases.theta, phases.phi, phases.psi], axis=1))
    none, free = frozen(np.zeros_like(wanted)), fixed(np.ones(wanted.shape, dtype=np.bool_))
    light = fixed(np.tile(np.eye(ports, dtype=np.complex128), (tiles, 1, 1)))
    found, clipped = kernels_carry.carry(wanted, wanted, none, free, light, light, plan, *errors)
    better = Phases(*np.split(wrap(found), [mzis, 2 * mzis], axis=1))
    if sweeps:
        start = frozen(better.theta), frozen(better.phi), frozen(better.psi)
        goals = fixed(matrix(phases, topology))
        better = Phases(*kernels_refine.refine(goals, *start, plan, *errors, sweeps)[:3])
    return better, clipped


def correct_alone(
    phases: Phases,
    topology: str,
    alpha: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike = 0.0,
) -> tuple[Phases, NDArray[np.int32]]:
    """Return phases that make up for measured splitter errors, each interferometer for itself.

    The local correction of Bandyopadhyay, Hamerly and Englund (2021), Optica 8, 1247, as published:
    each gets the split that it should have, or the nearest that it can reach, and hands on phases
    only. It is exact where `correct` is, leaves more where splits are out of reach, and takes a
    tenth of its time. Meshes of real matrices keep their phases.

    Parameters, returns and errors are those of `correct`, without `sweeps`; theta is in [0, pi].
    """
    from photonpu.mesh import kernels_correction

    _layout(phases, topology)
    mesh = MESHES[topology]
    errors = _each(alpha, phases), _each(beta, phases), _each(gamma, phases)
    if mesh.real:
        return phases, np.zeros(len(phases.psi), dtype=np.int32)
    wanted = one_armed(phases, topology)
    theta, phi, psi, clipped = kernels_correction.correct(
        frozen(wanted.theta),
        frozen(wanted.phi),
        frozen(wanted.psi),
        frozen(np.zeros_like(phases.psi)),
        mesh.plan(phases.psi.shape[1]),
        *errors,
    )
    return push_pulled(Phases(theta, phi, psi), topology), clipped


def one_armed(phases: Phases, topology: str) -> Phases:
    """Return phases with which shifters in one arm do what those of a topology do.

    Push-pull shifters leave no common phases; those of one arm do, and phi and psi make up for
    them. With splitter errors and losses the matrices are the same, too. Phases of other
    topologies are returned as they are.

    Parameters
    ----------
    phases
        Of T meshes.
    topology
        A name in `MESHES`.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the phases do not fit each other or the topology.
    """
    _layout(phases, topology)
    if not MESHES[topology].push:
        return phases
    from photonpu.mesh import kernels_push

    return _exchanged(phases, topology, kernels_push.without_push)


def push_pulled(phases: Phases, topology: str) -> Phases:
    """Return phases of a topology that do what those of shifters in one arm do: `one_armed`, back.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If the phases do not fit each other or the topology.
    """
    _layout(phases, topology)
    if not MESHES[topology].push:
        return phases
    from photonpu.mesh import kernels_push

    return _exchanged(phases, topology, kernels_push.with_push)


def _exchanged(
    phases: Phases, topology: str, kernel: Callable[..., tuple[Floats, Floats, Floats]]
) -> Phases:
    plan = MESHES[topology].plan(phases.psi.shape[1])
    return Phases(*kernel(frozen(phases.theta), frozen(phases.phi), frozen(phases.psi), plan))


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
