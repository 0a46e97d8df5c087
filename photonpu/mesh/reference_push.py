"""What the kernels of push-pull interferometers compute, literally.

A push-pull shifter gives half of theta to the upper arm and takes half from the lower one. With a
fixed quarter of a wave less on both waveguides an interferometer is ``-i e^{-i theta/2} T``,
without errors ``[[e^{i phi} s, c], [e^{i phi} c, -s]]`` with ``s, c = sin(theta/2),
cos(theta/2)``: no common phase, and real without phi.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.mesh.mzi import unbalanced
from photonpu.mesh.values import Plan, wrap

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

# Products of the elements of a block below this have no sign: one of them is dark.
NOTHING = 1e-14


def push_pull(
    theta: ArrayLike,
    phi: ArrayLike,
    alpha: ArrayLike = 0.0,
    beta: ArrayLike = 0.0,
    skew: ArrayLike = 1.0,
) -> Complexes:
    """Return the transfer matrix of a push-pull interferometer; see `mzi.unbalanced`."""
    turn = -1j * np.exp(-0.5j * np.asarray(theta, dtype=np.float64))
    return np.asarray(turn)[..., None, None] * unbalanced(theta, phi, alpha, beta, skew)


def with_push(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> tuple[Floats, Floats, Floats]:
    """Return phases with which push-pull interferometers do what those of one arm do.

    Parameters
    ----------
    theta, phi, psi
        (T, K), (T, K), (T, N) phases for shifters in one arm.
    plan
        Layout. Real meshes have no phi: what is not real is left out, where there is any.

    Returns
    -------
    theta, phi, psi
        theta in [-pi, pi], phi and psi in [0, 2 pi); in real meshes phi is 0, and psi 0 or pi.
    """
    signed = np.where(theta > np.pi, theta - 2.0 * np.pi, theta)
    found = signed, *_moved(signed, phi, psi, plan, 1.0)
    return _real(*found, plan) if plan.real else found


def without_push(
    theta: Floats, phi: Floats, psi: Floats, plan: Plan
) -> tuple[Floats, Floats, Floats]:
    """Return phases with which interferometers of one arm do what push-pull ones do."""
    return theta.copy(), *_moved(theta, phi, psi, plan, -1.0)


def _moved(
    theta: Floats, phi: Floats, psi: Floats, plan: Plan, sign: float
) -> tuple[Floats, Floats]:
    """Move common phases ``sign (theta + pi) / 2`` behind all interferometers, into phi and psi."""
    owed = np.zeros((len(psi), plan.waveguides))
    outer = phi.copy()
    for k, (m, p) in enumerate(zip(plan.row, plan.partner, strict=True)):
        outer[:, k] += owed[:, m] - owed[:, p]
        owed[:, m] = owed[:, p] = owed[:, p] + sign * (theta[:, k] + np.pi) / 2.0
    return wrap(outer), wrap(psi + owed[:, : psi.shape[1]])


def _real(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> tuple[Floats, Floats, Floats]:
    """Give each block of a real mesh phi = 0: ``B(theta, pi) = diag(1, -1) B(-theta, 0)``."""
    signed, last = theta.copy(), psi.copy()
    for t in range(len(psi)):
        due = np.ones(plan.waveguides, dtype=np.complex128)
        for k, arms in enumerate(np.stack([plan.row, plan.partner], axis=1)):
            goal = push_pull(theta[t, k], phi[t, k]) @ np.diag(due[arms])
            if np.real(goal[0, 0] * np.conj(goal[0, 1])) < -NOTHING:
                signed[t, k] = -theta[t, k]
            overlap = np.sum(goal * push_pull(signed[t, k], 0.0).conj(), axis=1)
            due[arms] = overlap / np.abs(overlap)
        turned = np.exp(1j * psi[t]) * due[: psi.shape[1]]
        last[t] = np.where(turned.real < 0.0, np.pi, 0.0)
    return signed, np.zeros_like(phi), last
