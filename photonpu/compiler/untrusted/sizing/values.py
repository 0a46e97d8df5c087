"""Small constants and shapes computed as the model would, with NumPy, to know sizes beforehand.

Numbers keep their type, so that integers overflow here as in onnxruntime. Functions whose last bit
depends on the machine (exp, log) are not here: what is computed must be exact. What is partly known
(the shape of an input with a free axis) is an array of objects with None for the unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from photonpu.compiler.untrusted.sizing.facts import Array, Call, tidy
from photonpu.compiler.untrusted.walk import where
from photonpu.errors import ModelError
from photonpu.registry import Registry

#: Operator -> its outputs from its inputs' values, both as the specification has them.
VALUES: Registry[Callable[[Call, list[Any]], Array | list[Array] | None]] = Registry("operator")


def _divide(a: Array, b: Array) -> Array | None:
    """Divide; integers towards zero, as C does."""
    if a.dtype.kind == "f":
        return a / b
    if a.dtype.kind not in "iu" or (b == 0).any() or (a == np.iinfo(a.dtype).min).any():
        return None if a.dtype.kind != "u" or (b == 0).any() else a // b
    quotient = np.abs(a) // np.abs(b)
    signed: Array = np.where((a < 0) != (b < 0), -quotient, quotient).astype(a.dtype)
    return signed


def _modulo(a: Array, b: Array) -> Array | None:
    return np.mod(a, b) if a.dtype.kind in "iu" and (b != 0).all() else None


def _power(a: Array, b: Array) -> Array | None:
    """Raise integers to powers that floating point holds exactly, whatever computes them."""
    if a.dtype.kind not in "iu" or b.dtype.kind not in "iu" or (b < 0).any():
        return None
    exact = np.abs(np.power(a.astype(np.float64), b)) < 2**53
    return np.power(a, b.astype(a.dtype)) if exact.all() else None


_UNARY: dict[str, Callable[..., Any]] = {
    "Abs": np.abs, "Ceil": np.ceil, "Floor": np.floor, "Neg": np.negative, "Not": np.logical_not,
    "Round": np.rint, "Sign": np.sign, "Sqrt": np.sqrt, "Identity": np.asarray,
}  # fmt: skip
_BINARY: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide, "Mod": _modulo,
    "Pow": _power, "Min": np.minimum, "Max": np.maximum, "And": np.logical_and,
    "Or": np.logical_or, "Equal": np.equal, "Greater": np.greater, "Less": np.less,
    "GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal,
}  # fmt: skip
_PARTLY: dict[str, Callable[[int, int], int | None]] = {
    "Add": lambda a, b: a + b, "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b,
    "Div": lambda a, b: (a // b if b and a >= 0 and b > 0 else None),
    "Min": min, "Max": max,
}  # fmt: skip


def check_division(call: Call) -> None:
    """Refuse the one division of integers that ends the process: of the least number by -1.

    Raises
    ------
    ModelError
        Names the node.
    """
    a, b = (fact.value if fact is not None else None for fact in (*call.inputs, None, None)[:2])
    if a is None or b is None or a.dtype.kind != "i" or b.dtype.kind != "i":
        return
    if (a == np.iinfo(a.dtype).min).any() and (b == -1).any():
        raise ModelError(
            f"{where(call.node)} divides the least {a.dtype} by -1, which has no result: correct "
            "the constants and export the model again"
        )


def evaluate(call: Call) -> list[Array] | None:
    """Return the outputs of an operator whose inputs' numbers are all known; None if it can't."""
    op = call.node.op_type
    if call.node.domain not in ("", "ai.onnx"):
        return None
    values = [None if fact is None else fact.value for fact in call.inputs]
    given = [v for f, v in zip(call.inputs, values, strict=True) if f is not None]
    if not given or any(value is None for value in given):
        return None
    try:
        with np.errstate(all="ignore"):
            found = _evaluate(op, call, values)
    except (ValueError, TypeError, IndexError, OverflowError, KeyError):
        return None  # malformed: onnxruntime's own complaint will say more
    if found is None:
        return None
    outputs = found if isinstance(found, list) else [found]
    return [tidy(np.asarray(value)) for value in outputs]


def _evaluate(op: str, call: Call, values: list[Any]) -> Array | list[Array] | None:
    partly = any(value is not None and value.dtype == object for value in values)
    if op in VALUES:
        found: Array | list[Array] | None = VALUES[op](call, values)
        return found
    if partly and op in _PARTLY and len(values) == 2:
        rule = _PARTLY[op]
        mixed: Array = np.frompyfunc(
            lambda a, b: None if a is None or b is None else rule(a, b), 2, 1
        )(*values)
        return mixed
    if partly:
        return np.asarray(values[0]) if op == "Identity" else None
    if op in _UNARY and len(values) == 1:
        result: Array = np.asarray(_UNARY[op](values[0])).astype(values[0].dtype)
        return result
    if op in _BINARY and len(values) == 2 and call.version >= 7:
        if op == "Mod" and call.integer("fmod"):
            return None
        answer: Array | None = _BINARY[op](values[0], values[1])
        return answer
    return None


def _axes(call: Call, values: list[Any]) -> list[int] | None:
    """Return axes from the second input, or from the attribute of older versions."""
    if len(values) > 1 and values[1] is not None:
        return [int(axis) for axis in values[1]]
    return call.integers("axes")


@VALUES.register("Cast")
def _cast(call: Call, values: list[Any]) -> Array | None:
    from onnx.helper import tensor_dtype_to_np_dtype

    (x,) = values
    kind = tensor_dtype_to_np_dtype(call.integer("to"))
    if x.dtype == object:
        return np.asarray(x) if kind == np.int64 else None
    if kind.kind not in "iufb" or (x.dtype.kind == "f" and not np.isfinite(x).all()):
        return None
    if x.dtype.kind == "f" and kind.kind in "iu":  # beyond the range it is the machine's affair
        info = np.iinfo(kind)
        if ((x < info.min) | (x >= float(info.max))).any():
            return None
    return np.asarray(x.astype(kind))


@VALUES.register("Gather")
def _gather(call: Call, values: list[Any]) -> Array:
    return np.asarray(np.take(values[0], values[1].astype(np.int64), call.integer("axis")))


@VALUES.register("Concat")
def _concat(call: Call, values: list[Any]) -> Array:
    if any(value.dtype == object for value in values):
        values = [value.astype(object) for value in values]
    return np.concatenate(values, call.integer("axis"))


@VALUES.register("Slice")
def _slice(call: Call, values: list[Any]) -> Array | None:
    x = values[0]
    if call.version < 10:
        parts = [call.integers(name) for name in ("starts", "ends", "axes")]
    else:
        parts = [None if value is None else [int(n) for n in value] for value in values[1:]]
    starts, ends, axes, steps = (*parts, None, None)[:4]
    places = [slice(None)] * x.ndim
    if starts is None or ends is None:
        return None
    steps = steps or [1] * len(starts)
    axes = axes or list(range(len(starts)))
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop: int | None = end
        if step < 0 and start < -x.shape[axis]:
            return None  # NumPy and ONNX clip it differently
        if step < 0 and end < -x.shape[axis]:
            stop = None
        places[axis] = slice(start, stop, step)
    part: Array = x[tuple(places)]
    return part


@VALUES.register("Squeeze")
def _squeeze(call: Call, values: list[Any]) -> Array:
    axes = _axes(call, values)
    squeezed: Array = np.squeeze(values[0], None if axes is None else tuple(axes))
    return squeezed


@VALUES.register("Unsqueeze")
def _unsqueeze(call: Call, values: list[Any]) -> Array:
    return np.expand_dims(values[0], tuple(_axes(call, values) or ()))


@VALUES.register("Reshape")
def _reshape(call: Call, values: list[Any]) -> Array | None:
    x, shape = values[0], values[1] if len(values) > 1 else call.integers("shape") or ()
    sizes = [int(size) for size in shape]
    if not call.integer("allowzero"):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return np.asarray(x.reshape(sizes))


@VALUES.register("Transpose")
def _transpose(call: Call, values: list[Any]) -> Array:
    return np.transpose(values[0], call.integers("perm"))


@VALUES.register("Split")
def _split(call: Call, values: list[Any]) -> list[Array] | None:
    parts = call.integers("split")
    if len(values) > 1 and values[1] is not None:
        parts = [int(part) for part in values[1]]
    axis, count = call.integer("axis"), len(call.node.output)
    if parts is None:
        each = -(-values[0].shape[axis] // count)
        parts = [each] * count
    return list(np.split(values[0], np.cumsum(parts)[:-1], axis))


@VALUES.register("ConstantOfShape")
def _constant_of_shape(call: Call, values: list[Any]) -> Array:
    from onnx import numpy_helper

    fill = np.zeros(1, np.float32)
    if "value" in call.attributes:
        fill = numpy_helper.to_array(call.attributes["value"].t)
    return np.full([int(size) for size in values[0]], fill.reshape(-1)[0], fill.dtype)


@VALUES.register("Expand")
def _expand(call: Call, values: list[Any]) -> Array:
    shape = np.broadcast_shapes(values[0].shape, tuple(int(size) for size in values[1]))
    return np.broadcast_to(values[0], shape)


@VALUES.register("Tile")
def _tile(call: Call, values: list[Any]) -> Array:
    return np.tile(values[0], [int(n) for n in values[1]])


@VALUES.register("Range")
def _range(call: Call, values: list[Any]) -> Array | None:
    start, stop, step = (value.reshape(()) for value in values)
    return None if step == 0 else np.asarray(np.arange(start, stop, step).astype(start.dtype))


@VALUES.register("Where")
def _where(call: Call, values: list[Any]) -> Array | None:
    condition, yes, no = values
    return None if condition.dtype == object else np.where(condition, yes, no)


@VALUES.register("Clip")
def _clip(call: Call, values: list[Any]) -> Array | None:
    if values[0].dtype == object or call.version < 11:
        return None
    low, high = (*values[1:], None, None)[:2]
    x: Array = values[0] if low is None else np.maximum(values[0], low)
    return x if high is None else np.minimum(x, high)


def _reduction(function: Callable[..., Any]) -> Callable[[Call, list[Any]], Array | None]:
    def reduce(call: Call, values: list[Any]) -> Array | None:
        if values[0].dtype.kind not in "iu":
            return None  # of floating-point numbers the order would matter
        axes = _axes(call, values)
        if not axes:
            if call.integer("noop_with_empty_axes"):
                return np.asarray(values[0])
            axes = list(range(values[0].ndim))
        keep = bool(call.integer("keepdims", 1))
        result = function(values[0], axis=tuple(axes), keepdims=keep)
        return np.asarray(result).astype(values[0].dtype)

    return reduce


VALUES.register("ReduceProd")(_reduction(np.prod))
VALUES.register("ReduceSum")(_reduction(np.sum))
VALUES.register("ReduceMax")(_reduction(np.max))
VALUES.register("ReduceMin")(_reduction(np.min))
