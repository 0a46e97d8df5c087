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
from photonpu.mesh.kernels_math import arctan2_lanes, reduce_lanes, wrap, wrap_lanes
from photonpu.mesh.kernels_moves import collect_doubles, gather_doubles
from photonpu.mesh.kernels_turns import arctan_lanes, cosine_lanes, sincos_lanes
from photonpu.mesh.values import Couplings, Errors, Plan, Splitters
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import Vector, address, load_doubles, store, where_less
from photonpu.simd import floor_doubles as floor
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as sqrt

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

SINES = 5
SPLITS = 9
CHUNK = 64  # interferometers whose phases stay in the nearest cache
_TURN = 2.0 * math.pi
_QUARTER = 0.5 * math.pi
_TINY = 1e-300  # what the product of two parts of the light counts as, if it is less
_HARDLY_ANY = -1e-140  # what no splitter error counts as, before no light at all
_CONTRACT = frozenset({"contract"})


class Cores(NamedTuple):
    """What the interferometers and attenuators of a chip's cores need of splitters and losses.

    Attributes
    ----------
    wanted
        (C, 2, K, SPLITS): of the errors that a correction knows, what is to be added to the cosine
        of theta times the second number to have the share of light in the bar, with the sign
        changed, and in the cross path; how much the phase of either path depends on the ratio of
        both, the reciprocals, and the phases where it is largest.
    line_wanted
        (C, N, SINES): sine and cosine of the sum of the two splitters' errors that a correction
        knows, of their difference, and the reciprocal of the span of splits that can be reached.
    met, line_met
        (C, 2, K, SINES) and (C, N, SINES): the same of the errors that light meets, but with the
        gain at the end.
    """

    wanted: Floats
    line_wanted: Floats
    met: Singles
    line_met: Singles


def cores(known: Splitters, actual: Splitters, errors: Errors) -> Cores:
    """Return what can be computed once for all tiles of a chip."""
    line_wanted = _sines(known.attenuator_into, known.attenuator_out)
    line_wanted[..., 4] = 1.0 / (line_wanted[..., 3] ** 2 - line_wanted[..., 0] ** 2)
    wanted = _splits(_sines(known.into, known.out))
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


def _splits(sines: Floats) -> Floats:
    """Return `Cores.wanted` of the sines and cosines of splitter errors."""
    s_plus, c_plus, s_minus, c_minus = (sines[..., i] for i in range(4))
    result = np.empty((*s_plus.shape, SPLITS))
    inverse = 1.0 / (c_minus**2 - s_plus**2)
    result[..., 0] = (0.5 - s_plus**2) * inverse
    result[..., 1] = 0.5 * inverse
    result[..., 2] = (0.5 - s_minus**2) * inverse
    bar, cross = s_plus / c_minus, s_minus / c_plus
    bar[np.abs(bar) < -_HARDLY_ANY] = _HARDLY_ANY
    cross[np.abs(cross) < -_HARDLY_ANY] = 0.0
    result[..., 3], result[..., 4] = bar, 1.0 / bar
    result[..., 5] = cross
    result[..., 6] = np.divide(1.0, cross, out=np.zeros_like(cross), where=cross != 0.0)
    result[..., 7], result[..., 8] = np.copysign(_QUARTER, bar), np.copysign(_QUARTER, cross)
    return result


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
    code: Vector = phase
    zero, half, one = spread(0.0), spread(0.5), spread(1.0)
    if unit_phase > 0.0:
        phase = wrap_lanes(phase)
        unit = spread(unit_phase)
        volts = floor(sqrt(phase / unit))
        below, above = unit * volts * volts, unit * (volts + one) * (volts + one)
        code = where_less(above - phase, phase - below, above, below)
        code = where_less(spread(_TURN) - phase, size(code - phase), zero, code)
    elif step > 0.0:
        count = floor(reduce_lanes(phase) * spread(1.0 / step) + half)
        code = spread(step) * where_less(count, spread(_TURN / step - 0.5), count, zero)
    else:
        code = wrap_lanes(phase)
    return spread(wrap(stuck)) if stuck > 0.0 else code


@jit(fastmath=_CONTRACT)
def _split(first: int, last: int, splits: Floats, coded: Floats, ratios: Floats) -> None:
    """Fill `ratios` with bar over cross and cross over bar of interferometers' amplitudes."""
    lowest = spread(_TINY)
    for k in range(first, last):
        cosine = cosine_lanes(load_doubles(coded, LANES * k))
        slope = spread(splits[k, 1])
        bar = _between(spread(splits[k, 0]) - slope * cosine)
        cross = _between(spread(splits[k, 2]) + slope * cosine)
        both = bar * cross
        inverse = spread(1.0) / sqrt(where_less(both, lowest, lowest, both))
        place = 3 * LANES * (k - first)
        store(ratios, place, bar * inverse)
        store(ratios, place + LANES, cross * inverse)


@jit(fastmath=_CONTRACT)
def _leaning(ratio: Vector, over: Vector, factor: float, inverse: float, most: float) -> Vector:
    """Return the angle whose tangent is `factor` times `ratio`; `over` is ``1 / ratio``."""
    tangent, one = spread(factor) * ratio, spread(1.0)
    length = size(tangent)
    angle = arctan_lanes(where_less(one, length, spread(inverse) * over, tangent))
    leaning: Vector = where_less(one, length, spread(most) - angle, angle)
    return leaning


