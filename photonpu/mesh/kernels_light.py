"""Light through a mesh, a few inputs at a time, so that all it touches stays in the nearest cache.

A field is ``(W, 2, INPUTS)`` numbers in a row: for each of W waveguides the real and then the
imaginary parts of the light there, for unit light at each of `INPUTS` inputs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.values import Plan
from photonpu.simd import DOUBLE_LANES, load_doubles, spread_doubles, store

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]

INPUTS = 2 * DOUBLE_LANES
_ROW = 2 * INPUTS
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def light_up(field: Floats, begin: int, ports: int, lit: Ints) -> None:
    """Put unit light into the inputs from `begin` on; all else is dark.

    ``lit[n]`` has bit i where light of the i-th half of the inputs may be in waveguide n: the
    light cone.
    """
    field[:] = 0.0
    lit[:] = 0
    for i in range(min(INPUTS, ports - begin)):
        field[(begin + i) * _ROW + i] = 1.0
        lit[begin + i] = 1 << (i // DOUBLE_LANES)


@jit(fastmath=_CONTRACT)
def _mix(field: Floats, upper: int, lower: int, blocks: Floats, k: int) -> None:
    """Multiply `DOUBLE_LANES` inputs' light at two places of `field` by block `k`."""
    place = 8 * k
    xr, xi = load_doubles(field, upper), load_doubles(field, upper + INPUTS)
    yr, yi = load_doubles(field, lower), load_doubles(field, lower + INPUTS)
    ar, ai = spread_doubles(blocks[place]), spread_doubles(blocks[place + 1])
    br, bi = spread_doubles(blocks[place + 2]), spread_doubles(blocks[place + 3])
    store(field, upper, ar * xr - ai * xi + br * yr - bi * yi)
    store(field, upper + INPUTS, ar * xi + ai * xr + br * yi + bi * yr)
    cr, ci = spread_doubles(blocks[place + 4]), spread_doubles(blocks[place + 5])
    dr, di = spread_doubles(blocks[place + 6]), spread_doubles(blocks[place + 7])
    store(field, lower, cr * xr - ci * xi + dr * yr - di * yi)
    store(field, lower + INPUTS, cr * xi + ci * xr + dr * yi + di * yr)


@jit(fastmath=_CONTRACT)
def propagate(field: Floats, blocks: Floats, plan: Plan, lit: Ints) -> None:
    """Send light through a mesh whose interferometers are `blocks`, eight numbers each.

    They are the real and imaginary parts of T11, T12, T21 and T22.
    """
    for k in range(plan.row.size):
        m, p = plan.row[k], plan.partner[k]
        both = lit[m] | lit[p]
        lit[m] = lit[p] = both
        if both & 1:
            _mix(field, m * _ROW, p * _ROW, blocks, k)
        if both & 2:
            _mix(field, m * _ROW + DOUBLE_LANES, p * _ROW + DOUBLE_LANES, blocks, k)


@jit(fastmath=_CONTRACT)
def scale(field: Floats, factors: Floats) -> None:
    """Multiply the light of each port by a complex number, and take it off the other waveguides.

    `factors` is (2, N), real and imaginary parts.
    """
    ports = factors.shape[1]
    for n in range(ports):
        real, imag = spread_doubles(factors[0, n]), spread_doubles(factors[1, n])
        for i in range(n * _ROW, n * _ROW + INPUTS, DOUBLE_LANES):
            xr, xi = load_doubles(field, i), load_doubles(field, i + INPUTS)
            store(field, i, real * xr - imag * xi)
            store(field, i + INPUTS, real * xi + imag * xr)
    field[ports * _ROW :] = 0.0


@jit(fastmath=_CONTRACT)
def unload(field: Floats, begin: int, result: Complexes) -> None:
    """Copy the light of the inputs from `begin` on to their columns of `result` (N, N)."""
    ports = result.shape[0]
    for n in range(ports):
        for i in range(min(INPUTS, ports - begin)):
            place = n * _ROW + i
            result[n, begin + i] = complex(field[place], field[place + INPUTS])
