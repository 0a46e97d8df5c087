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
            *inputs, target, start = args
            for i, value in enumerate(_emit_product(builder, inputs, vectors)):
                where = builder.add(start, ir.Constant(start.type, i * LANES))
                _write(builder, value, target, where)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 10), lower

    return product


def make_panel_detection(vectors: int, spreads: bool) -> Any:
    """Return a compiled function that multiplies as `make_panel_product`'s, detects and adds up.

    Parameters
    ----------
    vectors
        How many vectors at once.
    spreads
        Whether the variances of noise that is not drawn, but for those at zero, add up too.

    Returns
    -------
    function
        ``detection(field, base, first, offset, low, high, weights, begin, lanes, levels, slope,
        total, spread, at, stride)``: what `photonpu.simulator.kernels_detection.collect`, and
        `spread_out`, make of the sums, without leaving the registers. `lanes` is where those of
        the register are; totals of a vector are `stride` apart from `at` on, and so are variances.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def detection(
        typing: Any,
        field: Any,
        base: Any,
        first: Any,
        offset: Any,
        low: Any,
        high: Any,
        weights: Any,
        begin: Any,
        lanes: Any,
        levels: Any,
        slope: Any,
        total: Any,
        spread: Any,
        at: Any,
        stride: Any,
    ) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            _emit_detection(builder, args, vectors, spreads)
            return context.get_dummy_value()

        numbers = (types.float32,) * 2
        return types.void(*(types.intp,) * 9, *numbers, *(types.intp,) * 4), lower

    return detection


def _emit_detection(builder: Any, args: list[Any], vectors: int, spreads: bool) -> None:
    """Write a product, and what becomes of its sums at the detectors."""
    *inputs, lanes, levels, slope, total, spread, at, stride = args
    sums = _emit_product(builder, inputs, vectors)

    def quantity(number: int) -> Any:
        return _read(builder, lanes, ir.Constant(at.type, number * LANES))

    def call(name: str, *operands: Any) -> Any:
        kind = SINGLES.llvm
        kinds = ir.FunctionType(kind, [kind] * len(operands))
        full = f"llvm.{name}.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kinds, full), operands)

    steps, unit, shift = (quantity(number) for number in range(3))
    top = spread_lanes(builder, levels, SINGLES)
    bottom = builder.fneg(top)
    gain = builder.fmul(steps, unit)
    growth = builder.fmul(spread_lanes(builder, slope, SINGLES), builder.fmul(gain, gain))
    for value in sums:
        if spreads:
            grown = call("fma", builder.fmul(growth, value), value, _read(builder, spread, at))
            _write(builder, grown, spread, at)
        code = call("rint", call("fma", value, steps, shift))
        code = builder.select(builder.fcmp_ordered("<", code, top), code, top)
        code = builder.select(builder.fcmp_ordered(">", code, bottom), code, bottom)
        _write(builder, call("fma", code, unit, _read(builder, total, at)), total, at)
        at = builder.add(at, stride)


def _read(builder: Any, start: Any, at: Any) -> Any:
    """Write the load of a register from an element of an array on."""
    kind = SINGLES.llvm
    value = builder.load(element_at(builder, start, at, kind.element, kind), typ=kind)
    value.align = 4
    return value


def _write(builder: Any, value: Any, start: Any, at: Any) -> None:
    """Write the store of a register from an element of an array on."""
    kind = SINGLES.llvm
    builder.store(value, element_at(builder, start, at, kind.element, kind)).align = 4


def _emit_product(builder: Any, args: list[Any], vectors: int) -> list[Any]:
    """Write the loop of a panel product, one multiply-add a sum and step; return the sums."""
    field, base, first, offset, low, high, weights, begin = args
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
    weight = _read(builder, weights, place)
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
    return sums
