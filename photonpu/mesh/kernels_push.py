"""Phases for push-pull interferometers; see `photonpu.mesh.reference_push`.

All of these work in place, on one mesh.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import sincos, wrap
from photonpu.mesh.values import Plan

Floats = NDArray[np.float64]

_CONTRACT = frozenset({"contract"})
_DARK = 1e-14


@jit(fastmath=_CONTRACT)
def _exchange(theta: Floats, phi: Floats, psi: Floats, plan: Plan, sign: float) -> None:
    """Add ``sign (theta + pi) / 2`` to what each interferometer leaves owed to those behind it."""
    owed = np.zeros(plan.waveguides)
    for k in range(plan.row.size):
        m, p = plan.row[k], plan.partner[k]
        lower = owed[p]
        phi[k] = wrap(phi[k] + owed[m] - lower)
        owed[m] = owed[p] = wrap(lower + sign * 0.5 * (theta[k] + math.pi))
    for n in range(psi.size):
        psi[n] = wrap(psi[n] + owed[n])


@jit(fastmath=_CONTRACT)
def to_push(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> None:
    """Turn phases for shifters in one arm into those for push-pull ones, theta in [-pi, pi]."""
    for k in range(theta.size):
        if theta[k] > math.pi:
            theta[k] -= 2.0 * math.pi
    _exchange(theta, phi, psi, plan, 1.0)


@jit(fastmath=_CONTRACT)
def to_one_arm(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> None:
    """Turn phases for push-pull shifters into those for shifters in one arm."""
    _exchange(theta, phi, psi, plan, -1.0)


@jit(fastmath=_CONTRACT)
def to_real(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> None:
    """Turn push-pull phases of a real mesh into signs of theta and of the outputs."""
    owed = np.zeros(plan.waveguides)
    for k in range(plan.row.size):
        m, p = plan.row[k], plan.partner[k]
        upper, lower = phi[k] + owed[m], owed[p]
        s, c = sincos(0.5 * theta[k])
        if c < _DARK:
            owed[m] = upper
        elif s < _DARK:
            owed[m], owed[p] = lower, upper
        else:
            owed[m] = lower
            _, even = sincos(upper - lower)
            if even < 0.0:
                theta[k] = -theta[k]
                owed[p] = lower + math.pi
        phi[k] = 0.0
    for n in range(psi.size):
        _, even = sincos(psi[n] + owed[n])
        psi[n] = math.pi if even < 0.0 else 0.0


@jit(fastmath=_CONTRACT)
def coded_both_ways(phase: float, step: float) -> float:
    """Return the nearest phase in [-pi, pi] that a converter can set; any, if `step` is 0."""
    code = step * math.floor(phase / step + 0.5) if step > 0.0 else phase
    return min(max(code, -math.pi), math.pi)


@jit(parallel=True, fastmath=_CONTRACT)
def with_push(theta: Floats, phi: Floats, psi: Floats, plan: Plan) -> tuple[Floats, Floats, Floats]:
    """Return phases for push-pull shifters; see `photonpu.mesh.reference_push.with_push`."""
    found = theta.copy(), phi.copy(), psi.copy()
    for t in prange(len(psi)):
        to_push(found[0][t], found[1][t], found[2][t], plan)
        if plan.real:
            to_real(found[0][t], found[1][t], found[2][t], plan)
    return found


@jit(parallel=True, fastmath=_CONTRACT)
def without_push(
    theta: Floats, phi: Floats, psi: Floats, plan: Plan
) -> tuple[Floats, Floats, Floats]:
    """Return phases for shifters in one arm; see `photonpu.mesh.reference_push.without_push`."""
    found = theta.copy(), phi.copy(), psi.copy()
    for t in prange(len(psi)):
        to_one_arm(found[0][t], found[1][t], found[2][t], plan)
    return found