@jit(fastmath=_CONTRACT)
def _lean(first: int, last: int, splits: Floats, ratios: Floats) -> None:
    """Make of ratios half of theta, and by how much the phases of bar and cross path differ."""
    for k in range(first, last):
        place = 3 * LANES * (k - first)
        bar, cross = load_doubles(ratios, place), load_doubles(ratios, place + LANES)
        less = where_less(bar, cross, bar, cross)
        angle = arctan_lanes(less)
        store(ratios, place, where_less(cross, bar, spread(_QUARTER) - angle, angle))
        angle = _leaning(cross, bar, splits[k, 3], splits[k, 4], splits[k, 7])
        store(ratios, place + LANES, angle)
        angle = _leaning(bar, cross, splits[k, 5], splits[k, 6], splits[k, 8])
        store(ratios, place + 2 * LANES, angle)


@jit(fastmath=_CONTRACT)
def _hand_on(
    first: int, last: int, plan: Plan, ratios: Floats, owed: Floats, coded: Floats
) -> None:
    """Correct theta and phi, and owe what is left to the interferometers behind."""
    half, mzis = spread(0.5), plan.row.size
    for k in range(first, last):
        place = 3 * LANES * (k - first)
        wanted, bar = load_doubles(ratios, place), load_doubles(ratios, place + LANES)
        cross = load_doubles(ratios, place + 2 * LANES)
        inner, outer = load_doubles(coded, LANES * k), load_doubles(coded, LANES * (mzis + k))
        m, p = LANES * plan.row[k], LANES * plan.partner[k]
        upper, lower = load_doubles(owed, m), load_doubles(owed, p)
        common = half * inner - wanted + lower
        store(owed, m, common - cross)
        store(owed, p, common + bar)
        store(coded, LANES * k, wanted + wanted)
        store(coded, LANES * (mzis + k), outer + upper - lower + cross - bar)


@jit(fastmath=_CONTRACT)
def _collect(start: int, places: Longs, first: int, last: int, to: int, coded: Floats) -> None:
    """Copy numbers `first` to `last` of each of eight rows to `coded`, from lanes `to` on."""
    lanes, target, k = address(places), address(coded), first
    while k + LANES <= last:
        collect_doubles(start, lanes, k, target + 8 * LANES * (to + k))
        k += LANES
    while k < last:
        store(coded, LANES * (to + k), gather_doubles(start, lanes, k))
        k += 1


@jit(fastmath=_CONTRACT)
def set_mesh(
    first: int,
    last: int,
    nominal: tuple[Floats, Floats],
    places: Longs,
    owed: Floats,
    plan: Plan,
    splits: Floats,
    stuck: Floats,
    response: Floats,
    ratios: Floats,
    coded: Floats,
) -> None:
    """Fill `coded` with what shifters make of the settings of interferometers, LANES of each.

    They are all theta, all phi, all psi, of which those of interferometers `first` to `last` are
    set, at most `CHUNK`.

    `places` is where theta and phi of each tile begin. `owed` is LANES of phases
    for each waveguide, which the light there still lacks, and is used up. `ratios` has room for
    three times LANES for each interferometer.
    """
    mzis, step, unit = plan.row.size, plan.step, plan.unit
    _collect(address(nominal[0]), places, first, last, 0, coded)
    _collect(address(nominal[1]), places, first, last, mzis, coded)
    if not plan.programmed:
        _split(first, last, splits, coded, ratios)
        _lean(first, last, splits, ratios)
        _hand_on(first, last, plan, ratios, owed, coded)
    for i in (0, mzis):
        for k in range(i + first, i + last):
            code = _coded(load_doubles(coded, LANES * k), step, unit, stuck[k])
            store(coded, LANES * k, code * spread(response[k]))


@jit(fastmath=_CONTRACT)
def set_ends(
    psi: Floats,
    places: Longs,
    owed: Floats,
    plan: Plan,
    stuck: Floats,
    response: Floats,
    coded: Floats,
) -> None:
    """Fill the end of `coded` with what shifters make of psi; see `set_mesh`."""
    start, behind, begin = address(psi), address(places), 2 * plan.row.size
    for n in range(coded.size // LANES - begin):
        last = gather_doubles(start, behind, n)
        if not plan.programmed:
            last = last + load_doubles(owed, LANES * n)
        place = begin + n
        last = _coded(last, plan.step, plan.unit, stuck[place]) * spread(response[place])
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
def meet(
    first: int, last: int, coded: Floats, couplings: Couplings, error: Floats, met: Floats
) -> None:
    """Fill `met` with what shifters give light: what they make, heat of others, errors.

    They are shifters `first` to `last`.
    """
    begin, neighbour, strength = couplings.first, couplings.neighbour, couplings.strength
    for i in range(first, last):
        phase = load_doubles(coded, LANES * i) + spread(error[i])
        for j in range(begin[i], begin[i + 1]):
            heat = load_doubles(coded, LANES * neighbour[j])
            phase = phase + spread(strength[j]) * heat
        store(met, LANES * i, phase)
