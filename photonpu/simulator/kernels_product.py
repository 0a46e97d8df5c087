"""The innermost loop of a stream: a few vectors times a register of weights, in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from photonpu.simd import LANES, SINGLES, element_at, spread_lanes

#: Vectors of one product: their sums, and what they meet, fill the 16 registers of AVX2, of which
#: each takes two; AVX-512 has one for each, and needs more of them under way at once.
PRODUCT = 12 if binding.get_host_cpu_features().get("avx512f") else 6


def make_panel_product(vectors: int) -> Any:
    """Return a compiled function that multiplies a few vectors by a register of weights.

    Parameters
    ----------
    vectors
        How many vectors at once. Their sums stay in registers.

    Returns
    -------
    function
        ``product(field, base, first, offset, low, high, weights, begin, sums, at)``: element ``k``
        of vector ``i`` is ``field[base[first + i] + offset[k]]``; it meets lanes of weights from
        ``weights[begin + (k - low) * LANES]`` on. Writes the sums over ``low <= k < high``, vector
        by vector, from ``sums[at]`` on. Arrays are given by their `address`; `base` and `offset`
        are of 32 bits.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def product(
        typing: Any,
        field: Any,
        base: Any,
        first: Any,
        offset: Any,
        low: Any,
        high: Any,
        weights: Any,
        begin: Any,
        sums: Any,
        at: Any,
    ) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            _emit_product(builder, args, vectors)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 10), lower

    return product


def _emit_product(builder: Any, args: list[Any], vectors: int) -> None:
    """Write the loop of a panel product: one multiply-add a sum and step."""
    field, base, first, offset, low, high, weights, begin, target, at = args
    size, kind = first.type, SINGLES.llvm

    def number(value: int) -> Any:
        return ir.Constant(size, value)

    def element(start: Any, index: Any, what: ir.Type) -> Any:
        return builder.load(element_at(builder, start, index, what, what), typ=what)

    def integer(start: Any, index: Any) -> Any:
        return builder.sext(element(start, index, ir.IntType(32)), size)

    origins = [integer(base, builder.add(first, number(i))) for i in range(vectors)]
    entry = builder.block
    head, body, end = (builder.append_basic_block(f"panel.{n}") for n in ("head", "body", "end"))
    builder.branch(head)

    builder.position_at_end(head)
    k, place = builder.phi(size), builder.phi(size)
    sums = [builder.phi(kind) for _ in range(vectors)]
    builder.cbranch(builder.icmp_signed("<", k, high), body, end)

    builder.position_at_end(body)
    step = integer(offset, k)
    values = [
        spread_lanes(builder, element(field, builder.add(origin, step), kind.element), SINGLES)
        for origin in origins
    ]
    multiply_add = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{LANES}f32"
    )
    source = element_at(builder, weights, place, kind.element, kind)
    weight = builder.load(source, typ=kind)
    weight.align = 4
    grown = [
        builder.call(multiply_add, [value, weight, total])
        for value, total in zip(values, sums, strict=True)
    ]
    following = [builder.add(k, number(1)), builder.add(place, number(LANES)), *grown]
    builder.branch(head)
    nothing = ir.Constant(kind, [0.0] * LANES)
    starting = [low, begin, *[nothing] * vectors]
    for variable, start, after in zip([k, place, *sums], starting, following, strict=True):
        variable.add_incoming(start, entry)
        variable.add_incoming(after, body)

    builder.position_at_end(end)
    for i, total in enumerate(sums):
        where = builder.add(at, number(i * LANES))
        builder.store(total, element_at(builder, target, where, kind.element, kind)).align = 4
