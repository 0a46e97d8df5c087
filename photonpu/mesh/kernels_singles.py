"""The matrices of tiles on a chip in single precision, as fast as light can be followed.

Of an interferometer ``[[P, Q], [R, S]]`` whose inputs still owe factors, taken into its columns,
two products are saved: ``diag(P, D) [[1, 0], [R / D, 1]] [[1, Q / P], [0, 1]]`` with
``D = S - R Q / P``, and P and D are owed further. Where Q is larger than P the waveguides change
places instead. What is owed changes by at most the root of two and the loss at each; before it
leaves the range of single precision it is paid.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_chains import Chains, chains
from photonpu.mesh.kernels_lanes import (
    CHUNK,
    Cores,
    meet,
    set_attenuators,
    set_ends,
    set_mesh,
)
from photonpu.mesh.kernels_moves import store_across
from photonpu.mesh.kernels_rows import write
from photonpu.mesh.kernels_shine import OWED, RECORD, ROW, shine
from photonpu.mesh.kernels_turns import turn_lanes
from photonpu.mesh.values import Couplings, Errors, Plan, Rows
from photonpu.simd import DOUBLE_LANES as TOGETHER
from photonpu.simd import LANES as INPUTS
from photonpu.simd import (
    Vector,
    address,
    keep,
    load_doubles,
    load_eights,
    spread_doubles,
    spread_eights,
    store,
    where_less,
)
from photonpu.tasks import take

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

_SMALLEST_BITS = 50.0  # what is owed stays between 2^-50 and 2^50, its squares in range
_CONTRACT = frozenset({"contract"})


@jit()
def chains_of(plan: Plan, ports: int, gain: Floats) -> Chains:
    """Return the chains of a mesh; of `gain` the least says how often what is owed is paid."""
    weakest = max(gain.min(), 1e-12)
    most = max(1, int(_SMALLEST_BITS / (0.5 - math.log2(weakest))))
    return chains(plan, ports, INPUTS, most)


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
def _turn(first: int, last: int, mzis: int, met: Floats, turned: Singles) -> None:
    """Fill `turned` with sine and cosine of half of theta, and of phi, of eight tiles."""
    half = spread_doubles(0.5)
    for k in range(first, last):
        place = 4 * TOGETHER * (k - first)
        sine, cosine = turn_lanes(half * load_doubles(met, TOGETHER * k))
        store(turned, place, sine)
        store(turned, place + TOGETHER, cosine)
        sine, cosine = turn_lanes(load_doubles(met, TOGETHER * (mzis + k)))
        store(turned, place + 2 * TOGETHER, sine)
        store(turned, place + 3 * TOGETHER, cosine)


@jit(fastmath=_CONTRACT)
def _write_records(
    first: int,
    last: int,
    plan: Plan,
    chains: Chains,
    turned: Singles,
    sines: Singles,
    owed: Singles,
    records: Singles,
    begin: int,
) -> None:
    """Write what eight tiles' interferometers do to stored light; change what is owed.

    A record is what of the second row is first added to the first, what of the first then to the
    second, real and imaginary parts of each, and the places of both rows. The record of the
    interferometer at place k is number ``begin + k`` of each tile's.
    """
    start, pitch = address(records), records.size // TOGETHER
    none = spread_eights(np.float32(0.0))
    for k in range(first, last):
        at = 4 * TOGETHER * (k - first)
        s, c = load_eights(turned, at), load_eights(turned, at + TOGETHER)
        outer_imag = load_eights(turned, at + 2 * TOGETHER)
        outer_real = load_eights(turned, at + 3 * TOGETHER)
        s_plus, c_plus = spread_eights(sines[k, 0]), spread_eights(sines[k, 1])
        s_minus, c_minus = spread_eights(sines[k, 2]), spread_eights(sines[k, 3])
        gain = spread_eights(sines[k, 4])
        ss, sc, cc = s * s, s * c, c * c
        m, p = OWED * plan.row[k], OWED * plan.partner[k]
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
        if chains.joins[k]:
            zr, zi = where_less(across, past, rr, pr), where_less(across, past, ri, pi)
            wr, wi = where_less(across, past, sr, qr), where_less(across, past, si, qi)
            yr, yi = where_less(across, past, pr, rr), where_less(across, past, pi, ri)
            vr, vi = where_less(across, past, qr, sr), where_less(across, past, qi, si)
        else:
            zr, zi = where_less(across, past, qr, pr), where_less(across, past, qi, pi)
            wr, wi = where_less(across, past, pr, qr), where_less(across, past, pi, qi)
            yr, yi = where_less(across, past, sr, rr), where_less(across, past, si, ri)
            vr, vi = where_less(across, past, rr, sr), where_less(across, past, ri, si)
        xr, xi = _over(wr, wi, zr, zi)
        vr, vi = vr - yr * xr + yi * xi, vi - yr * xi - yi * xr
        yr, yi = _over(yr, yi, vr, vi)
        zr, zi, vr, vi = gain * zr, gain * zi, gain * vr, gain * vi
        upper, lower = where_less(across, past, other, row), where_less(across, past, row, other)
        store(owed, m + 2 * TOGETHER, upper)
        store(owed, p + 2 * TOGETHER, lower)
        place = RECORD * (begin + chains.place[k])
        if chains.joins[k]:
            store(owed, m, where_less(across, past, vr, zr))
            store(owed, m + TOGETHER, where_less(across, past, vi, zi))
            store(owed, p, where_less(across, past, zr, vr))
            store(owed, p + TOGETHER, where_less(across, past, zi, vi))
            store_across(start, pitch, place, xr, xi, yr, yi, row, other, none, none)
        else:
            store(owed, m, zr)
            store(owed, m + TOGETHER, zi)
            store(owed, p, vr)
            store(owed, p + TOGETHER, vi)
            store_across(start, pitch, place, xr, xi, yr, yi, upper, lower, none, none)


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
    ports, waveguides = factors.size // (2 * TOGETHER), owed.size // OWED
    for n in range(ports):
        real, imag = load_eights(owed, OWED * n), load_eights(owed, OWED * n + TOGETHER)
        place = 2 * TOGETHER * n
        turned, tilted = load_eights(factors, place), load_eights(factors, place + TOGETHER)
        real, imag = _times(real, imag, turned, tilted)
        store(owed, OWED * n, real)
        store(owed, OWED * n + TOGETHER, imag)
    for n in range(ports, waveguides):
        owed[OWED * n : OWED * n + 2 * TOGETHER] = 0.0


@jit(fastmath=_CONTRACT)
def _pay(owed: Singles, paid: Singles) -> None:
    """Copy what is owed, and where the light is, to `paid`; from there on nothing is owed."""
    paid[:] = owed
    for n in range(owed.size // OWED):
        owed[OWED * n : OWED * n + TOGETHER] = 1.0
        owed[OWED * n + TOGETHER : OWED * n + 2 * TOGETHER] = 0.0


@jit(fastmath=_CONTRACT)
def _programmed(
    phases: tuple[Floats, Floats, Floats, Floats],
    tiles: Longs,
    core: int,
    cores: Cores,
    errors: Errors,
    plan: Plan,
    chains: Chains,
    couplings: tuple[Couplings, Couplings],
    scale: float,
    records: Singles,
    paid: Singles,
) -> None:
    """Fill records and what is paid behind each stage of eight tiles."""
    theta, phi, psi, attenuator = phases
    mzis, ports = plan.row.size, attenuator.shape[1]
    owed = np.zeros(OWED * plan.waveguides, np.float32)
    for n in range(plan.waveguides):
        place = OWED * n + 2 * TOGETHER
        owed[place : place + TOGETHER].view(np.int32)[:] = n * ROW
    _pay(owed, paid[0])
    lacking = np.zeros(TOGETHER * plan.waveguides)
    coded = np.empty(TOGETHER * (2 * mzis + ports))
    # Where shifters heat each other, all have to be set before light meets the first of them.
    heated = couplings[0].strength.size > 0
    met = np.empty_like(coded) if heated else coded
    ratios, turned = np.empty(3 * TOGETHER * CHUNK), np.empty(4 * TOGETHER * CHUNK, np.float32)
    set_line, line = np.empty(TOGETHER * ports), np.empty(TOGETHER * ports)
    factors = np.empty(2 * TOGETHER * ports, np.float32)
    stage = 0
    for mesh in range(2):
        places = (tiles * 2 + mesh) * mzis, (tiles * 2 + mesh) * ports
        stuck, error = errors.stuck[core, mesh], errors.mesh[core, mesh]
        wanted, response = cores.wanted[core, mesh], errors.response[core, mesh]
        sines, nominal = cores.met[core, mesh], (theta, phi)
        first = 0
        if heated:
            while first < mzis:
                last = min(mzis, first + CHUNK)
                set_mesh(
                    first,
                    last,
                    nominal,
                    places[0],
                    lacking,
                    plan,
                    wanted,
                    stuck,
                    response,
                    ratios,
                    coded,
                )
                first = last
            set_ends(psi, places[1], lacking, plan, stuck, response, coded)
            meet(0, error.size, coded, couplings[0], error, met)
        first = 0
        for end in chains.ends:
            while first < end:
                last = min(end, first + CHUNK)
                if not heated:
                    set_mesh(
                        first,
                        last,
                        nominal,
                        places[0],
                        lacking,
                        plan,
                        wanted,
                        stuck,
                        response,
                        ratios,
                        coded,
                    )
                    meet(first, last, coded, couplings[0], error, met)
                    meet(mzis + first, mzis + last, coded, couplings[0], error, met)
                _turn(first, last, mzis, met, turned)
                _write_records(first, last, plan, chains, turned, sines, owed, records, mesh * mzis)
                first = last
            if end == mzis:
                if not heated:
                    set_ends(psi, places[1], lacking, plan, stuck, response, coded)
                    meet(2 * mzis, error.size, coded, couplings[0], error, met)
                _factor_ends(met, 2 * mzis, error.size, scale if mesh else 1.0, factors)
                if mesh == 0:
                    wanted, dead = cores.line_wanted[core], errors.attenuator_stuck[core]
                    response = errors.attenuator_response[core]
                    lacking[:] = 0.0
                    set_attenuators(
                        attenuator, tiles * ports, lacking, plan, wanted, dead, response, set_line
                    )
                    meet(0, ports, set_line, couplings[1], errors.attenuator[core], line)
                    _factor_line(line, cores.line_met[core], factors)
                _owe(owed, factors)
            _pay(owed, paid[stage])
            stage += 1


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
    chained: Chains,
    within: Couplings,
    line: Couplings,
    scale: float,
    rows: Rows,
    result: Singles,
) -> Singles:
    """Write the real part of tiles' field transfer, times `scale`, where `rows` says.

    What the field transfer is says `photonpu.mesh.reference.tile_matrices`; the arms of each
    interferometer lose alike here. `result` takes the matrices themselves, where it is (T, N, N);
    it may be (0, N, N).
    `groups` is (G, TOGETHER): tiles of one core, of which the first ``counts[g]`` count.
    """
    mzis, stages = plan.row.size, len(chained.ends)
    tasks, taken = len(groups), np.zeros(1, np.int64)
    for _ in prange(tasks):  # the first of each thread does all of its work
        g = take(taken)
        while g < tasks:
            # A pitch of a power of two would have tiles fight for the same lines of the cache.
            records = np.empty(TOGETHER * (2 * RECORD * mzis + INPUTS), np.float32)
            paid = np.empty((2 * stages, OWED * plan.waveguides), np.float32)
            field = np.empty(ROW * plan.waveguides, np.float32)
            own = np.empty(result.shape[1:], np.float32)
            phases = theta, phi, psi, attenuator
            chosen = core[groups[g, 0]]
            couplings = within, line
            _programmed(
                phases,
                groups[g],
                chosen,
                cores,
                errors,
                plan,
                chained,
                couplings,
                scale,
                records,
                paid,
            )
            for lane in range(counts[g]):
                tile = groups[g, lane]
                matrix = result[tile] if tile < len(result) else own
                shine(lane, records, paid, mzis, chained, field, matrix)
                write(matrix, tile, chosen, rows)
            keep(own)
            g = take(taken)
    return result
