"""In which order light goes through interferometers, so that it stays in registers for two of them.

Interferometers that no light meets twice are a level. Of two levels, those of the second that
join the lower output of one interferometer of the first to the upper output of the next one make
a chain of them, ``e0 o0 e1 o1 e2 ...``: o0 joins e0 and e1. What the lower output of the last
e carries stays in registers until the next o. All others are chains of one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.values import Plan

Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]


class Chains(NamedTuple):
    """The chains of a mesh.

    Attributes
    ----------
    place
        (K,) where each interferometer is when chains are written one after another.
    joins
        (K,) whether it is an o.
    ends
        (S,) behind how many interferometers each of some stages ends.
    run
        (R, 2) where pieces of chains begin, and how many e follow the first.
    bounds
        (B + 1, S + 1) which pieces are those of a stage: of the light from a block of inputs, all
        that it can reach; the last row, of light from anywhere.
    """

    place: Ints
    joins: Flags
    ends: Ints
    run: Ints
    bounds: Ints


@jit()
def chains(plan: Plan, ports: int, inputs: int, most: int) -> Chains:
    """Return the chains of a mesh, its light coming in blocks of some inputs.

    A stage has at most so many levels.
    """
    width = min(2, most)
    level = _levels(plan)
    ends = _ends(level, most - most % width)
    place, joins, first, links = _chained(plan, level, width)
    by_place = np.empty_like(place)
    for k in range(place.size):
        by_place[place[k]] = k
    blocks = -(-ports // inputs)
    run = np.empty(((blocks + 1) * first.size, 2), np.int32)
    bounds = np.empty((blocks + 1, ends.size + 1), np.int32)
    count = 0
    for b in range(blocks + 1):
        lit = np.zeros(plan.waveguides, np.bool_)
        lit[b * inputs : min(ports, (b + 1) * inputs)] = True
        reached = _cone(plan, lit)
        stage = 0
        bounds[b, 0] = count
        for i in range(first.size):
            while by_place[first[i]] >= ends[stage]:
                stage += 1
                bounds[b, stage] = count
            begin, end = 0, links[i]
            if b < blocks:
                begin, end = _reached(by_place, reached, first[i], links[i])
            if begin <= end:
                run[count, 0] = first[i] + 2 * begin
                run[count, 1] = end - begin
                count += 1
        bounds[b, stage + 1 :] = count
    return Chains(place, joins, ends, run[:count].copy(), bounds)


@jit()
def _levels(plan: Plan) -> Ints:
    """Return the level of each interferometer, in ascending order."""
    level = np.empty(plan.row.size, np.int32)
    met = np.full(plan.waveguides, -1, np.int32)
    now = 0
    for k in range(level.size):
        m, p = plan.row[k], plan.partner[k]
        if met[m] == now or met[p] == now:
            now += 1
        level[k] = met[m] = met[p] = now
    return level


@jit()
def _ends(level: Ints, most: int) -> Ints:
    """Return where `most` levels are full; the end is last."""
    ends = np.empty(level.size + 1, np.int32)
    count = 0
    for k in range(1, level.size):
        if level[k] > level[k - 1] and level[k] % most == 0:
            ends[count] = k
            count += 1
    ends[count] = level.size
    return ends[: count + 1].copy()


@jit()
def _chained(plan: Plan, level: Ints, width: int) -> tuple[Ints, Flags, Ints, Ints]:
    """Return `Chains.place` and `joins`, where each chain begins, and how many e follow its first.

    Each joins levels of which `width` are one after another.
    """
    mzis = level.size
    place, joins = np.empty(mzis, np.int32), np.zeros(mzis, np.bool_)
    first, links = np.empty(mzis, np.int32), np.empty(mzis, np.int32)
    # Which e of these levels lit a waveguide from above or below, what joins it to the next e.
    source = np.empty(plan.waveguides, np.int32)
    joint, behind = np.empty(mzis, np.int32), np.empty(mzis, np.int32)
    led = np.empty(mzis, np.int32)
    count = written = begin = 0
    while begin < mzis:
        middle = begin
        while middle < mzis and level[middle] == level[begin]:
            middle += 1
        end = middle
        while end < mzis and level[end] // width == level[begin] // width:
            end += 1
        source[:] = -1
        joint[begin:end] = behind[begin:end] = led[begin:end] = -1
        for k in range(begin, middle):
            source[plan.row[k]] = source[plan.partner[k]] = k
        for k in range(middle, end):
            above, below = source[plan.row[k]], source[plan.partner[k]]
            outer = above >= 0 and plan.partner[above] == plan.row[k]
            if outer and below > above and plan.row[below] == plan.partner[k]:
                joins[k] = True
                joint[above], behind[above], led[below] = k, below, above
        for k in range(begin, end):
            if joins[k] or led[k] >= 0:
                continue
            first[count], links[count] = written, 0
            place[k], e = written, k
            written += 1
            while behind[e] >= 0:
                place[joint[e]], place[behind[e]] = written, written + 1
                written, e = written + 2, behind[e]
                links[count] += 1
            count += 1
        begin = end
    return place, joins, first[:count].copy(), links[:count].copy()


@jit()
def _cone(plan: Plan, lit: Flags) -> Flags:
    """Return (K,) whether light reaches an interferometer from `lit` waveguides."""
    reached = np.zeros(plan.row.size, np.bool_)
    for k in range(plan.row.size):
        m, p = plan.row[k], plan.partner[k]
        lit[m] = lit[p] = reached[k] = lit[m] or lit[p]
    return reached


@jit()
def _reached(by_place: Ints, reached: Flags, first: int, links: int) -> tuple[int, int]:
    """Return the first and the last e of a chain that light, or what it joins, comes from."""
    begin, end = links + 1, -1
    for i in range(links + 1):
        if reached[by_place[first + 2 * i]]:
            begin, end = min(begin, i), i
    if end < 0:
        return 1, 0
    return max(0, begin - 1), min(links, end + 1)
