"""Unitaries to phases of a butterfly: exact for those that it can do, a fit for all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.mzi import transfer
from photonpu.mesh.values import Plan, frozen

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_SWEEPS = 30


def fit(unitaries: Floats | Complexes, plan: Plan) -> tuple[Floats, Floats, Floats]:
    """Return phases with which a butterfly comes near to unitaries.

    `guess` makes the start, coordinate ascent goes on from there. The same matrix gives the same
    phases in every batch. How near it came is for the caller to see, by `photonpu.mesh.matrix`.

    Parameters
    ----------
    unitaries
        (T, N, N), N a power of 2.
    plan
        Of the butterfly of N ports.

    Returns
    -------
    theta, phi, psi
        (T, K), (T, K), (T, N) in [0, 2 pi), theta in [0, pi], rad.
    """
    from photonpu.mesh import kernels_refine

    goals = np.ascontiguousarray(unitaries, dtype=np.complex128).view()
    goals.flags.writeable = False
    theta, phi, psi = map(frozen, guess(goals))
    none = frozen(np.zeros_like(theta))
    theta, phi, psi, _ = kernels_refine.refine(
        goals, theta, phi, psi, plan, none, none, none, _SWEEPS
    )
    return _folded(theta, phi, psi, plan)


def guess(unitaries: Complexes) -> tuple[Floats, Floats, Floats]:
    """Return phases from the halves of a matrix inwards, exact where a butterfly can be.

    The last column mixes row i with row i + N/2 of two butterflies of N/2 ports that stand side
    by side: each half of such a pair of rows is then one row of its butterfly, twice. Where it is
    not, its strongest part is taken, and the unitary that is nearest to all of them.

    Parameters
    ----------
    unitaries
        (T, N, N), N a power of 2.

    Returns
    -------
    theta, phi, psi
        (T, K), (T, K), (T, N), rad.
    """
    tiles, ports, _ = unitaries.shape
    columns: list[Complexes] = []
    rest = unitaries[:, None]
    for _ in range(ports.bit_length() - 1):
        half = rest.shape[-1] // 2
        pairs = rest.reshape(*rest.shape[:2], 2, half, 2, half).transpose(0, 1, 3, 4, 2, 5)
        u, s, v = np.linalg.svd(pairs, full_matrices=False)
        mixing = np.moveaxis(u[..., :, 0] * s[..., :1], -2, -1)
        columns.append(_nearest(mixing).reshape(tiles, ports // 2, 2, 2))
        inner = np.moveaxis(v[..., 0, :], 3, 2)
        rest = _nearest(inner).reshape(tiles, ports // half, half, half)
    columns[-1] = columns[-1] * rest.reshape(tiles, ports // 2, 1, 2)
    return _phases(columns[::-1], ports)


def _nearest(matrices: Complexes) -> Complexes:
    """Return the unitary nearest to each matrix (..., n, n)."""
    u, _, v = np.linalg.svd(matrices)
    return np.asarray(u @ v)


def _phases(columns: list[Complexes], ports: int) -> tuple[Floats, Floats, Floats]:
    """Return the phases of columns (T, N/2, 2, 2) of unitary blocks, and what is owed at the end.

    Blocks of column c are in the order of their groups of 2^(c + 1) waveguides.
    """
    owed = np.zeros((len(columns[0]), ports))
    thetas, phis = [], []
    for c, blocks in enumerate(columns):
        waveguide = np.arange(ports)
        upper = waveguide[waveguide >> c & 1 == 0]
        lower = upper + (1 << c)
        goal = blocks * np.exp(1j * np.stack([owed[:, upper], owed[:, lower]], axis=-1))[:, :, None]
        theta = 2.0 * np.arctan2(np.abs(goal[..., 0, 0]), np.abs(goal[..., 0, 1]))
        phi = np.angle(goal[..., 0, 0] * goal[..., 0, 1].conj())
        overlap = np.sum(goal * transfer(theta, phi).conj(), axis=-1)
        owed[:, upper], owed[:, lower] = np.angle(overlap[..., 0]), np.angle(overlap[..., 1])
        thetas.append(theta)
        phis.append(phi)
    return np.concatenate(thetas, axis=1), np.concatenate(phis, axis=1), owed


def _folded(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> tuple[Floats, Floats, Floats]:
    """Return phases of the same meshes without errors, with theta in [0, pi]."""
    from photonpu.mesh import kernels_correction as kernels

    none = frozen(np.zeros_like(theta))
    owed = frozen(np.zeros_like(psi))
    fixed: tuple[Floats, Floats, Floats, NDArray[np.int32]] = kernels.correct(
        frozen(theta), frozen(phi), frozen(psi), owed, plan, none, none, none
    )
    return fixed[:3]
