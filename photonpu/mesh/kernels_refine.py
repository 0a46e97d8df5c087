"""The compiled refinement; what it computes is written out in `photonpu.mesh.reference_refine`.

One mesh is one iteration of the parallel loop. The left side of the product is kept transposed, so
that both sides mix rows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_correction import turn, unit
from photonpu.mesh.kernels_math import arctan2, sincos, wrap
from photonpu.mesh.values import Plan

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Four = tuple[complex, complex, complex, complex]

_CONTRACT = frozenset({"contract"})
# Sums over a row may be taken in any order, though always in the same.
_SUMS = frozenset({"contract", "reassoc"})
_TURNS = 3


@jit(fastmath=_CONTRACT)
def times(a: Four, b: Four) -> Four:
    """Return the product of two 2x2 matrices, each row by row."""
    return (
        a[0] * b[0] + a[1] * b[2],
        a[0] * b[1] + a[1] * b[3],
        a[2] * b[0] + a[3] * b[2],
        a[2] * b[1] + a[3] * b[3],
    )


@jit(fastmath=_CONTRACT)
def adjoint(a: Four) -> Four:
    """Return the conjugate transpose of a 2x2 matrix."""
    return a[0].conjugate(), a[2].conjugate(), a[1].conjugate(), a[3].conjugate()


@jit(fastmath=_CONTRACT)
def halves(alpha: float, beta: float) -> tuple[Four, Four]:
    """Return X and Y of ``T = (X + e^{i theta} Y) diag(e^{i phi}, 1)``."""
    s_plus, c_plus = sincos(alpha + beta)
    s_minus, c_minus = sincos(alpha - beta)
    still = (
        complex(-0.5 * (c_minus + s_plus), 0.0),
        complex(0.0, 0.5 * (c_plus - s_minus)),
        complex(0.0, 0.5 * (c_plus + s_minus)),
        complex(0.5 * (c_minus - s_plus), 0.0),
    )
    moved = (
        complex(0.5 * (c_minus - s_plus), 0.0),
        complex(0.0, 0.5 * (c_plus + s_minus)),
        complex(0.0, 0.5 * (c_plus - s_minus)),
        complex(-0.5 * (c_minus + s_plus), 0.0),
    )
    return still, moved


@jit(fastmath=_CONTRACT)
def block(parts: tuple[Four, Four], inner: complex, outer: complex, before: Four) -> Four:
    """Return the matrix of one interferometer, with what stands before it."""
    x, y = parts
    bare = (
        (x[0] + inner * y[0]) * outer,
        x[1] + inner * y[1],
        (x[2] + inner * y[2]) * outer,
        x[3] + inner * y[3],
    )
    return times(bare, before)


@jit(fastmath=_CONTRACT)
def _best(
    parts: tuple[Four, Four], around: Four, inner: complex, outer: complex
) -> tuple[complex, complex]:
    """Return ``e^{i theta}`` and ``e^{i phi}`` that raise ``Re tr(T around)``, by turns."""
    x, y = parts
    u0 = x[0] * around[0] + x[2] * around[1]
    u1 = y[0] * around[0] + y[2] * around[1]
    v1 = y[1] * around[2] + y[3] * around[3]
    for _ in range(_TURNS):
        z = outer * u1 + v1
        inner = unit(z.real, -z.imag)
        z = u0 + inner * u1
        outer = unit(z.real, -z.imag)
    return inner, outer


@jit(fastmath=_CONTRACT)
def mix(field: Floats, m: int, p: int, block: Four) -> None:
    """Multiply rows `m` and `p` of `field` (W, 2, width) by a 2x2 matrix."""
    ar, ai, br, bi = block[0].real, block[0].imag, block[1].real, block[1].imag
    cr, ci, dr, di = block[2].real, block[2].imag, block[3].real, block[3].imag
    upper_real, upper_imag = field[m, 0], field[m, 1]
    lower_real, lower_imag = field[p, 0], field[p, 1]
    for j in range(upper_real.size):
        xr = upper_real[j]
        xi = upper_imag[j]
        yr = lower_real[j]
        yi = lower_imag[j]
        upper_real[j] = ar * xr - ai * xi + br * yr - bi * yi
        upper_imag[j] = ar * xi + ai * xr + br * yi + bi * yr
        lower_real[j] = cr * xr - ci * xi + dr * yr - di * yi
        lower_imag[j] = cr * xi + ci * xr + dr * yi + di * yr


@jit(fastmath=_SUMS)
def dot(a: Floats, b: Floats) -> complex:
    """Return the sum of the products of two rows (2, width), without conjugation."""
    a_real, a_imag, b_real, b_imag = a[0], a[1], b[0], b[1]
    real = 0.0
    imag = 0.0
    for j in range(a_real.size):
        real += a_real[j] * b_real[j] - a_imag[j] * b_imag[j]
        imag += a_real[j] * b_imag[j] + a_imag[j] * b_real[j]
    return complex(real, imag)


@jit(fastmath=_CONTRACT)
def _pass(
    right: Floats,
    left: Floats,
    inner: Complexes,
    outer: Complexes,
    plan: Plan,
    splitters: tuple[Floats, Floats, Floats],
    forward: bool,
) -> None:
    """Set each interferometer to its best, in the order of the light or against it.

    `right` is all before the interferometer, `left` the transpose of all behind it times the
    goal's adjoint; each goes from one end of the mesh to the other.
    """
    alpha, beta, gamma = splitters
    mzis = plan.row.size
    for step in range(mzis):
        k = step if forward else mzis - 1 - step
        m, p = plan.row[k], plan.partner[k]
        parts = halves(alpha[k], beta[k])
        before = (1.0 + 0.0j, 0.0j, 0.0j, 1.0 + 0.0j)
        if plan.third:
            s, c = sincos(0.25 * math.pi + gamma[k])
            before = (complex(c, 0.0), complex(0.0, s), complex(0.0, s), complex(c, 0.0))
        old = adjoint(block(parts, inner[k], outer[k], before))
        if forward:
            mix(left, m, p, (old[0], old[2], old[1], old[3]))
        else:
            mix(right, m, p, old)
        around = (
            dot(right[m], left[m]),
            dot(right[m], left[p]),
            dot(right[p], left[m]),
            dot(right[p], left[p]),
        )
        around = times(before, around)
        inner[k], outer[k] = _best(parts, around, inner[k], outer[k])
        new = block(parts, inner[k], outer[k], before)
        if forward:
            mix(right, m, p, new)
        else:
            mix(left, m, p, (new[0], new[2], new[1], new[3]))


@jit(fastmath=_CONTRACT)
def load(goal: Complexes, psi: Floats, left: Floats) -> None:
    """Fill `left` with the conjugate of `goal`, row ``n`` times ``e^{i psi[n]}``."""
    left[:] = 0.0
    ports = psi.size
    for n in range(ports):
        phase = turn(psi[n])
        for j in range(ports):
            z = goal[n, j].conjugate() * phase
            left[n, 0, j] = z.real
            left[n, 1, j] = z.imag


@jit(fastmath=_CONTRACT)
def light(right: Floats, ports: int) -> None:
    """Fill `right` with unit light at each input, a column each."""
    right[:] = 0.0
    for n in range(ports):
        right[n, 0, n] = 1.0


@jit(fastmath=_CONTRACT)
def _refine(
    goal: Complexes,
    phases: tuple[Floats, Floats, Floats],
    plan: Plan,
    splitters: tuple[Floats, Floats, Floats],
    sweeps: int,
) -> float:
    """Refine the phases of one mesh in place; return ``Re tr(U^H U') / N`` that they reach."""
    theta, phi, psi = phases
    ports = psi.size
    inner = np.empty(theta.size, dtype=np.complex128)
    outer = np.empty(theta.size, dtype=np.complex128)
    for k in range(theta.size):
        inner[k] = turn(theta[k])
        outer[k] = turn(phi[k])
    right = np.empty((plan.waveguides, 2, ports))
    left = np.empty((plan.waveguides, 2, ports))
    overlap = 0.0
    for sweep in range(sweeps + 1):
        load(goal, psi, left)
        if sweep == 0:
            light(right, ports)
            for k in range(theta.size):
                new = whole(plan, splitters, k, inner[k], outer[k])
                mix(right, plan.row[k], plan.partner[k], new)
        else:
            _pass(right, left, inner, outer, plan, splitters, False)
            light(right, ports)
            _pass(right, left, inner, outer, plan, splitters, True)
        overlap = 0.0
        load(goal, np.zeros(ports), left)
        for n in range(ports):
            z = dot(right[n], left[n])
            psi[n] = wrap(-arctan2(z.imag, z.real))
            overlap += abs(z)
    for k in range(theta.size):
        theta[k] = wrap(arctan2(inner[k].imag, inner[k].real))
        phi[k] = wrap(arctan2(outer[k].imag, outer[k].real))
    return overlap / ports


@jit(fastmath=_CONTRACT)
def whole(
    plan: Plan, splitters: tuple[Floats, Floats, Floats], k: int, inner: complex, outer: complex
) -> Four:
    """Return the matrix of interferometer `k` with what stands before it."""
    before = (1.0 + 0.0j, 0.0j, 0.0j, 1.0 + 0.0j)
    if plan.third:
        s, c = sincos(0.25 * math.pi + splitters[2][k])
        before = (complex(c, 0.0), complex(0.0, s), complex(0.0, s), complex(c, 0.0))
    return block(halves(splitters[0][k], splitters[1][k]), inner, outer, before)


@jit(parallel=True, fastmath=_CONTRACT)
def refine(
    goals: Complexes,
    theta: Floats,
    phi: Floats,
    psi: Floats,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
    sweeps: int,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Bring meshes nearer to goals; see `photonpu.mesh.reference_refine.refine`."""
    new_theta = theta.copy()
    new_phi = phi.copy()
    new_psi = psi.copy()
    overlap = np.empty(len(goals))
    for t in prange(len(goals)):
        overlap[t] = _refine(
            goals[t],
            (new_theta[t], new_phi[t], new_psi[t]),
            plan,
            (alpha[t], beta[t], gamma[t]),
            sweeps,
        )
    return new_theta, new_phi, new_psi, overlap
