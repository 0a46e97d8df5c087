"""Vectors of the processor as a Numba type, for kernels that must not leave it to the compiler.

LLVM's vector types and intrinsics, portable: the registers of the host carry 16 single-precision
lanes in one of AVX-512, two of AVX2 or four of NEON. A compiled function computes with vectors as
with numbers (``+ - * ^ & | << >>``); what has no sign of its own is a function here. They live in
registers: they are loaded from arrays and stored to them, never passed to Python.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
DOUBLE_LANES = 8
_ELEMENTS: dict[Any, ir.Type] = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.int32: ir.IntType(32),
    types.uint32: ir.IntType(32),
    types.uint64: ir.IntType(64),
}
_CONTRACT = ("contract",)


class Vector(types.Type):  # type: ignore[misc]
    """Numba's type of a vector of `lanes` elements."""

    def __init__(self, element: Any, lanes: int) -> None:
        self.element = element
        self.lanes = lanes
        super().__init__(name=f"Vector({element}, {lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        """LLVM's type."""
        return ir.VectorType(_ELEMENTS[self.element], self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.llvm)


SINGLES = Vector(types.float32, LANES)
INTS = Vector(types.int32, LANES)
WORDS = Vector(types.uint32, LANES)
LONGS = Vector(types.uint64, LANES // 2)
DOUBLES = Vector(types.float64, DOUBLE_LANES)
EIGHTS = Vector(types.float32, DOUBLE_LANES)


def _enter_operator(sign: Callable[..., object], on_floats: str, on_ints: str) -> None:
    """Let compiled code apply `sign` to two vectors of one type."""

    @infer_global(sign)
    class _Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            del kws
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(sign, Vector, Vector)  # type: ignore[untyped-decorator]
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        del context
        element = sig.args[0].element
        if element in (types.float32, types.float64):
            return getattr(builder, on_floats)(*args, flags=_CONTRACT)
        arithmetic = on_ints == "lshr" and element is types.int32
        return getattr(builder, "ashr" if arithmetic else on_ints)(*args)


for _sign, _floats, _ints in (
    (operator.add, "fadd", "add"),
    (operator.sub, "fsub", "sub"),
    (operator.mul, "fmul", "mul"),
    (operator.truediv, "fdiv", "udiv"),
    (operator.xor, "", "xor"),
    (operator.and_, "", "and_"),
    (operator.or_, "", "or_"),
    (operator.lshift, "", "shl"),
    (operator.rshift, "", "lshr"),
):
    _enter_operator(_sign, _floats, _ints)


@infer_global(operator.neg)
class _TypingOfMinus(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        del kws
        if len(args) == 1 and args[0] in (DOUBLES, EIGHTS):
            return signature(args[0], *args)
        return None


@lower_builtin(operator.neg, Vector)  # type: ignore[untyped-decorator]
def _lower_minus(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(*args)


@intrinsic  # type: ignore[untyped-decorator]
def address(typing: Any, array: Any) -> Any:
    """Return where the elements of an array begin, which must outlive the use of it (`keep`).

    Handing arrays to other compiled functions counts their references, at a price that inner loops
    feel; a number costs nothing.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), lower


@intrinsic  # type: ignore[untyped-decorator]
def keep(typing: Any, array: Any) -> Any:
    """Hold an array until here: else it goes with its last use, which may be its `address`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), lower


def element_at(builder: Any, start: Any, index: Any, element: ir.Type, target: ir.Type) -> Any:
    """Return a pointer to element `index` of an array that begins at `start`, seen as `target`."""
    array = builder.inttoptr(start, element.as_pointer())
    return builder.bitcast(builder.gep(array, [index], inbounds=True), target.as_pointer())


def spread_lanes(builder: Any, value: Any, kind: Vector) -> Any:
    """Return a vector whose lanes all hold `value`."""
    nothing = ir.Constant(kind.llvm, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    lanes = ir.VectorType(ir.IntType(32), kind.lanes)
    return builder.shuffle_vector(first, nothing, ir.Constant(lanes, [0] * kind.lanes))


def _place(kind: Any) -> Any:
    """Return what the place of elements is passed as: an array, or a number."""
    return kind if isinstance(kind, types.Array) else types.intp


def _start(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return where the elements of `value`, an array or the `address` of one, begin."""
    if isinstance(kind, types.Array):
        data = context.make_array(kind)(context, builder, value).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))
    return value


def _make_load(kind: Vector) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def load(typing: Any, start: Any, index: Any) -> Any:
        """Return the lanes from element `index` on of an array, or of what begins at `start`."""

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            begin = _start(context, builder, sig.args[0], args[0])
            source = element_at(builder, begin, args[1], kind.llvm.element, kind.llvm)
            value = builder.load(source, typ=kind.llvm)
            value.align = 4
            return value

        return kind(_place(start), types.intp), lower

    return load


def _make_spread(kind: Vector) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def spread(typing: Any, value: Any) -> Any:
        """Return a vector whose lanes all hold `value`."""

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return spread_lanes(builder, args[0], kind)

        return kind(kind.element), lower

    return spread


load_singles = _make_load(SINGLES)
load_longs = _make_load(LONGS)
load_words = _make_load(WORDS)
spread_singles = _make_spread(SINGLES)
spread_ints = _make_spread(INTS)
spread_words = _make_spread(WORDS)


load_doubles = _make_load(DOUBLES)
spread_doubles = _make_spread(DOUBLES)
load_eights = _make_load(EIGHTS)
spread_eights = _make_spread(EIGHTS)


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, start: Any, index: Any, value: Any) -> Any:
    """Write the lanes of `value` from element `index` on of an array, or of what is at `start`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[2].llvm
        begin = _start(context, builder, sig.args[0], args[0])
        builder.store(args[2], element_at(builder, begin, args[1], kind.element, kind)).align = 4
        return context.get_dummy_value()

    return types.void(_place(start), types.intp, value), lower


@intrinsic  # type: ignore[untyped-decorator]
def alternate(typing: Any, even: Any, odd: Any) -> Any:
    """Return a vector whose 64-bit lanes hold `even` and `odd` by turns."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        both = ir.Constant(LONGS.llvm, ir.Undefined)
        for i, value in enumerate(args):
            both = builder.insert_element(both, value, ir.Constant(ir.IntType(32), i))
        lanes = ir.VectorType(ir.IntType(32), LONGS.lanes)
        turns = ir.Constant(lanes, [i % 2 for i in range(LONGS.lanes)])
        return builder.shuffle_vector(both, both, turns)

    return LONGS(types.uint64, types.uint64), lower


@intrinsic  # type: ignore[untyped-decorator]
def repeat_single(typing: Any, start: Any, index: Any) -> Any:
    """Return a vector whose lanes all hold one element of an array or of what is at `start`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        begin = _start(context, builder, sig.args[0], args[0])
        element = SINGLES.llvm.element
        source = element_at(builder, begin, args[1], element, element)
        return spread_lanes(builder, builder.load(source, typ=element), SINGLES)

    return SINGLES(_place(start), types.intp), lower


# Lanes that each of three rounds takes of two vectors, numbered on, for the first and the second
# of the two that it makes of them: what processors do in one instruction each.
_EXCHANGES = (
    (1, (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)
_ORDER = (0, 2, 1, 3, 4, 6, 5, 7)  # where the columns are after them


@intrinsic  # type: ignore[untyped-decorator]
def transposed(typing: Any, rows: Any) -> Any:
    """Return the columns of eight vectors of eight lanes."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = cgutils.unpack_tuple(builder, args[0], DOUBLE_LANES)
        words = ir.VectorType(ir.IntType(32), DOUBLE_LANES)
        for distance, first, second in _EXCHANGES:
            made = list(found)
            for i in range(DOUBLE_LANES):
                if i & distance:
                    continue
                pair = found[i], found[i + distance]
                made[i] = builder.shuffle_vector(*pair, ir.Constant(words, first))
                made[i + distance] = builder.shuffle_vector(*pair, ir.Constant(words, second))
            found = made
        return context.make_tuple(builder, sig.return_type, [found[i] for i in _ORDER])

    return rows(rows), lower


def _make_function(name: str, operands: int, vector: Vector = SINGLES) -> Any:
    """Return LLVM's function `name` of as many vectors as `operands`."""
    kind = vector.llvm
    full = f"llvm.{name}.v{vector.lanes}f{vector.element.bitwidth}"

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kinds = ir.FunctionType(kind, [kind] * operands)
        return builder.call(cgutils.get_or_insert_function(builder.module, kinds, full), args)

    if operands == 1:

        @intrinsic  # type: ignore[untyped-decorator]
        def of_one(typing: Any, x: Any) -> Any:
            return vector(vector), lower

        return of_one

    @intrinsic  # type: ignore[untyped-decorator]
    def of_three(typing: Any, x: Any, y: Any, z: Any) -> Any:
        return vector(vector, vector, vector), lower

    return of_three


sqrt = _make_function("sqrt", 1)
rint = _make_function("rint", 1)
fma = _make_function("fma", 3)
sqrt_doubles = _make_function("sqrt", 1, DOUBLES)
floor_doubles = _make_function("floor", 1, DOUBLES)
size_doubles = _make_function("fabs", 1, DOUBLES)
rint_eights = _make_function("rint", 1, EIGHTS)


@intrinsic  # type: ignore[untyped-decorator]
def where_less(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """Return lanes of `x` where those of `a` are less than those of `b`, else those of `y`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return x(a, b, x, y), lower


@intrinsic  # type: ignore[untyped-decorator]
def any_less(typing: Any, a: Any, b: Any) -> Any:
    """Return whether any lane of `a` is less than that of `b`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        flags = ir.IntType(a.lanes)
        less = builder.bitcast(builder.fcmp_ordered("<", *args), flags)
        return builder.icmp_unsigned("!=", less, ir.Constant(flags, 0))

    return types.boolean(a, b), lower


def _make_choice(order: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def choice(typing: Any, x: Any, y: Any) -> Any:
        """Return lanes of `x` where they stand in this order to those of `y`, else those of `y`."""

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(order, *args), *args)

        return x(x, y), lower

    return choice


minimum = _make_choice("<")
maximum = _make_choice(">")


def _make_cast(target: Vector, how: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def cast(typing: Any, x: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(builder, how)(args[0], target.llvm)

        return target(x), lower

    return cast


ints_to_singles = _make_cast(SINGLES, "sitofp")
doubles_to_eights = _make_cast(EIGHTS, "fptrunc")
bits_as_singles = _make_cast(SINGLES, "bitcast")
bits_as_words = _make_cast(WORDS, "bitcast")
bits_as_ints = _make_cast(INTS, "bitcast")


@intrinsic  # type: ignore[untyped-decorator]
def choose_negative(typing: Any, number: Any, negative: Any, other: Any) -> Any:
    """Return lanes of `negative` where those of `number` are below zero, else those of `other`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        nothing = ir.Constant(INTS.llvm, [0] * INTS.lanes)
        return builder.select(builder.icmp_signed("<", args[0], nothing), args[1], args[2])

    return negative(INTS, negative, negative), lower


@intrinsic  # type: ignore[untyped-decorator]
def wider(typing: Any, x: Any, most: Any) -> Any:
    """Return the larger magnitude of each two lanes: that of `x`, or `most`; NaN is the largest."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = ir.VectorType(ir.IntType(32), x.lanes)
        size, least = (builder.bitcast(value, words) for value in args)
        size = builder.and_(size, ir.Constant(words, [0x7FFFFFFF] * x.lanes))
        larger = builder.select(builder.icmp_signed(">", size, least), size, least)
        return builder.bitcast(larger, x.llvm)

    return x(x, most), lower
