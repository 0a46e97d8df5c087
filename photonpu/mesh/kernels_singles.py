"""The matrices of tiles on a chip in single precision, as fast as light can be followed.

Behind an interferometer ``[[P, Q], [R, S]]`` whose inputs still owe factors, taken into its
columns, the light is ``diag(P, S) [[1, Q / P], [R / S, 1]]`` times what is stored of it: P and S
are owed further, and half of the products are saved. Where Q is larger than P the waveguides
change places instead: ``diag(Q, R) [[P / Q, 1], [1, S / R]]``. What is owed shrinks by at most the
root of a half and the loss at each; before it leaves the range of single precision it is paid.

A field is ``(W, 2, INPUTS)`` numbers in a row, as in `kernels_light`, but its rows are in the
order in which waveguides have changed places, each tile in its own.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_lanes import (
    Cores,
    meet,
    set_attenuators,
    set_mesh,
    turn_lanes,
)
from photonpu.mesh.kernels_moves import integer_at, spread_at, store_across
from photonpu.mesh.values import Couplings, Errors, Plan
from photonpu.simd import DOUBLE_LANES as TOGETHER
from photonpu.simd import LANES as INPUTS
from photonpu.simd import (
    Vector,
    address,
    load_doubles,
    load_eights,
    load_singles,
    spread_doubles,
    spread_eights,
    spread_singles,
    store,
    where_less,
)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_ROW = 2 * INPUTS
_RECORD = 8  # numbers for each interferometer
_OWED = 3 * TOGETHER  # for each waveguide: real, imaginary parts, and the place of its light
_SMALLEST_BITS = 50.0  # what is owed stays above 2^-50, and its square above 2^-100
_CONTRACT = frozenset({"contract"})


@jit()
def _stages(plan: Plan, gain: Floats) -> Ints:
    """Return where in the order of interferometers all that is owed is paid; the end is last."""
    weakest = max(gain.min(), 1e-12)
    most = max(1, int(_SMALLEST_BITS / (0.5 - math.log2(weakest))))
    met = np.zeros(plan.waveguides, np.int32)
    ends = np.empty(plan.row.size + 1, np.int32)
    count = 0
    for k in range(plan.row.size):
        m, p = plan.row[k], plan.partner[k]
        if max(met[m], met[p]) == most:
            ends[count] = k
            count += 1
            met[:] = 0
        met[m] += 1
        met[p] += 1
    ends[count] = plan.row.size
    return ends[: count + 1]


@jit()
def _cone(plan: Plan, ports: int) -> Bytes:
    """Return (blocks, K): whether light from each block of inputs reaches an interferometer."""
    blocks = -(-ports // INPUTS)
    result = np.zeros((blocks, plan.row.size), np.uint8)
    for b in range(blocks):
        lit = np.zeros(plan.waveguides, np.uint8)
        lit[b * INPUTS : min(ports, (b + 1) * INPUTS)] = 1
        for k in range(plan.row.size):
            m, p = plan.row[k], plan.partner[k]
            lit[m] = lit[p] = result[b, k] = lit[m] | lit[p]
    return result


@jit(fastmath=_CONTRACT)
def _times(xr: Vector, xi: Vector, yr: Vector, yi: Vector) -> tuple[Vector, Vector]:
    """Return real and imaginary parts of x y."""
    return xr * yr - xi * yi, xr * yi + xi * yr


@jit(fastmath=_CONTRACT)
def _over(xr: Vector, xi: Vector, yr: Vector, yi: Vector) -> tuple[Vector, Vector]:
    """Return real and imaginary parts of x / y."""
    inverse = spread_eights(np.float32(1.0)) / (yr * yr + yi * yi)
    return (xr * yr + xi * yi) * inverse, (xi * yr - xr * yi) * inverse


@jit(fastmath=_CONTRACT)
def _write_records(
    first: int,
    last: int,
    plan: Plan,
    met: Floats,
    sines: Singles,
    owed: Singles,
    records: Singles,
    begin: int,
) -> None:
    """Write what eight tiles' interferometers do to stored light; change what is owed.

    A record is what of the second row is added to the first, what of the first to the second,
    real and imaginary parts of each, and the places of both rows. That of interferometer k is
    number ``begin + k`` of each tile's.
    """
    mzis, half = plan.row.size, spread_doubles(0.5)
    start, pitch = address(records), records.size // TOGETHER
    none = spread_eights(np.float32(0.0))
    for k in range(first, last):
        s, c = turn_lanes(half * load_doubles(met, TOGETHER * k))
        outer_imag, outer_real = turn_lanes(load_doubles(met, TOGETHER * (mzis + k)))
        s_plus, c_plus = spread_eights(sines[k, 0]), spread_eights(sines[k, 1])
        s_minus, c_minus = spread_eights(sines[k, 2]), spread_eights(sines[k, 3])
        gain = spread_eights(sines[k, 4])
        ss, sc, cc = s * s, s * c, c * c
        m, p = _OWED * plan.row[k], _OWED * plan.partner[k]
        ur, ui = load_eights(owed, m), load_eights(owed, m + TOGETHER)
        lr, li = load_eights(owed, p), load_eights(owed, p + TOGETHER)
        row, other = load_eights(owed, m + 2 * TOGETHER), load_eights(owed, p + 2 * TOGETHER)
        ur, ui = _times(outer_real, outer_imag, ur, ui)
        ar, ai = none - cc * s_plus - ss * c_minus, sc * (c_minus - s_plus)
        br, bi = none - sc * (s_minus + c_plus), cc * c_plus - ss * s_minus
        across = ar * ar + ai * ai
        past = br * br + bi * bi
        pr, pi = _times(ar, ai, ur, ui)
        qr, qi = _times(br, bi, lr, li)
        rr, ri = _times(sc * (s_minus - c_plus), cc * c_plus + ss * s_minus, ur, ui)
        sr, si = _times(ss * c_minus - cc * s_plus, none - sc * (c_minus + s_plus), lr, li)
        xr, xi = where_less(across, past, sr, qr), where_less(across, past, si, qi)
        yr, yi = where_less(across, past, rr, pr), where_less(across, past, ri, pi)
        zr, zi = where_less(across, past, pr, rr), where_less(across, past, pi, ri)
        wr, wi = where_less(across, past, qr, sr), where_less(across, past, qi, si)
        x_real, x_imag = _over(xr, xi, yr, yi)
        z_real, z_imag = _over(zr, zi, wr, wi)
        store(owed, m, gain * where_less(across, past, wr, yr))
        store(owed, m + TOGETHER, gain * where_less(across, past, wi, yi))
        store(owed, p, gain * where_less(across, past, yr, wr))
        store(owed, p + TOGETHER, gain * where_less(across, past, yi, wi))
        store(owed, m + 2 * TOGETHER, where_less(across, past, other, row))
        store(owed, p + 2 * TOGETHER, where_less(across, past, row, other))
        place = _RECORD * (begin + k)
        store_across(start, pitch, place, x_real, x_imag, z_real, z_imag, row, other, none, none)


@jit(fastmath=_CONTRACT)
def _factor_ends(met: Floats, first: int, last: int, scale: float, factors: Singles) -> None:
    """Fill (N, 2, TOGETHER) `factors` with ``scale e^{i phase}`` of phases from `first` on."""
    size = spread_eights(np.float32(scale))
    for n in range(last - first):
        imag, real = turn_lanes(load_doubles(met, TOGETHER * (first + n)))
        store(factors, 2 * TOGETHER * n, size * real)
        store(factors, 2 * TOGETHER * n + TOGETHER, size * imag)


@jit(fastmath=_CONTRACT)
def _factor_line(met: Floats, sines: Singles, factors: Singles) -> None:
    """Multiply `factors` by what attenuators of internal phases `met` let through."""
    half = spread_doubles(0.5)
    for n in range(sines.shape[0]):
        s, c = turn_lanes(half * load_doubles(met, TOGETHER * n))
        gain, place = spread_eights(sines[n, 4]), 2 * TOGETHER * n
        through, leak = gain * s * spread_eights(sines[n, 3]), gain * c * spread_eights(sines[n, 0])
        real, imag = load_eights(factors, place), load_eights(factors, place + TOGETHER)
        real, imag = _times(real, imag, through, leak)
        store(factors, place, real)
        store(factors, place + TOGETHER, imag)


@jit(fastmath=_CONTRACT)
def _owe(owed: Singles, factors: Singles) -> None:
    """Multiply what light owes at the ports; it is blocked elsewhere."""
    ports, waveguides = factors.size // (2 * TOGETHER), owed.size // _OWED
    for n in range(ports):
        real, imag = load_eights(owed, _OWED * n), load_eights(owed, _OWED * n + TOGETHER)
        place = 2 * TOGETHER * n
        turned, tilted = load_eights(factors, place), load_eights(factors, place + TOGETHER)
        real, imag = _times(real, imag, turned, tilted)
        store(owed, _OWED * n, real)
        store(owed, _OWED * n + TOGETHER, imag)
    for n in range(ports, waveguides):
        owed[_OWED * n : _OWED * n + 2 * TOGETHER] = 0.0


@jit(fastmath=_CONTRACT)
def _pay(owed: Singles, paid: Singles) -> None:
    """Copy what is owed, and where the light is, to `paid`; from there on nothing is owed."""
    paid[:] = owed
    for n in range(owed.size // _OWED):
        owed[_OWED * n : _OWED * n + TOGETHER] = 1.0
        owed[_OWED * n + TOGETHER : _OWED * n + 2 * TOGETHER] = 0.0


@jit(fastmath=_CONTRACT)
def _programmed(
    phases: tuple[Floats, Floats, Floats, Floats],
    tiles: Longs,
    core: int,
    cores: Cores,
    errors: Errors,
    plan: Plan,
    ends: Ints,
    couplings: tuple[Couplings, Couplings],
    scale: float,
    records: Singles,
    paid: Singles,
) -> None:
    """Fill records and what is paid behind each stage of eight tiles."""
    theta, phi, psi, attenuator = phases
    mzis, ports = plan.row.size, attenuator.shape[1]
    owed = np.zeros(_OWED * plan.waveguides, np.float32)
    for n in range(plan.waveguides):
        place = _OWED * n + 2 * TOGETHER
        owed[place : place + TOGETHER].view(np.int32)[:] = n * _ROW
    _pay(owed, paid[0])
    lacking = np.zeros(TOGETHER * plan.waveguides)
    coded = np.empty(TOGETHER * (2 * mzis + ports))
    met = np.empty_like(coded) if couplings[0].strength.size else coded
    set_line, line = np.empty(TOGETHER * ports), np.empty(TOGETHER * ports)
    factors = np.empty(2 * TOGETHER * ports, np.float32)
    stage = 0
    for mesh in range(2):
        places = (tiles * 2 + mesh) * mzis, (tiles * 2 + mesh) * ports
        stuck, error = errors.stuck[core, mesh], errors.mesh[core, mesh]
        wanted, response = cores.wanted[core, mesh], errors.response[core, mesh]
        set_mesh((theta, phi, psi), places, lacking, plan, wanted, stuck, response, coded)
        meet(coded, couplings[0], error, met)
        _factor_ends(met, 2 * mzis, 2 * mzis + ports, scale if mesh else 1.0, factors)
        if mesh == 0:
            wanted, dead = cores.line_wanted[core], errors.attenuator_stuck[core]
            response = errors.attenuator_response[core]
            lacking[:] = 0.0
            set_attenuators(
                attenuator, tiles * ports, lacking, plan, wanted, dead, response, set_line
            )
            meet(set_line, couplings[1], errors.attenuator[core], line)
            _factor_line(line, cores.line_met[core], factors)
        first = 0
        for last in ends:
            sines = cores.met[core, mesh]
            _write_records(first, last, plan, met, sines, owed, records, mesh * mzis)
            if last == mzis:
                _owe(owed, factors)
            _pay(owed, paid[stage])
            first, stage = last, stage + 1


@jit(fastmath=_CONTRACT)
def _mix(field: int, record: int, k: int) -> None:
    """Send `INPUTS` inputs' light through the interferometer of record `k`."""
    place = _RECORD * k
    x, y = integer_at(record, place + 4), integer_at(record, place + 5)
    xr, xi = load_singles(field, x), load_singles(field, x + INPUTS)
    yr, yi = load_singles(field, y), load_singles(field, y + INPUTS)
    ar, ai = spread_at(record, place), spread_at(record, place + 1)
    store(field, x, xr + ar * yr - ai * yi)
    store(field, x + INPUTS, xi + ar * yi + ai * yr)
    br, bi = spread_at(record, place + 2), spread_at(record, place + 3)
    store(field, y, yr + br * xr - bi * xi)
    store(field, y + INPUTS, yi + br * xi + bi * xr)


