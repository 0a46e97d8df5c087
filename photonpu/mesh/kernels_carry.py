"""The compiled carried correction; what it computes is in `photonpu.mesh.reference_carry`.

One mesh is one iteration of the parallel loop. A field is ``(W, 2, P)`` numbers in a row: for each
waveguide the real and then the imaginary parts for light at each of P inputs, some of them padding.
The field that should be there is kept as its conjugate.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_correction import reach, turn, unit
from photonpu.mesh.kernels_math import arctan2, sincos
from photonpu.mesh.kernels_refine import Four, block, times
from photonpu.mesh.values import Plan
from photonpu.simd import DOUBLE_LANES, load_doubles, spread_doubles, store

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]
Three = tuple[Floats, Floats, Floats]

_CONTRACT = frozenset({"contract"})
_TURNS = 3
_DARK = 1e-20


@jit(fastmath=_CONTRACT)
def _prepare(
    wanted: Floats, plan: Plan, splitters: Three, ideal: Floats, sines: Floats, before: Floats
) -> None:
    """Fill what each interferometer needs, in loops that the compiler turns into vectors.

    `ideal` (K, 8) gets the elements of a perfect one, real and imaginary parts; `sines` (K, 4) sine
    and cosine of the sum of two splitters' errors and of their difference; `before` (K, 2) those of
    the angle of a third one, 0 where there is none.
    """
    alpha, beta, gamma = splitters
    mzis = plan.row.size
    for k in range(mzis):
        sines[k, 0], sines[k, 1] = sincos(alpha[k] + beta[k])
        sines[k, 2], sines[k, 3] = sincos(alpha[k] - beta[k])
        before[k, 0], before[k, 1] = 0.0, 1.0
    root = math.sqrt(0.5)
    for k in range(mzis):
        s, c = sincos(0.5 * wanted[k])
        outer_imag, outer_real = sincos(wanted[mzis + k])
        # Times i e^{i theta / 2}, or nothing where theta is push-pull.
        common_real, common_imag = (1.0, 0.0) if plan.push else (-s, c)
        a = s * (common_real * outer_real - common_imag * outer_imag)
        b = s * (common_real * outer_imag + common_imag * outer_real)
        ideal[k, 0], ideal[k, 1] = a, b
        ideal[k, 2], ideal[k, 3] = c * common_real, c * common_imag
        ideal[k, 4] = c * (common_real * outer_real - common_imag * outer_imag)
        ideal[k, 5] = c * (common_real * outer_imag + common_imag * outer_real)
        ideal[k, 6], ideal[k, 7] = -s * common_real, -s * common_imag
    if plan.third:
        for k in range(mzis):
            before[k, 0], before[k, 1] = sincos(0.25 * math.pi + gamma[k])
            ar, ai, br, bi = ideal[k, 0], ideal[k, 1], ideal[k, 2], ideal[k, 3]
            cr, ci, dr, di = ideal[k, 4], ideal[k, 5], ideal[k, 6], ideal[k, 7]
            ideal[k, 0], ideal[k, 1] = root * (ar - bi), root * (ai + br)
            ideal[k, 2], ideal[k, 3] = root * (br - ai), root * (bi + ar)
            ideal[k, 4], ideal[k, 5] = root * (cr - di), root * (ci + dr)
            ideal[k, 6], ideal[k, 7] = root * (dr - ci), root * (di + cr)


@jit(fastmath=_CONTRACT)
def _halves(sines: Floats) -> tuple[Four, Four]:
    """Return X and Y of ``T = (X + e^{i theta} Y) diag(e^{i phi}, 1)``."""
    s_plus, c_plus, s_minus, c_minus = sines[0], sines[1], sines[2], sines[3]
    still = (
        complex(-0.5 * (c_minus + s_plus), 0.0),
        complex(0.0, 0.5 * (c_plus - s_minus)),
        complex(0.0, 0.5 * (c_plus + s_minus)),
        complex(0.5 * (c_minus - s_plus), 0.0),
    )
    moved = (still[3], still[2], still[1], still[0])
    return still, moved


@jit(fastmath=_CONTRACT)
def _power(a: complex, b: complex) -> float:
    return a.real * a.real + a.imag * a.imag + b.real * b.real + b.imag * b.imag


@jit(fastmath=_CONTRACT)
def _nearest(met: Four) -> Four:
    """Return a multiple of the unitary matrix that is nearest to a 2x2 matrix."""
    a, b, c, d = met
    z = a * d - b * c
    z = unit(z.real, z.imag)
    return (
        a + z * d.conjugate(),
        b - z * c.conjugate(),
        c - z * b.conjugate(),
        d + z * a.conjugate(),
    )


@jit(fastmath=_CONTRACT)
def _split(goal: Four, sines: Floats) -> tuple[complex, bool]:
    """Return ``e^{i theta}`` of the split that two waveguides should have, and if it is clipped."""
    bar, cross = _power(goal[0], goal[3]), _power(goal[1], goal[2])
    total = bar + cross
    s, c = math.sqrt(bar / total), math.sqrt(cross / total)
    s, c, clipped = reach(s, c, sines[0], sines[2], sines[3])
    return complex(c * c - s * s, 2.0 * s * c), clipped


@jit(fastmath=_CONTRACT)
def _choose(
    parts: tuple[Four, Four],
    met: Four,
    goal: Four,
    phases: tuple[complex, complex],
    free: tuple[bool, bool],
) -> tuple[complex, complex]:
    """Return ``e^{i theta}`` and ``e^{i phi}`` that raise what both outputs share with the ideal.

    The phase of each output is free: those behind take it over.
    """
    x, y = parts
    inner, outer = phases
    a, b, c, d = goal
    if free[1]:
        z = ((x[0] + inner * y[0]) * a).conjugate() * (x[1] + inner * y[1]) * c
        z += ((x[2] + inner * y[2]) * b).conjugate() * (x[3] + inner * y[3]) * d
        outer = unit(z.real, z.imag)
    a, b, c, d = met
    for _ in range(1 if free[0] and free[1] else _TURNS):
        z = (x[0] + inner * y[0]) * outer * a + (x[1] + inner * y[1]) * c
        upper = unit(z.real, -z.imag)
        z = (x[2] + inner * y[2]) * outer * b + (x[3] + inner * y[3]) * d
        lower = unit(z.real, -z.imag)
        if free[0]:
            z = upper * (y[0] * outer * a + y[1] * c) + lower * (y[2] * outer * b + y[3] * d)
            inner = unit(z.real, -z.imag)
        if free[1]:
            z = upper * (x[0] + inner * y[0]) * a + lower * (x[2] + inner * y[2]) * b
            outer = unit(z.real, -z.imag)
    return inner, outer


@jit(fastmath=_CONTRACT)
def _load(field: Floats, given: Complexes, sign: float, lit: Longs) -> None:
    """Fill the first waveguides of `field` with `given`, or with its conjugate.

    Bit b of ``lit[n]`` tells whether there is light in waveguide n for the b-th inputs.
    """
    pitch = field.size // lit.size
    field[:] = 0.0
    for n in range(given.shape[0]):
        for j in range(given.shape[1]):
            field[n * pitch + j] = given[n, j].real
            field[n * pitch + pitch // 2 + j] = sign * given[n, j].imag
            if given[n, j] != 0.0:
                lit[n] |= 1 << (j // DOUBLE_LANES)


@jit(fastmath=_CONTRACT)
def _mix(field: Floats, m: int, p: int, pitch: int, lit: int, four: Four) -> None:
    """Multiply the light in waveguides `m` and `p` by a 2x2 matrix."""
    ar, ai = spread_doubles(four[0].real), spread_doubles(four[0].imag)
    br, bi = spread_doubles(four[1].real), spread_doubles(four[1].imag)
    cr, ci = spread_doubles(four[2].real), spread_doubles(four[2].imag)
    dr, di = spread_doubles(four[3].real), spread_doubles(four[3].imag)
    half = pitch // 2
    for b in range(half // DOUBLE_LANES):
        if lit >> b & 1:
            upper = m * pitch + b * DOUBLE_LANES
            lower = p * pitch + b * DOUBLE_LANES
            xr, xi = load_doubles(field, upper), load_doubles(field, upper + half)
            yr, yi = load_doubles(field, lower), load_doubles(field, lower + half)
            store(field, upper, ar * xr - ai * xi + br * yr - bi * yi)
            store(field, upper + half, ar * xi + ai * xr + br * yi + bi * yr)
            store(field, lower, cr * xr - ci * xi + dr * yr - di * yi)
            store(field, lower + half, cr * xi + ci * xr + dr * yi + di * yr)


@jit(fastmath=_CONTRACT)
def _shared(
    right: Floats, left: Floats, m: int, p: int, pitch: int, lit: int, sums: Floats
) -> Four:
    """Return what waveguides `m` and `p` of one field share with those of another.

    `sums` is eight vectors to add up.
    """
    zero = spread_doubles(0.0)
    ar, ai, br, bi, cr, ci, dr, di = zero, zero, zero, zero, zero, zero, zero, zero
    half = pitch // 2
    for b in range(half // DOUBLE_LANES):
        if lit >> b & 1:
            upper = m * pitch + b * DOUBLE_LANES
            lower = p * pitch + b * DOUBLE_LANES
            xr, xi = load_doubles(left, upper), load_doubles(left, upper + half)
            yr, yi = load_doubles(left, lower), load_doubles(left, lower + half)
            zr, zi = load_doubles(right, upper), load_doubles(right, upper + half)
            ar, ai = ar + (zr * xr - zi * xi), ai + (zr * xi + zi * xr)
            br, bi = br + (zr * yr - zi * yi), bi + (zr * yi + zi * yr)
            zr, zi = load_doubles(right, lower), load_doubles(right, lower + half)
            cr, ci = cr + (zr * xr - zi * xi), ci + (zr * xi + zi * xr)
            dr, di = dr + (zr * yr - zi * yi), di + (zr * yi + zi * yr)
    store(sums, 0, ar)
    store(sums, DOUBLE_LANES, ai)
    store(sums, 2 * DOUBLE_LANES, br)
    store(sums, 3 * DOUBLE_LANES, bi)
    store(sums, 4 * DOUBLE_LANES, cr)
    store(sums, 5 * DOUBLE_LANES, ci)
    store(sums, 6 * DOUBLE_LANES, dr)
    store(sums, 7 * DOUBLE_LANES, di)
    return (
        complex(_sum(sums, 0), _sum(sums, 1)),
        complex(_sum(sums, 2), _sum(sums, 3)),
        complex(_sum(sums, 4), _sum(sums, 5)),
        complex(_sum(sums, 6), _sum(sums, 7)),
    )


@jit(fastmath=_CONTRACT)
def _sum(sums: Floats, which: int) -> float:
    """Return the sum of one of several vectors."""
    i = DOUBLE_LANES * which
    low: float = (sums[i] + sums[i + 1]) + (sums[i + 2] + sums[i + 3])
    high: float = (sums[i + 4] + sums[i + 5]) + (sums[i + 6] + sums[i + 7])
    return low + high


@jit(fastmath=_CONTRACT)
def _carry(
    wanted: Floats,
    phase: Floats,
    offset: Floats,
    free: Flags,
    fields: tuple[Floats, Floats],
    lit: Longs,
    plan: Plan,
    splitters: Three,
) -> int:
    """Set the phases of one mesh in place; return how many splits are out of reach."""
    right, left = fields
    mzis, pitch = plan.row.size, right.size // plan.waveguides
    ideal, sines, split = np.empty((mzis, 8)), np.empty((mzis, 4)), np.empty((mzis, 2))
    _prepare(wanted, plan, splitters, ideal, sines, split)
    inner, outer = np.empty(mzis, dtype=np.complex128), np.empty(mzis, dtype=np.complex128)
    for k in range(mzis):
        inner[k], outer[k] = turn(phase[k]), turn(phase[mzis + k])
    sums = np.empty(8 * DOUBLE_LANES)
    clipped = 0
    for k in range(mzis):
        m, p = plan.row[k], plan.partner[k]
        back = (
            complex(ideal[k, 0], -ideal[k, 1]),
            complex(ideal[k, 4], -ideal[k, 5]),
            complex(ideal[k, 2], -ideal[k, 3]),
            complex(ideal[k, 6], -ideal[k, 7]),
        )
        both = lit[m] | lit[p]
        lit[m] = lit[p] = both
        _mix(left, m, p, pitch, both, (back[0], back[2], back[1], back[3]))
        met = _shared(right, left, m, p, pitch, both, sums)
        if _power(met[0], met[3]) + _power(met[1], met[2]) < _DARK:
            met = back
        turned, even = complex(0.0, split[k, 0]), complex(split[k, 1], 0.0)
        before = even, turned, turned, even
        met = times(before, met)
        moves = free[k], free[mzis + k]
        goal = _nearest(met)
        best, out = _split(goal, sines[k])
        clipped += 1 if out or not moves[0] else 0
        if moves[0]:
            inner[k] = best
        parts = _halves(sines[k])
        inner[k], outer[k] = _choose(parts, met, goal, (inner[k], outer[k]), moves)
        real = block(parts, inner[k], outer[k], before)
        if plan.push:
            if moves[0]:
                phase[k] = _signed(inner[k], offset[k])
            common = complex(0.0, -1.0) * turn(-0.5 * phase[k])
            real = common * real[0], common * real[1], common * real[2], common * real[3]
        _mix(right, m, p, pitch, both, real)
    for k in range(mzis):
        if free[k] and not plan.push:
            phase[k] = arctan2(inner[k].imag, inner[k].real)
        if free[mzis + k]:
            phase[mzis + k] = arctan2(outer[k].imag, outer[k].real)
    for n in range(phase.size - 2 * mzis):
        if free[2 * mzis + n]:
            z = _shared(right, left, n, n, pitch, lit[n], sums)[0]
            phase[2 * mzis + n] = wanted[2 * mzis + n] - arctan2(z.imag, z.real)
    return clipped


@jit(fastmath=_CONTRACT)
def _signed(inner: complex, offset: float) -> float:
    """Return a phase whose distance to `offset` is at most pi: what push-pull shifters can set."""
    away = arctan2(inner.imag, inner.real) - offset
    return away - 2.0 * math.pi * math.floor(away / (2.0 * math.pi) + 0.5) + offset


@jit(parallel=True, fastmath=_CONTRACT)
def carry(
    wanted: Floats,
    phase: Floats,
    offset: Floats,
    free: Flags,
    ideal: Complexes,
    real: Complexes,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
) -> tuple[Floats, Ints]:
    """Correct meshes in one pass; see `photonpu.mesh.reference_carry.carry`."""
    found = phase.copy()
    clipped = np.empty(len(phase), dtype=np.int32)
    for t in prange(len(phase)):
        pitch = 2 * DOUBLE_LANES * -(-ideal.shape[2] // DOUBLE_LANES)
        fields = np.empty(plan.waveguides * pitch), np.empty(plan.waveguides * pitch)
        lit = np.zeros(plan.waveguides, dtype=np.int64)
        _load(fields[0], real[t], 1.0, lit)
        _load(fields[1], ideal[t], -1.0, lit)
        splitters = alpha[t], beta[t], gamma[t]
        clipped[t] = _carry(wanted[t], found[t], offset[t], free[t], fields, lit, plan, splitters)
    return found, clipped
