"""Sizes inside control flow: branches, and loops as far as their iterations can be foreseen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from photonpu.compiler.untrusted.sizing.facts import Call, Fact, Size
from photonpu.compiler.untrusted.walk import subgraphs, where
from photonpu.errors import ModelError

if TYPE_CHECKING:
    from photonpu.compiler.untrusted.sizes import Facts, Walk

#: Iterations that are looked at one by one, while shapes or small numbers still change.
FORESEEN = 64


def run_if(walk: Walk, call: Call, facts: Facts, times: int) -> list[Fact]:
    """Return what is known of the outputs of an If: what both branches agree on."""
    condition = call.fact(0)
    constant = condition is not None and condition.constant
    branches = [
        walk.graph(call.attributes[name].g, facts.new_child(), times)
        for name in ("then_branch", "else_branch")
    ]
    return [_either(yes, no, constant) for yes, no in zip(branches[0], branches[1], strict=False)]


def _either(yes: Fact, no: Fact, constant: bool) -> Fact:
    """Return what two tensors have in common, one of which it will be."""
    constant = constant and yes.constant and no.constant
    bits, exact = max(yes.bits, no.bits), yes.exact and no.exact
    if yes.shape is None or no.shape is None or len(yes.shape) != len(no.shape):
        return Fact(None, None, constant, exact, bits)
    if constant and yes.shape != no.shape:
        shape = tuple(
            None if None in (a, b) else max(a or 0, b or 0)
            for a, b in zip(yes.shape, no.shape, strict=True)
        )
        return Fact(shape, None, constant, False, bits)
    same = tuple(a if a == b else None for a, b in zip(yes.shape, no.shape, strict=True))
    return Fact(same, None, constant, exact, bits)


def _variable(fact: Fact | None) -> Fact:
    """Return what is known of data that begin as `fact`: onnxruntime folds no loops."""
    return Fact() if fact is None else replace(fact, constant=False)


def run_loop(walk: Walk, call: Call, facts: Facts, times: int) -> list[Fact]:
    """Return what is known of the outputs of a Loop, and bound its iterations."""
    body = call.attributes["body"].g
    names = [value.name for value in body.input]
    most, condition = _trips(call), _truth(call.fact(1), absent=True)
    carried = [_variable(fact) for fact in call.inputs[2:]]
    scanned: list[Fact] = []
    steady = changing = False
    inside = facts
    for iteration in range(FORESEEN):
        if condition is False or (most is not None and iteration >= most):
            break
        known = None if condition is None else np.array(condition)
        start = [Fact((), np.array(iteration, np.int64), bits=64), Fact((), known, bits=8)]
        inside = facts.new_child(dict(zip(names, [*start, *carried], strict=False)))
        before = walk.total
        found = walk.graph(body, inside, times)
        walk.total = before if iteration else walk.total  # an iteration's tensors go with it
        condition = _truth(found[0], absent=None)
        following = [_variable(fact) for fact in found[1 : 1 + len(carried)]]
        scanned = found[1 + len(carried) :]
        steady = all(map(_alike, carried, following))
        changing |= not steady
        carried = following
        if condition is None or (steady and iteration) or walk.patience < 0:
            break
    if condition is True and steady:
        _bound(walk, call, most, times)
        if most is not None and walk.patience > 0 and any(map(subgraphs, body.node)):
            before = walk.total
            walk.graph(body, inside, times * most)  # which bounds the loops inside
            walk.total = before
    ran = most if condition is True and steady else None
    if not steady or condition is None:
        carried = [Fact(bits=fact.bits) for fact in carried] if changing else carried
    return [*carried, *(_stacked(fact, ran) for fact in scanned)]


def _alike(before: Fact, after: Fact) -> bool:
    """Say whether a further iteration would find what this one found."""
    if before.shape != after.shape:
        return False
    if before.value is None or after.value is None:
        return before.value is after.value
    return np.array_equal(before.value, after.value)


def _trips(call: Call) -> int | None:
    """Return the largest number of iterations, if it is known."""
    fact = call.fact(0)
    if fact is None or fact.value is None or fact.value.size != 1:
        return None
    (trips,) = fact.value.reshape(-1).tolist()
    return None if trips is None else int(trips)


def _truth(fact: Fact | None, *, absent: bool | None) -> bool | None:
    if fact is None:
        return absent
    if fact.value is None or fact.value.size != 1 or fact.value.dtype == object:
        return None
    return bool(fact.value.reshape(-1)[0])


def _bound(walk: Walk, call: Call, most: int | None, times: int) -> None:
    """Refuse a loop that never ends, or runs too often."""
    limit = walk.limits.iterations
    if most is None and call.fact(0) is not None:
        return  # data will say
    if most is None:
        raise ModelError(
            f"{where(call.node)} never ends: it has no number of iterations and its condition "
            "stays true; give it one"
        )
    if most * times > limit:
        raise ModelError(
            f"{where(call.node)} runs {most * times} iterations and {limit} is the limit for "
            "iterations: if you trust the model, raise the limit"
        )


def _stacked(fact: Fact, count: Size) -> Fact:
    """Return what is known of a tensor of each iteration, all put together."""
    shape = None if fact.shape is None else (count, *fact.shape)
    return Fact(shape, bits=fact.bits)


def run_scan(walk: Walk, call: Call, facts: Facts, times: int) -> list[Fact]:
    """Return what is known of the outputs of a Scan, and bound its iterations."""
    body, scans = call.attributes["body"].g, call.integer("num_scan_inputs")
    given = call.inputs[1:] if call.version < 9 else call.inputs
    batched = 1 if call.version < 9 else 0
    states = [_variable(fact) for fact in given[: len(given) - scans]]
    sequences = [_variable(fact) for fact in given[len(given) - scans :]]
    axes = (call.integers("scan_input_axes") or [0] * scans) if not batched else [1] * scans
    inner, lengths = [], []
    for fact, axis in zip(sequences, axes, strict=False):
        if fact.shape is None or not -len(fact.shape) <= axis < len(fact.shape):
            inner.append(Fact(bits=fact.bits))
            continue
        place = axis % len(fact.shape)
        lengths.append(fact.shape[place])
        rest = (*fact.shape[:place], *fact.shape[place + 1 :])[batched:]
        inner.append(Fact(rest, bits=fact.bits))
    count = next((length for length in lengths if length is not None), None)
    if count is not None:
        _bound(walk, call, count, times)
    if batched:
        states = [replace(s, shape=None if s.shape is None else s.shape[1:]) for s in states]
    carried, found = states, []
    for index in range(min(FORESEEN, FORESEEN if count is None else max(count, 1))):
        names = [value.name for value in body.input]
        start = [replace(fact, value=None) for fact in carried]
        inside = facts.new_child(dict(zip(names, [*start, *inner], strict=False)))
        before = walk.total
        found = walk.graph(body, inside, times * (count or 1))
        walk.total = before if index else walk.total
        following = [_variable(fact) for fact in found[: len(states)]]
        same = all(a.shape == b.shape for a, b in zip(carried, following, strict=False))
        carried = following
        if same or walk.patience < 0:
            break
    if batched:
        return [Fact(bits=fact.bits) for fact in found]
    stacked = [_stacked(fact, count) for fact in found[len(states) :]]
    if any(call.integers("scan_output_axes") or []):
        stacked = [Fact(bits=fact.bits) for fact in stacked]
    return [*carried, *stacked]
