"""Tasks that the threads of a compiled function take as they come, for loads that are not even.

`numba.prange` gives each thread its share beforehand, and all wait for the one that other programs
hold up. Threads that take the next task until there is none all end together::

    counter = np.zeros(1, np.int64)
    for _ in prange(tasks):  # the first of each thread does all of its work
        task = take(counter)
        while task < tasks:
            ...
            task = take(counter)
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def take(typing: Any, counter: Any) -> Any:
    """Return the first element of an array of 64-bit integers, and count it up, as one step."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        one = ir.Constant(context.get_value_type(types.int64), 1)
        return builder.atomic_rmw("add", data, one, "monotonic")

    return types.int64(counter), lower
