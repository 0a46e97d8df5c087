"""The compiled correction; what it computes is written out in `photonpu.mesh.reference`.

One mesh is one iteration of the parallel loop.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import arctan2, sincos, wrap
from photonpu.mesh.values import Plan

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def reach(
    s: float, c: float, s_plus: float, s_minus: float, c_minus: float
) -> tuple[float, float, bool]:
    """Return sin and cos of half the theta with which real splitters split as perfect ones.

    `s` and `c` are those of the perfect ones, the others of the sum and the difference of the
    splitter errors. The flag says that no theta does; the result then comes nearest.
    """
    span = c_minus * c_minus - s_plus * s_plus
    bar = (s * s - s_plus * s_plus) / span
    cross = (c * c - s_minus * s_minus) / span
    clipped = bar < 0.0 or cross < 0.0
    return math.sqrt(min(max(bar, 0.0), 1.0)), math.sqrt(min(max(cross, 0.0), 1.0)), clipped


@jit(fastmath=_CONTRACT)
def correct_one(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    plan: Plan,
    splitters: tuple[Floats, Floats, Floats],
    corrected: tuple[Floats, Floats, Floats],
) -> int:
    """Fill `corrected` theta, phi and psi of one mesh; return how many splits are out of reach.

    The phases of a real block's elements depend on its split alone, so all of them come first.
    """
    if plan.third:
        return _correct_third(nominal, owed, plan, 0.25 * math.pi, splitters, corrected)
    theta, phi, psi = nominal
    alpha, beta, _ = splitters
    new_theta, new_phi, new_psi = corrected
    mzis = plan.row.size
    bar = np.empty(mzis)
    cross = np.empty(mzis)
    clipped = 0
    for k in range(mzis):
        s, c = sincos(0.5 * theta[k])
        s_plus, c_plus = sincos(alpha[k] + beta[k])
        s_minus, c_minus = sincos(alpha[k] - beta[k])
        s, c, out = reach(s, c, s_plus, s_minus, c_minus)
        new_theta[k] = 2.0 * arctan2(s, c)
        bar[k] = arctan2(s * c_minus, -c * s_plus)
        cross[k] = arctan2(c * c_plus, -s * s_minus)
        clipped += 1 if out else 0
    for k in range(mzis):
        m = plan.row[k]
        p = plan.partner[k]
        upper = owed[m]
        lower = owed[p]
        common = 0.5 * (theta[k] - new_theta[k]) + lower
        new_phi[k] = wrap(phi[k] + upper - lower + cross[k] - bar[k])
        owed[m] = common + 0.5 * math.pi - cross[k]
        owed[p] = common - 0.5 * math.pi + bar[k]
    for n in range(psi.size):
        new_psi[n] = wrap(psi[n] + owed[n])
    return clipped


@jit(fastmath=_CONTRACT)
def unit(real: float, imag: float) -> complex:
    """Return the number of size 1 with the phase of another; 1 for 0."""
    size = math.sqrt(real * real + imag * imag)
    return complex(real / size, imag / size) if size > 0.0 else complex(1.0, 0.0)


@jit(fastmath=_CONTRACT)
def turn(phase: float) -> complex:
    """Return ``e^{i phase}``."""
    imag, real = sincos(phase)
    return complex(real, imag)


@jit(fastmath=_CONTRACT)
def _correct_third(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    plan: Plan,
    before: float,
    splitters: tuple[Floats, Floats, Floats],
    corrected: tuple[Floats, Floats, Floats],
) -> int:
    """Do what `_correct` does where a splitter stands before each interferometer.

    `before` is the angle of those in the mesh that `nominal` is for: 0 where it has none.
    """
    theta, phi, psi = nominal
    alpha, beta, gamma = splitters
    new_theta, new_phi, new_psi = corrected
    clipped = 0
    si, co = sincos(before)
    for k in range(plan.row.size):
        m = plan.row[k]
        p = plan.partner[k]
        s, c = sincos(0.5 * theta[k])
        half, outer = turn(0.5 * theta[k] + 0.5 * math.pi), turn(phi[k])
        upper, lower = turn(owed[m]), turn(owed[p])
        g11 = half * (outer * (s * co) + complex(0.0, c * si)) * upper
        g12 = half * (outer * complex(0.0, s * si) + c * co) * lower
        g21 = half * (outer * (c * co) - complex(0.0, s * si)) * upper
        g22 = half * (outer * complex(0.0, c * si) - s * co) * lower
        sine, cosine = sincos(0.25 * math.pi + gamma[k])
        turned = complex(0.0, sine)
        g11, g12 = g11 * cosine - g12 * turned, g12 * cosine - g11 * turned
        g21, g22 = g21 * cosine - g22 * turned, g22 * cosine - g21 * turned
        s_plus, c_plus = sincos(alpha[k] + beta[k])
        s_minus, c_minus = sincos(alpha[k] - beta[k])
        s, c, out = reach(abs(g11), abs(g12), s_plus, s_minus, c_minus)
        clipped += 1 if out else 0
        new_theta[k] = 2.0 * arctan2(s, c)
        half = turn(arctan2(s, c))
        t11, t12 = complex(-c * s_plus, s * c_minus), complex(-s * s_minus, c * c_plus)
        t21, t22 = complex(s * s_minus, c * c_plus), complex(-c * s_plus, -s * c_minus)
        z = t12 * g11 * (t11 * g12).conjugate()
        outer = unit(z.real, z.imag)
        new_phi[k] = wrap(arctan2(outer.imag, outer.real))
        z = (g11 * (t11 * outer).conjugate() + g12 * t12.conjugate()) * half.conjugate()
        owed[m] = arctan2(z.imag, z.real)
        z = (g21 * (t21 * outer).conjugate() + g22 * t22.conjugate()) * half.conjugate()
        owed[p] = arctan2(z.imag, z.real)
    for n in range(psi.size):
        new_psi[n] = wrap(psi[n] + owed[n])
    return clipped


@jit(parallel=True, fastmath=_CONTRACT)
def correct(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    owed: Floats,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
) -> tuple[Floats, Floats, Floats, Ints]:
    """Make up for measured splitter errors; see `photonpu.mesh.reference.correct`."""
    new_theta = np.empty_like(theta)
    new_phi = np.empty_like(phi)
    new_psi = np.empty_like(psi)
    clipped = np.empty(len(theta), dtype=np.int32)
    for t in prange(len(theta)):
        clipped[t] = correct_one(
            (theta[t], phi[t], psi[t]),
            owed_everywhere(owed[t], plan.waveguides),
            plan,
            (alpha[t], beta[t], gamma[t]),
            (new_theta[t], new_phi[t], new_psi[t]),
        )
    return new_theta, new_phi, new_psi, clipped


@jit(parallel=True, fastmath=_CONTRACT)
def with_third(
    theta: Floats, phi: Floats, psi: Floats, plan: Plan
) -> tuple[Floats, Floats, Floats]:
    """Return phases for three splitters; see `photonpu.mesh.reference.with_third`."""
    new_theta = np.empty_like(theta)
    new_phi = np.empty_like(phi)
    new_psi = np.empty_like(psi)
    for t in prange(len(theta)):
        none = np.zeros(plan.row.size)
        _correct_third(
            (theta[t], phi[t], psi[t]),
            np.zeros(plan.waveguides),
            plan,
            0.0,
            (none, none, none),
            (new_theta[t], new_phi[t], new_psi[t]),
        )
    return new_theta, new_phi, new_psi


@jit(fastmath=_CONTRACT)
def owed_everywhere(phase: Floats, waveguides: int) -> Floats:
    """Return phases owed to all waveguides from those owed to the first of them."""
    owed = np.zeros(waveguides)
    owed[: phase.size] = phase
    return owed