@jit(fastmath=_CONTRACT)
def _scale(field: Singles, factors: Singles, places: Ints, lane: int) -> None:
    """Multiply the light of each waveguide by what it owed."""
    for n in range(field.size // _ROW):
        i = places[_OWED * n + 2 * TOGETHER + lane]
        real = spread_singles(factors[_OWED * n + lane])
        imag = spread_singles(factors[_OWED * n + TOGETHER + lane])
        xr, xi = load_singles(field, i), load_singles(field, i + INPUTS)
        store(field, i, real * xr - imag * xi)
        store(field, i + INPUTS, real * xi + imag * xr)


@jit(fastmath=_CONTRACT)
def _unload(
    field: Singles, factors: Singles, places: Ints, lane: int, begin: int, result: Singles
) -> None:
    """Copy the real part of what leaves the ports to columns from `begin` on of `result`."""
    ports = result.shape[0]
    for n in range(ports):
        i = places[_OWED * n + 2 * TOGETHER + lane]
        real, imag = factors[_OWED * n + lane], factors[_OWED * n + TOGETHER + lane]
        for j in range(min(INPUTS, ports - begin)):
            result[n, begin + j] = real * field[i + j] - imag * field[i + INPUTS + j]


@jit(fastmath=_CONTRACT)
def _shine(
    lane: int,
    records: Singles,
    paid: Singles,
    plan: Plan,
    ends: Ints,
    cone: Bytes,
    field: Singles,
    result: Singles,
) -> None:
    """Fill the matrix of one of eight tiles."""
    mzis, ports = plan.row.size, result.shape[0]
    places = paid.view(np.int32)
    start, light = address(records), address(field)
    start += 4 * lane * (records.size // TOGETHER)
    for block in range(cone.shape[0]):
        begin = block * INPUTS
        field[:] = 0.0
        for i in range(min(INPUTS, ports - begin)):
            field[(begin + i) * _ROW + i] = 1.0
        stage = 0
        for mesh in range(2):
            first = 0
            for last in ends:
                for k in range(first, last):
                    if mesh == 1 or cone[block, k]:
                        _mix(light, start, mesh * mzis + k)
                if stage + 1 < paid.shape[0]:
                    _scale(field, paid[stage], places[stage], lane)
                first, stage = last, stage + 1
        _unload(field, paid[stage - 1], places[stage - 1], lane, begin, result)


@jit(parallel=True, fastmath=_CONTRACT)
def tile_singles(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    attenuator: Floats,
    groups: Longs,
    counts: Longs,
    core: Ints,
    cores: Cores,
    errors: Errors,
    plan: Plan,
    within: Couplings,
    line: Couplings,
    scale: float,
    result: Singles,
) -> Singles:
    """Fill `result` (T, N, N) with the real part of tiles' field transfer, times `scale`.

    What the field transfer is says `photonpu.mesh.reference.tile_matrices`; the arms of each
    interferometer lose alike here.
    `groups` is (G, TOGETHER): tiles of one core, of which the first ``counts[g]`` count.
    """
    ends = _stages(plan, errors.gain)
    cone = _cone(plan, attenuator.shape[1])
    for g in prange(len(groups)):
        # A pitch of a power of two between tiles would have them fight for the same cache lines.
        records = np.empty(TOGETHER * (2 * _RECORD * plan.row.size + INPUTS), np.float32)
        paid = np.empty((2 * len(ends), _OWED * plan.waveguides), np.float32)
        field = np.empty(_ROW * plan.waveguides, np.float32)
        phases = theta, phi, psi, attenuator
        chosen = core[groups[g, 0]]
        couplings = within, line
        _programmed(
            phases, groups[g], chosen, cores, errors, plan, ends, couplings, scale, records, paid
        )
        for lane in range(counts[g]):
            _shine(lane, records, paid, plan, ends, cone, field, result[groups[g, lane]])
    return result
