"""The compiled kernels; what they compute is written out in `photonpu.mesh.reference`.

One tile is one iteration of the parallel loop, so results do not depend on the number of threads.
Compiled code is kept by the contents of all ``kernels*.py`` of a package: see `photonpu.jit`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_correction import correct_one, owed_everywhere, reach
from photonpu.mesh.kernels_light import INPUTS, light_up, propagate, scale, unload
from photonpu.mesh.kernels_math import arctan2, coded_phase, sincos, wrap
from photonpu.mesh.kernels_push import coded_both_ways, to_one_arm, to_push
from photonpu.mesh.values import Couplings, Errors, Plan, Splitters

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]

_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _blocks(
    theta: Floats, phi: Floats, alpha: Floats, beta: Floats, gain: Floats, blocks: Floats
) -> None:
    """Fill `blocks` with real and imaginary parts of T11, T12, T21, T22, times gain, of each k."""
    for k in range(theta.size):
        s, c = sincos(0.5 * theta[k])
        outer_imag, outer_real = sincos(phi[k])
        s_plus, c_plus = sincos(alpha[k] + beta[k])
        s_minus, c_minus = sincos(alpha[k] - beta[k])
        g = gain[k]
        ss, sc, cc = g * s * s, g * s * c, g * c * c
        ar, ai = -cc * s_plus - ss * c_minus, sc * (c_minus - s_plus)
        cr, ci = sc * (s_minus - c_plus), cc * c_plus + ss * s_minus
        blocks[8 * k + 0] = outer_real * ar - outer_imag * ai
        blocks[8 * k + 1] = outer_real * ai + outer_imag * ar
        blocks[8 * k + 2] = -sc * (s_minus + c_plus)
        blocks[8 * k + 3] = cc * c_plus - ss * s_minus
        blocks[8 * k + 4] = outer_real * cr - outer_imag * ci
        blocks[8 * k + 5] = outer_real * ci + outer_imag * cr
        blocks[8 * k + 6] = ss * c_minus - cc * s_plus
        blocks[8 * k + 7] = -sc * (c_minus + s_plus)


@jit(fastmath=_CONTRACT)
def _unbalance(
    blocks: Floats, phi: Floats, alpha: Floats, beta: Floats, gain: Floats, skew: Floats
) -> None:
    """Let the arms of interferometers lose differently: `blocks` are those of equal arms.

    With ``u = 1 / l`` on the arms a block ``T = P + Q`` becomes ``u P + l Q``, where Q went
    through the lower arm.
    """
    for k in range(phi.size):
        if skew[k] == 1.0:
            continue
        upper = math.sqrt(skew[k])
        more = 0.5 * gain[k] * (1.0 / upper - upper)
        outer_imag, outer_real = sincos(phi[k])
        s_plus, c_plus = sincos(alpha[k] + beta[k])
        s_minus, c_minus = sincos(alpha[k] - beta[k])
        for i in range(8 * k, 8 * k + 8):
            blocks[i] *= upper
        first, second = -more * (c_minus + s_plus), more * (c_plus + s_minus)
        blocks[8 * k + 0] += outer_real * first
        blocks[8 * k + 1] += outer_imag * first
        blocks[8 * k + 3] += more * (c_plus - s_minus)
        blocks[8 * k + 4] -= outer_imag * second
        blocks[8 * k + 5] += outer_real * second
        blocks[8 * k + 6] += more * (c_minus - s_plus)


@jit(fastmath=_CONTRACT)
def _split_before(blocks: Floats, gamma: Floats) -> None:
    """Put a splitter of angle ``pi/4 + gamma[k]`` before each of `blocks`."""
    for k in range(gamma.size):
        s, c = sincos(0.25 * math.pi + gamma[k])
        for i in range(8 * k, 8 * k + 8, 4):
            xr, xi = blocks[i], blocks[i + 1]
            yr, yi = blocks[i + 2], blocks[i + 3]
            blocks[i] = c * xr - s * yi
            blocks[i + 1] = c * xi + s * yr
            blocks[i + 2] = c * yr - s * xi
            blocks[i + 3] = c * yi + s * xr


@jit(fastmath=_CONTRACT)
def _turns(phase: Floats, factors: Floats) -> None:
    """Fill (2, N) `factors` with ``e^{i phase}``."""
    for n in range(phase.size):
        factors[1, n], factors[0, n] = sincos(phase[n])


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
    skew: Floats,
) -> Complexes:
    """Return the transfer matrices of meshes; see `photonpu.mesh.reference.matrix`."""
    tiles, ports = psi.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t in prange(tiles):
        blocks, factors = np.empty(8 * plan.row.size), np.empty((2, ports))
        inner, outer, last = theta[t].copy(), phi[t].copy(), psi[t].copy()
        if plan.push:
            to_one_arm(inner, outer, last, plan)
        _blocks(inner, outer, alpha[t], beta[t], gain[t], blocks)
        _unbalance(blocks, outer, alpha[t], beta[t], gain[t], skew[t])
        if plan.third:
            _split_before(blocks, gamma[t])
        _turns(last, factors)
        field = np.empty(2 * INPUTS * plan.waveguides)
        lit = np.empty(plan.waveguides, dtype=np.int32)
        for begin in range(0, ports, INPUTS):
            light_up(field, begin, ports, lit)
            propagate(field, blocks, plan, lit)
            scale(field, factors)
            unload(field, begin, result[t])
    return result


@jit(fastmath=_CONTRACT)
def _program(
    phase: Floats,
    signed: int,
    plan: Plan,
    couplings: Couplings,
    error: Floats,
    stuck: Floats,
    response: Floats,
) -> None:
    """Turn wanted phases into those that light meets.

    That is rounding, dead ones, what shifters make of their settings, heat, static errors.

    The first `signed` of them are push-pull.
    """
    coded = np.empty(phase.size)
    for i in range(signed):
        coded[i] = coded_both_ways(phase[i], plan.step)
    for i in range(signed, phase.size):
        coded[i] = wrap(phase[i])
    if plan.step > 0.0 or plan.unit > 0.0:
        for i in range(signed, phase.size):
            coded[i] = coded_phase(coded[i], plan.step, plan.unit)
    for i in range(phase.size):
        if stuck[i] > 0.0:
            coded[i] = wrap(stuck[i])
            if i < signed and coded[i] > math.pi:
                coded[i] -= 2.0 * math.pi
        coded[i] *= response[i]
    for i in range(phase.size):
        heat = 0.0
        for j in range(couplings.first[i], couplings.first[i + 1]):
            heat += couplings.strength[j] * coded[couplings.neighbour[j]]
        phase[i] = coded[i] + heat + error[i]


@jit(fastmath=_CONTRACT)
def _correct(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    plan: Plan,
    known: tuple[Floats, Floats, Floats],
    phases: tuple[Floats, Floats, Floats],
) -> None:
    """Fill `phases` of one mesh, corrected for `known` splitter errors."""
    wanted = nominal
    if plan.push:
        wanted = (nominal[0].copy(), nominal[1].copy(), nominal[2].copy())
        to_one_arm(wanted[0], wanted[1], wanted[2], plan)
    correct_one(wanted, owed_everywhere(owed, plan.waveguides), plan, known, phases)
    if plan.push:
        to_push(phases[0], phases[1], phases[2], plan)


@jit(fastmath=_CONTRACT)
def _program_mesh(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    place: tuple[int, int],
    known: Splitters,
    splitters: Splitters,
    errors: Errors,
    plan: Plan,
    within: Couplings,
    blocks: Floats,
) -> Floats:
    """Fill `blocks` with what one mesh does as programmed; return its output phases.

    `place` is the core and the mesh in it.
    """
    c, m = place
    mzis = plan.row.size
    phase = np.empty(2 * mzis + owed.size)
    theta, phi, psi = phase[:mzis], phase[mzis : 2 * mzis], phase[2 * mzis :]
    if plan.programmed or plan.real:
        theta[:], phi[:], psi[:] = nominal
    else:
        measured = (known.into[c, m], known.out[c, m], known.third[c, m])
        _correct(nominal, owed, plan, measured, (theta, phi, psi))
    signed = mzis if plan.push else 0
    error, stuck, response = errors.mesh[c, m], errors.stuck[c, m], errors.response[c, m]
    _program(phase, signed, plan, within, error, stuck, response)
    if plan.push:
        to_one_arm(theta, phi, psi, plan)
    alpha, beta, gain = splitters.into[c, m], splitters.out[c, m], errors.gain[c, m]
    _blocks(theta, phi, alpha, beta, gain, blocks)
    _unbalance(blocks, phi, alpha, beta, gain, errors.skew[c, m])
    if plan.third:
        _split_before(blocks, splitters.third[c, m])
    return psi


@jit(fastmath=_CONTRACT)
def _attenuate(
    factors: Floats,
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
    """Fill `factors` with output phases and attenuators; set the phases that they leave owed."""
    phase = np.empty(nominal.size)
    for n in range(phase.size):
        alpha, beta = known.attenuator_into[core, n], known.attenuator_out[core, n]
        s, c = sincos(0.5 * nominal[n])
        s_plus, _ = sincos(alpha + beta)
        s_minus, c_minus = sincos(alpha - beta)
        s, c, _ = reach(s, c, s_plus, s_minus, c_minus)
        phase[n] = nominal[n] if plan.programmed else 2.0 * arctan2(s, c)
        owed[n] = -arctan2(c * s_plus, s * c_minus)
    error, stuck = errors.attenuator[core], errors.attenuator_stuck[core]
    _program(phase, 0, plan, line, error, stuck, errors.attenuator_response[core])
    for n in range(phase.size):
        alpha, beta = splitters.attenuator_into[core, n], splitters.attenuator_out[core, n]
        s, c = sincos(0.5 * phase[n])
        s_plus, _ = sincos(alpha + beta)
        _, c_minus = sincos(alpha - beta)
        through = errors.attenuator_gain[core, n] * s * c_minus
        leak = errors.attenuator_gain[core, n] * c * s_plus
        if errors.attenuator_skew[core, n] != 1.0:
            upper = math.sqrt(errors.attenuator_skew[core, n])
            mean, half = 0.5 * (upper + 1.0 / upper), 0.5 * (1.0 / upper - upper)
            half *= errors.attenuator_gain[core, n]
            through = mean * through + half * s * s_plus
            leak = mean * leak + half * c * c_minus
        imag, real = sincos(psi[n])
        factors[0, n] = real * through - imag * leak
        factors[1, n] = real * leak + imag * through


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
        blocks, factors = np.empty((2, 8 * plan.row.size)), np.empty((2, 2, ports))
        for m in range(2):
            nominal = (theta[t, m], phi[t, m], psi[t, m])
            last = _program_mesh(
                nominal, owed, (c, m), known, splitters, errors, plan, within, blocks[m]
            )
            if m == 0:
                _attenuate(
                    factors[0], last, attenuator[t], owed, c, known, splitters, errors, plan, line
                )
            else:
                _turns(last, factors[1])
        field = np.empty(2 * INPUTS * plan.waveguides)
        lit = np.empty(plan.waveguides, dtype=np.int32)
        for begin in range(0, ports, INPUTS):
            light_up(field, begin, ports, lit)
            for m in range(2):
                propagate(field, blocks[m], plan, lit)
                scale(field, factors[m])
            unload(field, begin, result[t])
    return result
