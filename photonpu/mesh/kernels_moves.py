"""Moves between memory and the lanes of vectors that a plain load or store does not make."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from photonpu.simd import DOUBLE_LANES, DOUBLES, EIGHTS, SINGLES, element_at, spread_lanes


def _transpose(builder: Any, rows: list[Any], rounds: Any) -> None:
    """Let lanes of `rows` change places, round by round."""
    lanes = ir.VectorType(ir.IntType(32), DOUBLE_LANES)
    for apart, low, high in rounds:
        for i in (i for i in range(DOUBLE_LANES) if not i & apart):
            both = rows[i], rows[i + apart]
            rows[i] = builder.shuffle_vector(*both, ir.Constant(lanes, low))
            rows[i + apart] = builder.shuffle_vector(*both, ir.Constant(lanes, high))


@intrinsic  # type: ignore[untyped-decorator]
def gather_doubles(typing: Any, start: Any, places: Any, index: Any) -> Any:
    """Return element ``places[i] + index`` in lane i.

    Of the numbers and of `places`, 64-bit integers, the `address` is given.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        origin, places, index = args
        long, number = ir.IntType(64), DOUBLES.llvm.element
        result = ir.Constant(DOUBLES.llvm, ir.Undefined)
        for lane in range(DOUBLE_LANES):
            which = element_at(builder, places, ir.Constant(long, lane), long, long)
            place = builder.add(builder.load(which, typ=long), index)
            value = builder.load(element_at(builder, origin, place, number, number), typ=number)
            result = builder.insert_element(result, value, ir.Constant(ir.IntType(32), lane))
        return result

    return DOUBLES(types.intp, types.intp, types.intp), lower


# The same for numbers of double precision, whose pairs fill half of what a processor shuffles.
_ROUNDS = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)


_AHEAD = 64  # numbers: as many lines of memory as processors have under way


def _fetch(builder: Any, place: Any) -> None:
    """Bring what is at a place into the caches."""
    word = ir.IntType(32)
    kinds = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
    name = "llvm.prefetch.p0i8"
    prefetch = cgutils.get_or_insert_function(builder.module, kinds, name)
    builder.call(prefetch, [place, *(ir.Constant(word, number) for number in (0, 3, 1))])


@intrinsic  # type: ignore[untyped-decorator]
def collect_doubles(typing: Any, start: Any, places: Any, index: Any, target: Any) -> Any:
    """Write what `gather_doubles` gives of `index` and of the seven behind it, one after another.

    `target` is the `address` of the first of 64 numbers. What is `_AHEAD` behind them is fetched.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        origin, places, index, target = args
        long, kind = ir.IntType(64), DOUBLES.llvm
        rows = []
        for lane in range(DOUBLE_LANES):
            which = element_at(builder, places, ir.Constant(long, lane), long, long)
            place = builder.add(builder.load(which, typ=long), index)
            source = element_at(builder, origin, place, kind.element, kind)
            rows.append(builder.load(source, typ=kind))
            rows[-1].align = 8
            place = builder.add(place, ir.Constant(long, _AHEAD))
            _fetch(builder, element_at(builder, origin, place, kind.element, ir.IntType(8)))
        _transpose(builder, rows, _ROUNDS)
        for i, row in enumerate(rows):
            where = ir.Constant(long, DOUBLE_LANES * i)
            builder.store(row, element_at(builder, target, where, kind.element, kind)).align = 8
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 4), lower


@intrinsic  # type: ignore[untyped-decorator]
def turn_quarters(typing: Any, quarters: Any, sine: Any, cosine: Any) -> Any:
    """Return sine and cosine of an angle that is larger by so many quarters of a turn.

    `quarters` are whole numbers in lanes of double precision.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = ir.VectorType(ir.IntType(32), DOUBLE_LANES)
        flags = ir.VectorType(ir.IntType(1), DOUBLE_LANES)
        whole = builder.fptosi(args[0], lanes)
        odd = builder.trunc(whole, flags)
        chosen = []
        for ahead, (even, other) in enumerate((args[1:], args[:0:-1])):
            count = builder.add(whole, ir.Constant(lanes, [ahead] * DOUBLE_LANES))
            half = builder.and_(count, ir.Constant(lanes, [2] * DOUBLE_LANES))
            sign = builder.shl(half, ir.Constant(lanes, [30] * DOUBLE_LANES))
            bits = builder.bitcast(builder.select(odd, other, even), lanes)
            chosen.append(builder.bitcast(builder.xor(bits, sign), EIGHTS.llvm))
        return context.make_tuple(builder, sig.return_type, chosen)

    return types.UniTuple(EIGHTS, 2)(DOUBLES, EIGHTS, EIGHTS), lower


# How eight rows of eight lanes are transposed: single lanes, pairs of them, then halves of two
# rows so far apart change places. What began as lane _FINAL[i] ends as row i.
_EXCHANGES = (
    (1, (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)
_FINAL = (0, 2, 1, 3, 4, 6, 5, 7)


@intrinsic  # type: ignore[untyped-decorator]
def store_across(
    typing: Any,
    start: Any,
    pitch: Any,
    index: Any,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
    e: Any,
    f: Any,
    g: Any,
    h: Any,
) -> Any:
    """Write lanes i of eight vectors of eight side by side, from ``i * pitch + index`` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        begin, pitch, index, *rows = args
        _transpose(builder, rows, _EXCHANGES)
        kind = EIGHTS.llvm
        for lane, row in zip(_FINAL, rows, strict=True):
            place = builder.add(builder.mul(pitch, ir.Constant(pitch.type, lane)), index)
            builder.store(row, element_at(builder, begin, place, kind.element, kind)).align = 4
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 3, *(EIGHTS,) * 8), lower


@intrinsic  # type: ignore[untyped-decorator]
def spread_at(typing: Any, start: Any, index: Any) -> Any:
    """Return sixteen times element `index` of the single-precision numbers at an address."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = SINGLES.llvm.element
        start, index = args
        value = builder.load(element_at(builder, start, index, number, number), typ=number)
        return spread_lanes(builder, value, SINGLES)

    return SINGLES(types.intp, types.intp), lower


@intrinsic  # type: ignore[untyped-decorator]
def integer_at(typing: Any, start: Any, index: Any) -> Any:
    """Return element `index` of the 32-bit integers at an address."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = ir.IntType(32)
        start, index = args
        value = builder.load(element_at(builder, start, index, number, number), typ=number)
        return builder.sext(value, context.get_value_type(types.intp))

    return types.intp(types.intp, types.intp), lower
