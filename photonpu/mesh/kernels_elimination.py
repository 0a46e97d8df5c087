"""The compiled elimination; what it computes is written out in `photonpu.mesh.reference`.

One matrix is one iteration of the parallel loop. It is kept transposed, so that the steps from
the right, which mix columns, run along rows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import Block, arctan2, mix_rows, wrap

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

_NOTHING = 1e-200
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _mix_columns(field: Floats, first: int, start: int, stop: int, block: Block) -> None:
    """Multiply columns `first` and ``first + 1`` of rows `start` to `stop` by a 2x2 block."""
    ar, ai, br, bi, cr, ci, dr, di = block
    for i in range(start, stop):
        real = field[i, 0]
        imag = field[i, 1]
        xr = real[first]
        xi = imag[first]
        yr = real[first + 1]
        yi = imag[first + 1]
        real[first] = ar * xr - ai * xi + br * yr - bi * yi
        imag[first] = ar * xi + ai * xr + br * yi + bi * yr
        real[first + 1] = cr * xr - ci * xi + dr * yr - di * yi
        imag[first + 1] = cr * xi + ci * xr + dr * yi + di * yr


@jit(fastmath=_CONTRACT)
def _null(
    sine: tuple[float, float], cosine: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return sin and cos of theta/2, and the unit number ``cosine / sine`` of phase phi.

    ``tan(theta/2) = |sine / cosine|``; phi is 0 where one of the two is nothing.
    """
    sr, si = sine
    cr, ci = cosine
    sine_power = sr * sr + si * si
    cosine_power = cr * cr + ci * ci
    sine_power = sine_power if sine_power > _NOTHING else 0.0
    cosine_power = cosine_power if cosine_power > _NOTHING else 0.0
    power = sine_power + cosine_power
    if power == 0.0:
        return 0.0, 1.0, 1.0, 0.0
    sine_size = math.sqrt(sine_power)
    cosine_size = math.sqrt(cosine_power)
    scale = 1.0 / math.sqrt(power)
    s = sine_size * scale
    c = cosine_size * scale
    if s == 0.0 or c == 0.0:
        return s, c, 1.0, 0.0
    size = 1.0 / (sine_size * cosine_size)
    return s, c, (cr * sr + ci * si) * size, (ci * sr - cr * si) * size


@jit(fastmath=_CONTRACT)
def _eliminate(
    rest: Floats,
    steps: tuple[Flags, Ints, Ints, Ints],
    sine: Floats,
    cosine: Floats,
    outer_real: Floats,
    outer_imag: Floats,
) -> None:
    """Null the elements of a matrix, stored transposed, one by one."""
    left, pair, pivot, slot = steps
    ports = rest.shape[0]
    for step in range(slot.size):
        m = pair[step]
        zero = pivot[step]
        if left[step]:
            upper = (rest[zero, 0, m], rest[zero, 1, m])
            lower = (rest[zero, 0, m + 1], rest[zero, 1, m + 1])
            s, c, er, ei = _null(upper, lower)
            pr, pi = -s * er - c * ei, c * er - s * ei
            block = (s * pr, s * pi, -s * c, c * c, c * pr, c * pi, s * s, -s * c)
            _mix_columns(rest, m, zero, ports, block)
        else:
            upper = (rest[m, 0, zero], rest[m, 1, zero])
            lower = (rest[m + 1, 0, zero], rest[m + 1, 1, zero])
            s, c, er, ei = _null(lower, upper)
            if s > 0.0 and c > 0.0:
                er, ei = -er, -ei
            pr, pi = -s * er - c * ei, -c * er + s * ei
            block = (s * pr, s * pi, -s * c, -c * c, c * pr, c * pi, s * s, s * c)
            mix_rows(rest, m, 0, zero + 1, block)
        k = slot[step]
        sine[k] = s
        cosine[k] = c
        outer_real[k] = er
        outer_imag[k] = ei


@jit(parallel=True, fastmath=_CONTRACT)
def decompose(
    unitaries: Complexes, left: Flags, pair: Ints, pivot: Ints, slot: Ints
) -> tuple[Floats, Floats, Floats]:
    """Take unitaries apart; see `photonpu.mesh.reference.decompose`."""
    tiles, ports, _ = unitaries.shape
    mzis = slot.size
    theta = np.empty((tiles, mzis))
    phi = np.empty((tiles, mzis))
    psi = np.empty((tiles, ports))
    for t in prange(tiles):
        rest = np.empty((ports, 2, ports + 1))
        for i in range(ports):
            for j in range(ports):
                rest[j, 0, i] = unitaries[t, i, j].real
                rest[j, 1, i] = unitaries[t, i, j].imag
        parts = np.empty((4, mzis))
        _eliminate(rest, (left, pair, pivot, slot), parts[0], parts[1], parts[2], parts[3])
        for k in range(mzis):
            theta[t, k] = 2.0 * arctan2(parts[0, k], parts[1, k])
            phi[t, k] = arctan2(parts[3, k], parts[2, k])
        for i in range(ports):
            psi[t, i] = arctan2(rest[i, 1, i], rest[i, 0, i])
        for step in range(mzis - 1, -1, -1):
            if left[step]:
                m = pair[step]
                k = slot[step]
                upper = psi[t, m]
                lower = psi[t, m + 1]
                psi[t, m] = wrap(lower + math.pi - theta[t, k] - phi[t, k])
                psi[t, m + 1] = wrap(lower + math.pi - theta[t, k])
                phi[t, k] = upper - lower
        for k in range(mzis):
            phi[t, k] = wrap(phi[t, k])
        for i in range(ports):
            psi[t, i] = wrap(psi[t, i])
    return theta, phi, psi
