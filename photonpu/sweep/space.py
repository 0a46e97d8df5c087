"""What a sweep varies: keys of the machine, their values, and the grid of all combinations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from photonpu.errors import SweepError
from photonpu.hardware import Machine

MAX_POINTS = 100_000


def parse(texts: Iterable[str]) -> dict[str, tuple[object, ...]]:
    """Return the space that arguments of ``--vary`` name, in their order.

    Parameters
    ----------
    texts
        ``key=value,value,...``; a value ``low:high:count`` stands for `count` evenly spaced
        numbers, both ends included. Values stay text where the machine is to read them.

    Raises
    ------
    SweepError
        An argument without ``=`` or without values, a key that comes twice, a bad range.

    Examples
    --------
    >>> parse(["mesh.ports=16,32", "phase.error_rad=0.0:0.02:3"])
    {'mesh.ports': ('16', '32'), 'phase.error_rad': (0, 0.01, 0.02)}
    """
    space: dict[str, tuple[object, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise SweepError(f"'{text}' is no variation; write key=value,value or key=low:high:n")
        if key in space:
            raise SweepError(f"'{key}' is varied twice; list all its values in one place")
        items = [item.strip() for item in values.split(",")]
        if not all(items):
            raise SweepError(f"'{text}' has an empty value; write {key}=value,value")
        space[key] = tuple(itertools.chain.from_iterable(_expand(key, item) for item in items))
    return space


def settle(
    space: Mapping[str, Sequence[object]], machine: Machine
) -> dict[str, tuple[object, ...]]:
    """Return `space` with every value as `machine` reads it, so that no typo costs a night.

    Raises
    ------
    SweepError
        Nothing to vary, a key without values, more than `MAX_POINTS` combinations.
    MachineError
        A key that the machine does not have, or a value that it refuses.
    """
    if not space:
        raise SweepError("nothing is varied; name a key of the machine, such as mesh.ports=16,32")
    count = math.prod(len(values) for values in space.values())
    if count > MAX_POINTS:
        raise SweepError(f"the grid has {count} points and at most {MAX_POINTS} are allowed")
    settled = {}
    for key, values in space.items():
        if isinstance(values, str):
            raise SweepError(f"{key}='{values}': give a list of values, not one text")
        if not values:
            raise SweepError(f"'{key}' has no values")
        settled[key] = tuple(machine.override({key: value}).get(key) for value in values)
    return settled


def grid(space: Mapping[str, Sequence[object]]) -> tuple[dict[str, object], ...]:
    """Return every combination of the values of `space`; the last key varies fastest."""
    return tuple(
        dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())
    )


def _expand(key: str, item: str) -> tuple[object, ...]:
    """Return the numbers of a range, or the text itself where it is no range."""
    if ":" not in item:
        return (item,)
    try:
        low_text, high_text, count_text = item.split(":")
        low, high, count = float(low_text), float(high_text), int(count_text)
    except ValueError:
        raise SweepError(
            f"{key}={item}: no range; write low:high:count with two numbers and a whole one"
        ) from None
    if not 2 <= count <= MAX_POINTS or not math.isfinite(high - low):
        raise SweepError(f"{key}={item}: a range has finite ends and 2 to {MAX_POINTS} values")
    return tuple(_tidy(low + (high - low) * step / (count - 1)) for step in range(count))


def _tidy(value: float) -> int | float:
    """Return `value` without its last bits of rounding, as an `int` where it is whole."""
    rounded = float(f"{value:.12g}")
    return int(rounded) if rounded.is_integer() else rounded
