"""The compiled kernels; what they compute is written out in `photonpu.mesh.reference`.

One tile is one iteration of the parallel loop, so results do not depend on the number of threads.
Real and imaginary parts lie in separate rows, since compilers do not vectorise complex numbers;
rows are one element longer than needed, since strides of a power of two collide in the cache.
Compiled code is kept by the contents of all ``kernels*.py`` of a package: see `photonpu.jit`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import arctan2, mix_rows, sincos, wrap
from photonpu.mesh.values import Couplings, Errors, Plan, Splitters

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]

_TURN = 2.0 * math.pi
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _blocks(
    theta: Floats, phi: Floats, alpha: Floats, beta: Floats, gain: Floats, blocks: Floats
) -> None:
    """Fill (8, K) `blocks` with real and imaginary parts of T11, T12, T21, T22, times gain."""
    for k in range(theta.size):
        s, c = sincos(0.5 * theta[k])
        outer_imag, outer_real = sincos(phi[k])
        s_plus, c_plus = sincos(alpha[k] + beta[k])
        s_minus, c_minus = sincos(alpha[k] - beta[k])
        g = gain[k]
        ss, sc, cc = g * s * s, g * s * c, g * c * c
        ar, ai = -cc * s_plus - ss * c_minus, sc * (c_minus - s_plus)
        cr, ci = sc * (s_minus - c_plus), cc * c_plus + ss * s_minus
        blocks[0, k] = outer_real * ar - outer_imag * ai
        blocks[1, k] = outer_real * ai + outer_imag * ar
        blocks[2, k] = -sc * (s_minus + c_plus)
        blocks[3, k] = cc * c_plus - ss * s_minus
        blocks[4, k] = outer_real * cr - outer_imag * ci
        blocks[5, k] = outer_real * ci + outer_imag * cr
        blocks[6, k] = ss * c_minus - cc * s_plus
        blocks[7, k] = -sc * (c_minus + s_plus)


@jit(fastmath=_CONTRACT)
def _propagate(field: Floats, blocks: Floats, row: Ints, first: Ints, last: Ints) -> None:
    """Send all columns of `field` (N, 2, width) through a mesh.

    Row ``n`` of the field is zero outside of columns ``first[n]`` to ``last[n]``: the light cone.
    """
    for k in range(row.size):
        m = row[k]
        start = min(first[m], first[m + 1])
        stop = max(last[m], last[m + 1])
        first[m] = first[m + 1] = start
        last[m] = last[m + 1] = stop
        block = (
            blocks[0, k],
            blocks[1, k],
            blocks[2, k],
            blocks[3, k],
            blocks[4, k],
            blocks[5, k],
            blocks[6, k],
            blocks[7, k],
        )
        mix_rows(field, m, start, stop, block)


@jit(fastmath=_CONTRACT)
def _scale_row(field: Floats, n: int, real: float, imag: float) -> None:
    """Multiply row `n` of `field` (N, 2, width) by a complex number."""
    field_real = field[n, 0]
    field_imag = field[n, 1]
    for j in range(field_real.size):
        xr = field_real[j]
        xi = field_imag[j]
        field_real[j] = real * xr - imag * xi
        field_imag[j] = real * xi + imag * xr


@jit(fastmath=_CONTRACT)
def _turn_rows(field: Floats, phase: Floats) -> None:
    """Multiply row ``n`` of `field` (N, 2, width) by ``e^{i phase[n]}``."""
    for n in range(phase.size):
        imag, real = sincos(phase[n])
        _scale_row(field, n, real, imag)


@jit(fastmath=_CONTRACT)
def _light(ports: int) -> tuple[Floats, Ints, Ints]:
    """Return unit light at each input, a column each, and its light cones."""
    field = np.zeros((ports, 2, ports + 1))
    first = np.empty(ports, dtype=np.int32)
    last = np.empty(ports, dtype=np.int32)
    for n in range(ports):
        field[n, 0, n] = 1.0
        first[n] = n
        last[n] = n + 1
    return field, first, last


@jit(parallel=True, fastmath=_CONTRACT)
def matrix(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    row: Ints,
    alpha: Floats,
    beta: Floats,
    gain: Floats,
) -> Complexes:
    """Return the transfer matrices of meshes; see `photonpu.mesh.reference.matrix`."""
    tiles, ports = psi.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t in prange(tiles):
        blocks = np.empty((8, row.size + 1))
        _blocks(theta[t], phi[t], alpha[t], beta[t], gain[t], blocks)
        field, first, last = _light(ports)
        _propagate(field, blocks, row, first, last)
        _turn_rows(field, psi[t])
        _unload(field, result[t])
    return result


@jit(fastmath=_CONTRACT)
def _unload(field: Floats, result: Complexes) -> None:
    """Copy `field` (N, 2, width) to `result` (N, N)."""
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            result[i, j] = complex(field[i, 0, j], field[i, 1, j])


@jit(fastmath=_CONTRACT)
def _reach(
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
def _correct(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    row: Ints,
    splitters: tuple[Floats, Floats],
    corrected: tuple[Floats, Floats, Floats],
) -> int:
    """Fill `corrected` theta, phi and psi of one mesh; return how many splits are out of reach.

    The phases of a real block's elements depend on its split alone, so all of them come first.
    """
    theta, phi, psi = nominal
    alpha, beta = splitters
    new_theta, new_phi, new_psi = corrected
    bar = np.empty(row.size)
    cross = np.empty(row.size)
    clipped = 0
    for k in range(row.size):
        s, c = sincos(0.5 * theta[k])
        s_plus, c_plus = sincos(alpha[k] + beta[k])
        s_minus, c_minus = sincos(alpha[k] - beta[k])
        s, c, out = _reach(s, c, s_plus, s_minus, c_minus)
        new_theta[k] = 2.0 * arctan2(s, c)
        bar[k] = arctan2(s * c_minus, -c * s_plus)
        cross[k] = arctan2(c * c_plus, -s * s_minus)
        clipped += 1 if out else 0
    for k in range(row.size):
        m = row[k]
        upper = owed[m]
        lower = owed[m + 1]
        common = 0.5 * (theta[k] - new_theta[k]) + lower
        new_phi[k] = wrap(phi[k] + upper - lower + cross[k] - bar[k])
        owed[m] = common + 0.5 * math.pi - cross[k]
        owed[m + 1] = common - 0.5 * math.pi + bar[k]
    for n in range(psi.size):
        new_psi[n] = wrap(psi[n] + owed[n])
    return clipped


@jit(parallel=True, fastmath=_CONTRACT)
def correct(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    owed: Floats,
    row: Ints,
    alpha: Floats,
    beta: Floats,
) -> tuple[Floats, Floats, Floats, Ints]:
    """Make up for measured splitter errors; see `photonpu.mesh.reference.correct`."""
    new_theta = np.empty_like(theta)
    new_phi = np.empty_like(phi)
    new_psi = np.empty_like(psi)
    clipped = np.empty(len(theta), dtype=np.int32)
    for t in prange(len(theta)):
        clipped[t] = _correct(
            (theta[t], phi[t], psi[t]),
            owed[t].copy(),
            row,
            (alpha[t], beta[t]),
            (new_theta[t], new_phi[t], new_psi[t]),
        )
    return new_theta, new_phi, new_psi, clipped


@jit(fastmath=_CONTRACT)
def _program(phase: Floats, step: float, couplings: Couplings, error: Floats) -> None:
    """Turn wanted phases into those that light meets: rounding, heat, static errors."""
    coded = np.empty(phase.size)
    for i in range(phase.size):
        coded[i] = wrap(phase[i])
    if step > 0.0:
        for i in range(phase.size):
            code = step * np.floor(coded[i] / step + 0.5)
            coded[i] = code if code < _TURN - 0.5 * step else 0.0
    for i in range(phase.size):
        heat = 0.0
        for j in range(couplings.first[i], couplings.first[i + 1]):
            heat += couplings.strength[j] * coded[couplings.neighbour[j]]
        phase[i] = coded[i] + heat + error[i]


@jit(fastmath=_CONTRACT)
def _pass_mesh(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    place: tuple[int, int],
    known: Splitters,
    splitters: Splitters,
    errors: Errors,
    plan: Plan,
    within: Couplings,
    light: tuple[Floats, Ints, Ints],
) -> Floats:
    """Send light through one mesh as programmed; return its output phases, yet to be applied.

    `place` is the core and the mesh in it.
    """
    c, m = place
    mzis = plan.row.size
    phase = np.empty(2 * mzis + owed.size)
    theta, phi, psi = phase[:mzis], phase[mzis : 2 * mzis], phase[2 * mzis :]
    _correct(nominal, owed, plan.row, (known.into[c, m], known.out[c, m]), (theta, phi, psi))
    _program(phase, plan.step, within, errors.mesh[c, m])
    blocks = np.empty((8, mzis + 1))
    _blocks(theta, phi, splitters.into[c, m], splitters.out[c, m], errors.gain[c, m], blocks)
    _propagate(light[0], blocks, plan.row, light[1], light[2])
    return psi


@jit(fastmath=_CONTRACT)
def _attenuate(
    field: Floats,
    psi: Floats,
    nominal: Floats,
    owed: Floats,
    core: int,
    known: Splitters,
    splitters: Splitters,
    errors: Errors,
    plan: Plan,
    line: Couplings,
) -> None:
    """Apply output phases and attenuators to `field`; set the phases that they leave owed."""
    phase = np.empty(nominal.size)
    for n in range(phase.size):
        alpha, beta = known.attenuator_into[core, n], known.attenuator_out[core, n]
        s, c = sincos(0.5 * nominal[n])
        s_plus, _ = sincos(alpha + beta)
        s_minus, c_minus = sincos(alpha - beta)
        s, c, _ = _reach(s, c, s_plus, s_minus, c_minus)
        phase[n] = 2.0 * arctan2(s, c)
        owed[n] = -arctan2(c * s_plus, s * c_minus)
    _program(phase, plan.step, line, errors.attenuator[core])
    for n in range(phase.size):
        alpha, beta = splitters.attenuator_into[core, n], splitters.attenuator_out[core, n]
        s, c = sincos(0.5 * phase[n])
        s_plus, _ = sincos(alpha + beta)
        _, c_minus = sincos(alpha - beta)
        through = errors.attenuator_gain[core, n] * s * c_minus
        leak = errors.attenuator_gain[core, n] * c * s_plus
        imag, real = sincos(psi[n])
        _scale_row(field, n, real * through - imag * leak, real * leak + imag * through)


@jit(parallel=True, fastmath=_CONTRACT)
def tile_matrices(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    attenuator: Floats,
    core: Ints,
    known: Splitters,
    splitters: Splitters,
    errors: Errors,
    plan: Plan,
    within: Couplings,
    line: Couplings,
) -> Complexes:
    """Return the field transfer of tiles; see `photonpu.mesh.reference.tile_matrices`."""
    tiles, ports = attenuator.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t in prange(tiles):
        c = core[t]
        owed = np.zeros(ports)
        light = _light(ports)
        field = light[0]
        for m in range(2):
            nominal = (theta[t, m], phi[t, m], psi[t, m])
            last = _pass_mesh(nominal, owed, (c, m), known, splitters, errors, plan, within, light)
            if m == 0:
                _attenuate(
                    field, last, attenuator[t], owed, c, known, splitters, errors, plan, line
                )
            else:
                _turn_rows(field, last)
        _unload(field, result[t])
    return result
