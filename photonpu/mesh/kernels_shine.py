"""Light through the two meshes of a tile, by what `kernels_singles` has written down of it.

A field is ``(W, 2, INPUTS)`` numbers in a row, as in `kernels_light`, but its rows are in the
order in which waveguides have changed places, each tile in its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_chains import Chains
from photonpu.mesh.kernels_moves import integer_at, spread_at
from photonpu.simd import DOUBLE_LANES as TOGETHER
from photonpu.simd import LANES as INPUTS
from photonpu.simd import Vector, address, load_singles, store

Singles = NDArray[np.float32]

ROW = 2 * INPUTS
RECORD = 8  # numbers for each interferometer
OWED = 3 * TOGETHER  # for each waveguide: real, imaginary parts, and the place of its light
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _lift(
    xr: Vector, xi: Vector, yr: Vector, yi: Vector, record: int, place: int
) -> tuple[Vector, Vector, Vector, Vector]:
    """Return the light in both arms behind an interferometer."""
    real, imag = spread_at(record, place), spread_at(record, place + 1)
    xr, xi = xr + real * yr - imag * yi, xi + real * yi + imag * yr
    real, imag = spread_at(record, place + 2), spread_at(record, place + 3)
    return xr, xi, yr + real * xr - imag * xi, yi + real * xi + imag * xr


@jit(fastmath=_CONTRACT)
def _follow(field: int, record: int, first: int, links: int) -> None:
    """Send `INPUTS` inputs' light through a piece of a chain that begins with record `first`."""
    place = RECORD * first
    x, y = integer_at(record, place + 4), integer_at(record, place + 5)
    xr, xi = load_singles(field, x), load_singles(field, x + INPUTS)
    cr, ci = load_singles(field, y), load_singles(field, y + INPUTS)
    xr, xi, cr, ci = _lift(xr, xi, cr, ci, record, place)
    store(field, x, xr)
    store(field, x + INPUTS, xi)
    for _ in range(links):
        carried = y
        joint, place = place + RECORD, place + 2 * RECORD
        x, y = integer_at(record, place + 4), integer_at(record, place + 5)
        xr, xi = load_singles(field, x), load_singles(field, x + INPUTS)
        yr, yi = load_singles(field, y), load_singles(field, y + INPUTS)
        xr, xi, yr, yi = _lift(xr, xi, yr, yi, record, place)
        cr, ci, xr, xi = _lift(cr, ci, xr, xi, record, joint)
        store(field, carried, cr)
        store(field, carried + INPUTS, ci)
        store(field, x, xr)
        store(field, x + INPUTS, xi)
        cr, ci = yr, yi
    store(field, y, cr)
    store(field, y + INPUTS, ci)


@jit(fastmath=_CONTRACT)
def _scale(field: int, waveguides: int, factors: int, lane: int) -> None:
    """Multiply the light of each waveguide by what it owed."""
    for n in range(waveguides):
        k = OWED * n + lane
        i = integer_at(factors, k + 2 * TOGETHER)
        real, imag = spread_at(factors, k), spread_at(factors, k + TOGETHER)
        xr, xi = load_singles(field, i), load_singles(field, i + INPUTS)
        store(field, i, real * xr - imag * xi)
        store(field, i + INPUTS, real * xi + imag * xr)


@jit(fastmath=_CONTRACT)
def _unload(
    light: int, field: Singles, factors: int, lane: int, begin: int, result: Singles
) -> None:
    """Copy the real part of what leaves the ports to columns from `begin` on of `result`."""
    ports = result.shape[0]
    target, together = address(result), min(INPUTS, ports - begin)
    for n in range(ports):
        k = OWED * n + lane
        i = integer_at(factors, k + 2 * TOGETHER)
        real, imag = spread_at(factors, k), spread_at(factors, k + TOGETHER)
        left = real * load_singles(light, i) - imag * load_singles(light, i + INPUTS)
        if together == INPUTS:
            store(target, n * ports + begin, left)
        else:
            store(light, i, left)
            for j in range(together):
                result[n, begin + j] = field[i + j]


@jit(fastmath=_CONTRACT)
def shine(
    lane: int,
    records: Singles,
    paid: Singles,
    mzis: int,
    chains: Chains,
    field: Singles,
    result: Singles,
) -> None:
    """Fill the matrix of one of eight tiles."""
    ports, stages, waveguides = result.shape[0], chains.ends.size, field.size // ROW
    light, factors, start = address(field), address(paid), address(records)
    start += 4 * lane * (records.size // TOGETHER)
    everywhere = chains.bounds.shape[0] - 1
    for block in range(everywhere):
        begin = block * INPUTS
        field[:] = 0.0
        for i in range(min(INPUTS, ports - begin)):
            field[(begin + i) * ROW + i] = 1.0
        for stage in range(2 * stages):
            mesh, part = divmod(stage, stages)
            bounds = chains.bounds[everywhere if mesh else block]
            for r in range(bounds[part], bounds[part + 1]):
                _follow(light, start, mesh * mzis + chains.run[r, 0], chains.run[r, 1])
            if stage + 1 < 2 * stages:
                _scale(light, waveguides, factors + 4 * stage * paid.shape[1], lane)
        last = factors + 4 * (2 * stages - 1) * paid.shape[1]
        _unload(light, field, last, lane, begin, result)
