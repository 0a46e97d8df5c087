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
from photonpu.mesh.kernels_correction import correct_one, owed_everywhere, reach
from photonpu.mesh.kernels_math import Block, arctan2, sincos, wrap
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
def _split_before(blocks: Floats, gamma: Floats) -> None:
    """Put a splitter of angle ``pi/4 + gamma[k]`` before each of `blocks`."""
    for k in range(gamma.size):
        s, c = sincos(0.25 * math.pi + gamma[k])
        for i in range(0, 8, 4):
            xr, xi = blocks[i, k], blocks[i + 1, k]
            yr, yi = blocks[i + 2, k], blocks[i + 3, k]
            blocks[i, k] = c * xr - s * yi
            blocks[i + 1, k] = c * xi + s * yr
            blocks[i + 2, k] = c * yr - s * xi
            blocks[i + 3, k] = c * yi + s * xr


@jit(fastmath=_CONTRACT)
def _mix(field: Floats, first: int, second: int, start: int, stop: int, block: Block) -> None:
    """Multiply rows `first` and `second` of `field`, from `start` to `stop`, by a 2x2 block."""
    ar, ai, br, bi, cr, ci, dr, di = block
    upper_real = field[first, 0, start:stop]
    upper_imag = field[first, 1, start:stop]
    lower_real = field[second, 0, start:stop]
    lower_imag = field[second, 1, start:stop]
    for j in range(upper_real.size):
        xr = upper_real[j]
        xi = upper_imag[j]
        yr = lower_real[j]
        yi = lower_imag[j]
        upper_real[j] = ar * xr - ai * xi + br * yr - bi * yi
        upper_imag[j] = ar * xi + ai * xr + br * yi + bi * yr
        lower_real[j] = cr * xr - ci * xi + dr * yr - di * yi
        lower_imag[j] = cr * xi + ci * xr + dr * yi + di * yr


@jit(fastmath=_CONTRACT)
def _propagate(field: Floats, blocks: Floats, plan: Plan, first: Ints, last: Ints) -> None:
    """Send all columns of `field` (W, 2, width) through a mesh.

    Row ``n`` of the field is zero outside of columns ``first[n]`` to ``last[n]``: the light cone.
    """
    for k in range(plan.row.size):
        m = plan.row[k]
        p = plan.partner[k]
        start = min(first[m], first[p])
        stop = max(last[m], last[p])
        first[m] = first[p] = start
        last[m] = last[p] = stop
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
        _mix(field, m, p, start, stop, block)


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
def _light(ports: int, waveguides: int) -> tuple[Floats, Ints, Ints]:
    """Return unit light at each input, a column each, and its light cones; the rest is dark."""
    field = np.zeros((waveguides, 2, ports + 1))
    first = np.full(waveguides, ports, dtype=np.int32)
    last = np.zeros(waveguides, dtype=np.int32)
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
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
    gain: Floats,
) -> Complexes:
    """Return the transfer matrices of meshes; see `photonpu.mesh.reference.matrix`."""
    tiles, ports = psi.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t in prange(tiles):
        blocks = np.empty((8, plan.row.size + 1))
        _blocks(theta[t], phi[t], alpha[t], beta[t], gain[t], blocks)
        if plan.third:
            _split_before(blocks, gamma[t])
        field, first, last = _light(ports, plan.waveguides)
        _propagate(field, blocks, plan, first, last)
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
def _darken(field: Floats, ports: int) -> None:
    """Take the light off the waveguides behind the first `ports`: a mesh starts with them dark."""
    for n in range(ports, field.shape[0]):
        field[n] = 0.0


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
    correct_one(
        nominal,
        owed_everywhere(owed, plan.waveguides),
        plan,
        (known.into[c, m], known.out[c, m], known.third[c, m]),
        (theta, phi, psi),
    )
    _program(phase, plan.step, within, errors.mesh[c, m])
    blocks = np.empty((8, mzis + 1))
    _blocks(theta, phi, splitters.into[c, m], splitters.out[c, m], errors.gain[c, m], blocks)
    if plan.third:
        _split_before(blocks, splitters.third[c, m])
    _darken(light[0], owed.size)
    _propagate(light[0], blocks, plan, light[1], light[2])
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
        s, c, _ = reach(s, c, s_plus, s_minus, c_minus)
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
        light = _light(ports, plan.waveguides)
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
