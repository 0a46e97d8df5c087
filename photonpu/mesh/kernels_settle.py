"""The compiled settling; what it computes is written out in `photonpu.mesh.reference_settle`.

One mesh is one iteration of the parallel loop.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_correction import turn, unit
from photonpu.mesh.kernels_math import arctan2, coded_phase, sincos, wrap
from photonpu.mesh.kernels_refine import (
    Four,
    adjoint,
    block,
    dot,
    halves,
    light,
    load,
    mix,
    times,
    whole,
)
from photonpu.mesh.values import Plan

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
Three = tuple[Floats, Floats, Floats]

_CONTRACT = frozenset({"contract"})
_TURNS = 3


@jit(fastmath=_CONTRACT)
def code(phase: complex, offset: float, plan: Plan) -> complex:
    """Return the nearest of the phases that a converter reaches where `offset` is added to it."""
    if plan.step == 0.0 and plan.unit == 0.0:
        return phase
    wanted = wrap(arctan2(phase.imag, phase.real) - offset)
    return turn(coded_phase(wanted, plan.step, plan.unit) + offset)


@jit(fastmath=_CONTRACT)
def _choose(
    parts: tuple[Four, Four],
    around: Four,
    phases: tuple[complex, complex],
    free: tuple[bool, bool],
) -> tuple[complex, complex]:
    """Return ``e^{i theta}`` and ``e^{i phi}`` that raise ``Re tr(T around)``; free ones only."""
    inner, outer = phases
    x, y = parts
    u0 = x[0] * around[0] + x[2] * around[1]
    u1 = y[0] * around[0] + y[2] * around[1]
    v1 = y[1] * around[2] + y[3] * around[3]
    for _ in range(_TURNS):
        if free[0]:
            z = outer * u1 + v1
            inner = unit(z.real, -z.imag)
        if free[1]:
            z = u0 + inner * u1
            outer = unit(z.real, -z.imag)
    return inner, outer


@jit(fastmath=_CONTRACT)
def _walk(
    fields: tuple[Floats, Floats],
    phases: tuple[Complexes, Complexes],
    free: Flags,
    offset: Floats,
    plan: Plan,
    splitters: Three,
    span: tuple[int, int],
    forward: bool,
    rounds: bool,
) -> None:
    """Set the interferometers of a span to their best, in the order of the light or against it."""
    right, left = fields
    inner, outer = phases
    alpha, beta, gamma = splitters
    mzis = plan.row.size
    for place in range(span[1] - span[0]):
        k = span[0] + place if forward else span[1] - 1 - place
        m, p = plan.row[k], plan.partner[k]
        parts = halves(alpha[k], beta[k])
        before = (1.0 + 0.0j, 0.0j, 0.0j, 1.0 + 0.0j)
        if plan.third:
            s, c = sincos(0.25 * math.pi + gamma[k])
            before = (complex(c, 0.0), complex(0.0, s), complex(0.0, s), complex(c, 0.0))
        old = adjoint(block(parts, inner[k], outer[k], before))
        if forward:
            mix(left, m, p, (old[0], old[2], old[1], old[3]))
        else:
            mix(right, m, p, old)
        around = (
            dot(right[m], left[m]),
            dot(right[m], left[p]),
            dot(right[p], left[m]),
            dot(right[p], left[p]),
        )
        around = times(before, around)
        moves = free[k], free[mzis + k]
        first, second = _choose(parts, around, (inner[k], outer[k]), moves)
        if rounds:
            if moves[0]:
                first = code(first, offset[k], plan)
            first, second = _choose(parts, around, (first, second), (False, moves[1]))
            if moves[1]:
                second = code(second, offset[mzis + k], plan)
        inner[k], outer[k] = first, second
        new = block(parts, first, second, before)
        if forward:
            mix(right, m, p, new)
        else:
            mix(left, m, p, (new[0], new[2], new[1], new[3]))


@jit(fastmath=_CONTRACT)
def _last(
    goal: Complexes,
    fields: tuple[Floats, Floats],
    psi: Floats,
    free: Flags,
    offset: Floats,
    plan: Plan,
    rounds: bool,
) -> None:
    """Set the output phases to their best, and `left` to what is behind the last column."""
    right, left = fields
    ports = psi.size
    load(goal, np.zeros(ports), left)
    for n in range(ports):
        if free[free.size - ports + n]:
            z = dot(right[n], left[n])
            best = unit(z.real, -z.imag)
            if rounds:
                best = code(best, offset[offset.size - ports + n], plan)
            psi[n] = arctan2(best.imag, best.real)
    load(goal, psi, left)


@jit(fastmath=_CONTRACT)
def _settle(
    goal: Complexes,
    phase: Floats,
    offset: Floats,
    free: Flags,
    plan: Plan,
    splitters: Three,
    columns: Ints,
    sweeps: int,
) -> None:
    """Settle the phases of one mesh, all theta, all phi, all psi, in place."""
    mzis, ports = plan.row.size, goal.shape[0]
    phases = np.empty(mzis, dtype=np.complex128), np.empty(mzis, dtype=np.complex128)
    for k in range(mzis):
        phases[0][k] = turn(phase[k])
        phases[1][k] = turn(phase[mzis + k])
    psi = phase[2 * mzis :]
    fields = np.empty((plan.waveguides, 2, ports)), np.empty((plan.waveguides, 2, ports))
    right = fields[0]
    everything = 0, mzis
    light(right, ports)
    for k in range(mzis):
        new = whole(plan, splitters, k, phases[0][k], phases[1][k])
        mix(right, plan.row[k], plan.partner[k], new)
    _last(goal, fields, psi, free, offset, plan, False)
    for _ in range(sweeps):
        _walk(fields, phases, free, offset, plan, splitters, everything, False, False)
        light(right, ports)
        _walk(fields, phases, free, offset, plan, splitters, everything, True, False)
        _last(goal, fields, psi, free, offset, plan, False)
    if columns.size:
        moving = free.copy()
        _walk(fields, phases, moving, offset, plan, splitters, everything, False, False)
        light(right, ports)
        for column in range(columns.size - 1):
            here = columns[column], columns[column + 1]
            rest = columns[column + 1], mzis
            _walk(fields, phases, moving, offset, plan, splitters, here, True, True)
            moving[here[0] : here[1]] = False
            moving[mzis + here[0] : mzis + here[1]] = False
            _walk(fields, phases, moving, offset, plan, splitters, rest, True, False)
            _last(goal, fields, psi, free, offset, plan, False)
            _walk(fields, phases, moving, offset, plan, splitters, rest, False, False)
        _last(goal, fields, psi, free, offset, plan, True)
        _walk(fields, phases, free, offset, plan, splitters, everything, False, True)
        light(right, ports)
        _walk(fields, phases, free, offset, plan, splitters, everything, True, True)
        _last(goal, fields, psi, free, offset, plan, True)
    for k in range(mzis):
        phase[k] = arctan2(phases[0][k].imag, phases[0][k].real)
        phase[mzis + k] = arctan2(phases[1][k].imag, phases[1][k].real)


@jit(parallel=True, fastmath=_CONTRACT)
def settle(
    goals: Complexes,
    phase: Floats,
    offset: Floats,
    free: Flags,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
    columns: Ints,
    sweeps: int,
) -> Floats:
    """Bring meshes nearer to goals; see `photonpu.mesh.reference_settle.settle`."""
    settled = phase.copy()
    for t in prange(len(goals)):
        splitters = alpha[t], beta[t], gamma[t]
        _settle(goals[t], settled[t], offset[t], free[t], plan, splitters, columns, sweeps)
    return settled
