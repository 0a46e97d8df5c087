"""A vector of eight numbers as a type that compiled kernels compute with.

Eight tiles lie side by side in one vector, and each keeps to its own lane: what becomes of a tile
does not depend on its neighbours, by construction. LLVM splits a vector into as many registers as
the machine needs. Loops that its own vectoriser would have to prove free of aliases, and whose
remainders it would compute another way, are written with it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8
_WORD = ir.VectorType(ir.DoubleType(), LANES)
_BYTES = 8
_ONE_OPERATION = ("contract",)


class Vector(types.Type):  # type: ignore[misc]
    """Numba's type of `LANES` float64 numbers."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector({LANES} x float64)")


VECTOR = Vector()


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    """A vector is an LLVM vector."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WORD)


def _operation(symbol: Callable[..., object], instruction: str, arguments: int) -> None:
    """Let `symbol` act on vectors, lane by lane, by an instruction of LLVM's."""

    @infer_global(symbol)
    class _Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            return signature(VECTOR, *args) if args == (VECTOR,) * arguments else None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=_ONE_OPERATION)

    lower_builtin(symbol, *(Vector,) * arguments)(lower)


_operation(operator.add, "fadd", 2)
_operation(operator.sub, "fsub", 2)
_operation(operator.mul, "fmul", 2)
_operation(operator.truediv, "fdiv", 2)
_operation(operator.neg, "fneg", 1)


def _place(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Return the address of element ``args[1]`` of the array ``args[0]``."""
    array = context.make_array(sig.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), ir.PointerType(_WORD))


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return elements `index` and following of a one-dimensional, contiguous array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, sig, args), align=_BYTES)

    return VECTOR(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to elements `index` and following of a contiguous array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, sig, args), align=_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), generate


@intrinsic  # type: ignore[untyped-decorator]
def spread(typing: Any, number: Any) -> Any:
    """Return a vector that holds `number` in every lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        empty = ir.Constant(_WORD, ir.Undefined)
        first = builder.insert_element(empty, args[0], ir.Constant(ir.IntType(32), 0))
        every = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, empty, every)

    return VECTOR(types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def where_less(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """Return `x` in the lanes where ``a < b``, and `y` in the others."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return VECTOR(VECTOR, VECTOR, VECTOR, VECTOR), generate


def _function(name: str) -> Any:
    """Return one of LLVM's functions of one number, for vectors."""

    @intrinsic  # type: ignore[untyped-decorator]
    def function(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = ir.FunctionType(_WORD, [_WORD])
            called = get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f64")
            return builder.call(called, args)

        return VECTOR(VECTOR), generate

    return function


root = _function("sqrt")
floor = _function("floor")
size = _function("fabs")
