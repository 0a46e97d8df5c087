"""The phases of eight tiles of one core at a time, as their chip makes them.

One lane of a vector is one tile; what they compute is in `photonpu.mesh.reference`. Phases are
corrected, rounded and moved in double precision.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import arctan2_lanes, wrap, wrap_lanes
from photonpu.mesh.kernels_moves import gather_doubles
from photonpu.mesh.values import Couplings, Errors, Plan, Splitters
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import (
    Vector,
    address,
    doubles_to_eights,
    load_doubles,
    spread_eights,
    store,
    where_less,
)
from photonpu.simd import floor_doubles as floor
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as sqrt

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

SINES = 5
_TURN = 2.0 * math.pi
_CONTRACT = frozenset({"contract"})


class Cores(NamedTuple):
    """What the interferometers and attenuators of a chip's cores need of splitters and losses.

    Attributes
    ----------
    wanted, line_wanted
        (C, 2, K, SINES) and (C, N, SINES): sine and cosine of the sum of the two splitters'
        errors that a correction knows, of their difference, and the reciprocal of the span of
        splits that can be reached.
    met, line_met
        The same of the errors that light meets, but with the gain at the end.
    """

    wanted: Floats
    line_wanted: Floats
    met: Singles
    line_met: Singles


def cores(known: Splitters, actual: Splitters, errors: Errors) -> Cores:
    """Return what can be computed once for all tiles of a chip."""
    wanted, line_wanted = (
        _sines(into, out)
        for into, out in (
            (known.into, known.out),
            (known.attenuator_into, known.attenuator_out),
        )
    )
    for sines in (wanted, line_wanted):
        sines[..., 4] = 1.0 / (sines[..., 3] ** 2 - sines[..., 0] ** 2)
    met = _sines(actual.into, actual.out)
    line_met = _sines(actual.attenuator_into, actual.attenuator_out)
    met[..., 4], line_met[..., 4] = errors.gain, errors.attenuator_gain
    return Cores(wanted, line_wanted, met.astype(np.float32), line_met.astype(np.float32))


def _sines(into: Floats, out: Floats) -> Floats:
    """Return (..., SINES), of which the last is still to be filled."""
    result = np.empty((*into.shape, SINES))
    for place, angle in ((0, into + out), (2, into - out)):
        result[..., place], result[..., place + 1] = np.sin(angle), np.cos(angle)
    return result


@jit(fastmath=_CONTRACT)
def _reduced(x: Vector) -> tuple[Vector, Vector]:
    """Return `x` less the nearest multiple of pi/2, and which multiple it is, from 0 to 3."""
    n = floor(x * spread(2.0 / math.pi) + spread(0.5))
    y = x - n * spread(1.5707963267341256)
    y = y - n * spread(6.077100506303966e-11)
    y = y - n * spread(2.0222662487959506e-21)
    return y, n - spread(4.0) * floor(spread(0.25) * n)


@jit(fastmath=_CONTRACT)
def sincos_lanes(x: Vector) -> tuple[Vector, Vector]:
    """Return what `sincos` does, lane by lane."""
    y, quadrant = _reduced(x)
    z = y * y
    sine = spread(-1.0 / 1307674368000.0)
    sine = sine * z + spread(1.0 / 6227020800.0)
    sine = sine * z + spread(-1.0 / 39916800.0)
    sine = sine * z + spread(1.0 / 362880.0)
    sine = sine * z + spread(-1.0 / 5040.0)
    sine = sine * z + spread(1.0 / 120.0)
    sine = sine * z + spread(-1.0 / 6.0)
    sine = y + y * (z * sine)
    cosine = spread(1.0 / 20922789888000.0)
    cosine = cosine * z + spread(-1.0 / 87178291200.0)
    cosine = cosine * z + spread(1.0 / 479001600.0)
    cosine = cosine * z + spread(-1.0 / 3628800.0)
    cosine = cosine * z + spread(1.0 / 40320.0)
    cosine = cosine * z + spread(-1.0 / 720.0)
    cosine = cosine * z + spread(1.0 / 24.0)
    cosine = cosine * z + spread(-0.5)
    cosine = spread(1.0) + z * cosine
    odd = quadrant - spread(2.0) * floor(spread(0.5) * quadrant)
    first = where_less(spread(0.5), odd, cosine, sine)
    second = where_less(spread(0.5), odd, sine, cosine)
    first = where_less(spread(1.5), quadrant, -first, first)
    second = where_less(size(quadrant - spread(1.5)), spread(1.0), -second, second)
    return first, second


@jit(fastmath=_CONTRACT)
def turn_lanes(x: Vector) -> tuple[Vector, Vector]:
    """Return sine and cosine in single precision, each within 1e-7 for ``|x| < 1e5``."""
    reduced, multiple = _reduced(x)
    y, quadrant = doubles_to_eights(reduced), doubles_to_eights(multiple)
    zero, half = spread_eights(np.float32(0.0)), spread_eights(np.float32(0.5))
    z = y * y
    sine = spread_eights(np.float32(1.0 / 362880.0))
    sine = sine * z + spread_eights(np.float32(-1.0 / 5040.0))
    sine = sine * z + spread_eights(np.float32(1.0 / 120.0))
    sine = sine * z + spread_eights(np.float32(-1.0 / 6.0))
    sine = y + y * (z * sine)
    cosine = spread_eights(np.float32(-1.0 / 3628800.0))
    cosine = cosine * z + spread_eights(np.float32(1.0 / 40320.0))
    cosine = cosine * z + spread_eights(np.float32(-1.0 / 720.0))
    cosine = cosine * z + spread_eights(np.float32(1.0 / 24.0))
    cosine = cosine * z - half
    cosine = spread_eights(np.float32(1.0)) + z * cosine
    odd = doubles_to_eights(multiple - spread(2.0) * floor(spread(0.5) * multiple))
    middle = quadrant - spread_eights(np.float32(1.5))
    first = where_less(half, odd, cosine, sine)
    second = where_less(half, odd, sine, cosine)
    first = where_less(zero, middle, zero - first, first)
    inner = where_less(middle * middle, spread_eights(np.float32(1.0)), zero - second, second)
    return first, inner


@jit(fastmath=_CONTRACT)
def _between(x: Vector) -> Vector:
    """Return `x`, at least 0 and at most 1."""
    zero, one = spread(0.0), spread(1.0)
    above = where_less(x, zero, zero, x)
    both: Vector = where_less(one, above, one, above)
    return both


@jit(fastmath=_CONTRACT)
def _reach(half: Vector, s_plus: float, s_minus: float, inverse: float) -> tuple[Vector, Vector]:
    """Return sine and cosine of half the theta that splits as perfect splitters do with `half`.

    Where there is none they come nearest.
    """
    s, c = sincos_lanes(half)
    scale = spread(inverse)
    return (
        sqrt(_between((s * s - spread(s_plus * s_plus)) * scale)),
        sqrt(_between((c * c - spread(s_minus * s_minus)) * scale)),
    )


@jit(fastmath=_CONTRACT)
def _coded(phase: Vector, step: float, unit_phase: float, stuck: float) -> Vector:
    """Return the settings that converters make of `phase`, or that of a dead shifter."""
    phase = wrap_lanes(phase)
    code: Vector = phase
    zero, half, one = spread(0.0), spread(0.5), spread(1.0)
    if unit_phase > 0.0:
        unit = spread(unit_phase)
        volts = floor(sqrt(phase / unit))
        below, above = unit * volts * volts, unit * (volts + one) * (volts + one)
        code = where_less(above - phase, phase - below, above, below)
        code = where_less(spread(_TURN) - phase, size(code - phase), zero, code)
    elif step > 0.0:
        code = spread(step) * floor(phase / spread(step) + half)
        code = where_less(code, spread(_TURN - 0.5 * step), code, zero)
    return spread(wrap(stuck)) if stuck > 0.0 else code


@jit(fastmath=_CONTRACT)
def set_mesh(
    nominal: tuple[Floats, Floats, Floats],
    places: tuple[Longs, Longs],
    owed: Floats,
    plan: Plan,
    sines: Floats,
    stuck: Floats,
    response: Floats,
    coded: Floats,
) -> None:
    """Fill `coded` with what shifters make of the settings of one mesh, LANES of each.

    They are all theta, all phi, all psi.

    `places` is where theta and phi, and where psi, of each tile begin. `owed` is LANES of phases
    for each waveguide, which the light there still lacks, and is used up.
    """
    theta, phi, psi = address(nominal[0]), address(nominal[1]), address(nominal[2])
    inside, behind = address(places[0]), address(places[1])
    mzis, quarter, half = plan.row.size, spread(0.5 * math.pi), spread(0.5)
    step, unit = plan.step, plan.unit
    for k in range(mzis):
        inner, outer = gather_doubles(theta, inside, k), gather_doubles(phi, inside, k)
        if not plan.programmed:
            m, p = LANES * plan.row[k], LANES * plan.partner[k]
            s, c = _reach(half * inner, sines[k, 0], sines[k, 2], sines[k, 4])
            wanted = arctan2_lanes(s, c)
            bar = arctan2_lanes(s * spread(sines[k, 3]), -c * spread(sines[k, 0]))
            cross = arctan2_lanes(c * spread(sines[k, 1]), -s * spread(sines[k, 2]))
            upper, lower = load_doubles(owed, m), load_doubles(owed, p)
            common = half * inner - wanted + lower
            outer = outer + upper - lower + cross - bar
            inner = wanted + wanted
            store(owed, m, common + quarter - cross)
            store(owed, p, common - quarter + bar)
        inner = _coded(inner, step, unit, stuck[k]) * spread(response[k])
        outer = _coded(outer, step, unit, stuck[mzis + k]) * spread(response[mzis + k])
        store(coded, LANES * k, inner)
        store(coded, LANES * (mzis + k), outer)
    for n in range(coded.size // LANES - 2 * mzis):
        last = gather_doubles(psi, behind, n)
        if not plan.programmed:
            last = last + load_doubles(owed, LANES * n)
        place = 2 * mzis + n
        last = _coded(last, step, unit, stuck[place]) * spread(response[place])
        store(coded, LANES * place, last)


@jit(fastmath=_CONTRACT)
def set_attenuators(
    nominal: Floats,
    places: Longs,
    owed: Floats,
    plan: Plan,
    sines: Floats,
    stuck: Floats,
    response: Floats,
    coded: Floats,
) -> None:
    """Fill `coded` with what attenuators make of their settings, `owed` with what they leave."""
    begin, lane = address(nominal), address(places)
    for n in range(sines.shape[0]):
        phase = gather_doubles(begin, lane, n)
        s, c = _reach(spread(0.5) * phase, sines[n, 0], sines[n, 2], sines[n, 4])
        store(owed, LANES * n, -arctan2_lanes(c * spread(sines[n, 0]), s * spread(sines[n, 3])))
        if not plan.programmed:
            wanted = arctan2_lanes(s, c)
            phase = wanted + wanted
        phase = _coded(phase, plan.step, plan.unit, stuck[n]) * spread(response[n])
        store(coded, LANES * n, phase)


@jit(fastmath=_CONTRACT)
def meet(coded: Floats, couplings: Couplings, error: Floats, met: Floats) -> None:
    """Fill `met` with what shifters give light: what they make, heat of others, errors."""
    first, neighbour, strength = couplings.first, couplings.neighbour, couplings.strength
    for i in range(error.size):
        phase = load_doubles(coded, LANES * i) + spread(error[i])
        for j in range(first[i], first[i + 1]):
            heat = load_doubles(coded, LANES * neighbour[j])
            phase = phase + spread(strength[j]) * heat
        store(met, LANES * i, phase)
