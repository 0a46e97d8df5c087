"""The compiled kernels; what they compute is written out in `photonpu.mesh.reference`.

One tile is one iteration of the parallel loop, so results do not depend on the number of threads.
Real and imaginary parts lie in separate rows, since compilers do not vectorise complex numbers;
rows are one element longer than needed, since strides of a power of two collide in the cache.
All functions that call each other are in this file: the cache does not see edits elsewhere.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
Block = tuple[float, float, float, float, float, float, float, float]

_NOTHING = 1e-200
_TURN = 2.0 * math.pi
_TAN_EIGHTH = math.sqrt(2.0) - 1.0
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def arctan2(y: float, x: float) -> float:
    """Return the angle of the point (x, y), without branches so that loops vectorise.

    The argument is folded to at most tan(pi/8); there a polynomial in its square, interpolated
    at 12 Chebyshev nodes, is within 2e-18 of arctan(t) / t.
    """
    wide = abs(x)
    high = abs(y)
    large = max(wide, high)
    small = min(wide, high)
    fold = small > _TAN_EIGHTH * large
    t = (small - large if fold else small) / (
        small + large if fold else (large if large > 0.0 else 1.0)
    )
    z = t * t
    series = -0.017805397205419446
    series = series * z + 0.03796525745386593
    series = series * z - 0.05035102456601552
    series = series * z + 0.05846878297330872
    series = series * z - 0.06662951813629191
    series = series * z + 0.07692045330902225
    series = series * z - 0.09090896809064027
    series = series * z + 0.11111110744919658
    series = series * z - 0.14285714279250245
    series = series * z + 0.19999999999940893
    series = series * z - 0.3333333333333312
    angle = t + t * (z * series)
    angle = angle + 0.25 * math.pi if fold else angle
    angle = 0.5 * math.pi - angle if high > wide else angle
    angle = math.pi - angle if x < 0.0 else angle
    return -angle if y < 0.0 else angle


@jit(fastmath=_CONTRACT)
def wrap(phase: float) -> float:
    """Return `phase` in [0, 2 pi)."""
    wrapped = phase - _TURN * np.floor(phase / _TURN)
    return wrapped if 0.0 <= wrapped < _TURN else 0.0


@jit(fastmath=_CONTRACT)
def _mix_rows(field: Floats, first: int, start: int, stop: int, block: Block) -> None:
    """Multiply rows `first` and ``first + 1``, from `start` to `stop`, by a 2x2 block."""
    ar, ai, br, bi, cr, ci, dr, di = block
    upper_real = field[first, 0, start:stop]
    upper_imag = field[first, 1, start:stop]
    lower_real = field[first + 1, 0, start:stop]
    lower_imag = field[first + 1, 1, start:stop]
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
    s = math.sqrt(sine_power / power)
    c = math.sqrt(cosine_power / power)
    if s == 0.0 or c == 0.0:
        return s, c, 1.0, 0.0
    size = 1.0 / (math.sqrt(sine_power) * math.sqrt(cosine_power))
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
            _mix_rows(rest, m, 0, zero + 1, block)
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


@jit(fastmath=_CONTRACT)
def sincos(x: float) -> tuple[float, float]:
    """Return sin and cos, without branches so that loops vectorise; for ``|x| < 1e5``.

    The argument is reduced to at most pi/4 with pi/2 in three parts (Cody and Waite 1980); there
    the Taylor series are within 5e-17.
    """
    n = np.floor(x * (2.0 / math.pi) + 0.5)
    y = x - n * 1.5707963267341256
    y = y - n * 6.077100506303966e-11
    y = y - n * 2.0222662487959506e-21
    z = y * y
    sine = -1.0 / 1307674368000.0
    sine = sine * z + 1.0 / 6227020800.0
    sine = sine * z - 1.0 / 39916800.0
    sine = sine * z + 1.0 / 362880.0
    sine = sine * z - 1.0 / 5040.0
    sine = sine * z + 1.0 / 120.0
    sine = sine * z - 1.0 / 6.0
    sine = y + y * (z * sine)
    cosine = 1.0 / 20922789888000.0
    cosine = cosine * z - 1.0 / 87178291200.0
    cosine = cosine * z + 1.0 / 479001600.0
    cosine = cosine * z - 1.0 / 3628800.0
    cosine = cosine * z + 1.0 / 40320.0
    cosine = cosine * z - 1.0 / 720.0
    cosine = cosine * z + 1.0 / 24.0
    cosine = cosine * z - 0.5
    cosine = 1.0 + z * cosine
    quadrant = n - 4.0 * np.floor(0.25 * n)
    odd = quadrant == 1.0 or quadrant == 3.0
    first = cosine if odd else sine
    second = sine if odd else cosine
    return (
        -first if quadrant >= 2.0 else first,
        -second if quadrant == 1.0 or quadrant == 2.0 else second,
    )


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
        _mix_rows(field, m, start, stop, block)


@jit(fastmath=_CONTRACT)
def _turn_rows(field: Floats, phase: Floats) -> None:
    """Multiply row ``n`` of `field` (N, 2, width) by ``e^{i phase[n]}``."""
    for n in range(phase.size):
        imag, real = sincos(phase[n])
        _scale_row(field, n, real, imag)


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
        for i in range(ports):
            for j in range(ports):
                result[t, i, j] = complex(field[i, 0, j], field[i, 1, j])
    return result
