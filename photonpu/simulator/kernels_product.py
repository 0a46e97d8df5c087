"""The innermost loop of a stream: a few vectors times a panel of weights, in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from photonpu.simd import LANES, SINGLES, element_at, spread_lanes


def make_panel_product(vectors: int, registers: int) -> Any:
    """Return a compiled function that multiplies a few vectors by a panel of weights.

    Parameters
    ----------
    vectors
        How many vectors at once.
    registers
        Registers of outputs, `LANES` each. ``vectors * registers`` sums stay in registers.

    Returns
    -------
    function
        ``product(field, base, first, offset, low, high, weights, begin, stride)``: element ``k``
        of vector ``i`` is ``field[base[first + i] + offset[k]]``; it meets lanes of weights from
        ``weights[begin + r * stride + (k - low) * LANES]`` on, for each register ``r``. Returns
        the sums over ``low <= k < high``, register by register, in each vector by vector. Arrays
        are given by their `address`; `base` and `offset` are of 32 bits.
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
        stride: Any,
    ) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            sums = _emit_product(builder, args, vectors, registers)
            return context.make_tuple(builder, sig.return_type, sums)

        return types.UniTuple(SINGLES, vectors * registers)(*(types.intp,) * 9), lower

    return product


def _emit_product(builder: Any, args: list[Any], vectors: int, registers: int) -> list[Any]:
    """Write the loop of a panel product: one multiply-add a sum and step."""
    field, base, first, offset, low, high, weights, begin, stride = args
    size, kind = first.type, SINGLES.llvm

    def number(value: int) -> Any:
        return ir.Constant(size, value)

    def element(start: Any, index: Any, what: ir.Type) -> Any:
        return builder.load(element_at(builder, start, index, what, what), typ=what)

    def integer(start: Any, index: Any) -> Any:
        return builder.sext(element(start, index, ir.IntType(32)), size)

    origins = [integer(base, builder.add(first, number(i))) for i in range(vectors)]
    panels = [builder.add(begin, builder.mul(stride, number(r))) for r in range(registers)]
    entry = builder.block
    head, body, end = (builder.append_basic_block(f"panel.{n}") for n in ("head", "body", "end"))
    builder.branch(head)

    builder.position_at_end(head)
    k, place = builder.phi(size), builder.phi(size)
    sums = [builder.phi(kind) for _ in range(vectors * registers)]
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
    grown = []
    for r, panel in enumerate(panels):
        source = element_at(builder, weights, builder.add(panel, place), kind.element, kind)
        weight = builder.load(source, typ=kind)
        weight.align = 4
        for i, value in enumerate(values):
            grown.append(builder.call(multiply_add, [value, weight, sums[r * vectors + i]]))
    following = [builder.add(k, number(1)), builder.add(place, number(LANES)), *grown]
    builder.branch(head)
    nothing = ir.Constant(kind, [0.0] * LANES)
    starting = [low, number(0), *[nothing] * len(sums)]
    for variable, start, after in zip([k, place, *sums], starting, following, strict=True):
        variable.add_incoming(start, entry)
        variable.add_incoming(after, body)

    builder.position_at_end(end)
    return sums
