"""Moves between memory and the lanes of vectors that a plain load or store does not make."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from photonpu.simd import DOUBLE_LANES, DOUBLES, EIGHTS, SINGLES, element_at, spread_lanes


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


# How eight rows of eight lanes are transposed: single lanes, pairs of them, then halves of two
# rows so far apart change places. What began as lane _FINAL[i] ends as row i.
_EXCHANGES = (
    (1, [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
    (2, [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
    (4, [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
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
        lanes = ir.VectorType(ir.IntType(32), DOUBLE_LANES)
        for apart, low, high in _EXCHANGES:
            for i in (i for i in range(DOUBLE_LANES) if not i & apart):
                both = rows[i], rows[i + apart]
                rows[i] = builder.shuffle_vector(*both, ir.Constant(lanes, low))
                rows[i + apart] = builder.shuffle_vector(*both, ir.Constant(lanes, high))
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
