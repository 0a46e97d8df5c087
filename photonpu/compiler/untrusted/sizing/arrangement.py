"""Sizes of the outputs of products, windows and rearrangements; see `growth`."""

from __future__ import annotations

import math
from typing import Any

from photonpu.compiler.untrusted.sizing.facts import Call, Shape, Size, broadcast
from photonpu.compiler.untrusted.sizing.growth import RULES, given_axes, sizes_of

_REDUCTIONS = (
    "L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare",
)  # fmt: skip


def _whole(sizes: list[Size]) -> int | None:
    """Return the product of sizes, None if one is not known."""
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


@RULES.register("Concat")
def concat(call: Call) -> Shape | None:
    """Return the sum along one axis, at least that of the inputs that are known."""
    shapes = [fact.shape for fact in call.inputs if fact is not None]
    known = [shape for shape in shapes if shape is not None]
    if not known or len({len(shape) for shape in known}) > 1:
        return None
    rank, axis = len(known[0]), call.integer("axis", 1)
    if not -rank <= axis < rank:
        return None
    axis %= rank
    along = [shape[axis] for shape in known]
    total = None if None in along or len(known) < len(shapes) else sum(s for s in along if s)
    rest = [next((s[i] for s in known if s[i] is not None), None) for i in range(rank)]
    return (*rest[:axis], total, *rest[axis + 1 :])


@RULES.register("Reshape")
def _reshape(call: Call) -> Shape | None:
    shape = call.shape(0)
    target = call.integers("shape") if call.version < 5 else call.numbers(1)
    if target is None:
        return None
    sizes: list[Size] = []
    for index, size in enumerate(target):
        if size == 0 and not call.integer("allowzero"):
            sizes.append(shape[index] if shape is not None and index < len(shape) else None)
        else:
            sizes.append(None if size is None or size < 0 else int(size))
    if target.count(-1) == 1 and shape is not None:
        place = target.index(-1)
        rest, whole = _whole(sizes[:place] + sizes[place + 1 :]), _whole([*shape])
        if whole is not None and rest:
            sizes[place] = whole // rest
    return tuple(sizes)


@RULES.register("Flatten")
def _flatten(call: Call) -> Shape | None:
    shape, axis = call.shape(0), call.integer("axis", 1)
    if shape is None or not -len(shape) <= axis <= len(shape):
        return None
    axis += len(shape) if axis < 0 else 0
    return _whole([*shape[:axis]]), _whole([*shape[axis:]])


@RULES.register("Transpose")
def _transpose(call: Call) -> Shape | None:
    shape, order = call.shape(0), call.integers("perm")
    if shape is None or order is None:
        return None if shape is None else shape[::-1]
    return tuple(shape[i] for i in order) if sorted(order) == list(range(len(shape))) else None


@RULES.register("Unsqueeze")
def _unsqueeze(call: Call) -> Shape | None:
    shape, axes = call.shape(0), given_axes(call)
    if shape is None or not axes:
        return None
    rank = len(shape) + len(axes)
    places = {axis % rank for axis in axes if axis is not None and -rank <= axis < rank}
    rest = iter(shape)
    if len(places) < len(axes) or not places <= set(range(rank)):
        return None  # an axis that is twice there, or no whole number
    return tuple(1 if i in places else next(rest) for i in range(rank))


@RULES.register("Squeeze")
def _squeeze(call: Call) -> Shape | None:
    shape, axes = call.shape(0), given_axes(call)
    if shape is None or axes is None or None in axes:
        return None
    if not axes:
        return tuple(s for s in shape if s != 1) if None not in shape else None
    places = {axis % len(shape) for axis in axes} if shape else set()
    return tuple(size for i, size in enumerate(shape) if i not in places)


@RULES.register("Slice")
def _slice(call: Call) -> Shape | None:
    shape = call.shape(0)
    if shape is None:
        return None
    starts: list[Any] | None = call.integers("starts")
    ends: list[Any] | None = call.integers("ends")
    axes: list[Any] | None = call.integers("axes")
    steps: list[Any] | None = None
    if call.version >= 10:
        starts, ends = call.numbers(1), call.numbers(2)
        axes, steps = call.numbers(3), call.numbers(4)
        if call.fact(3) is not None and axes is None:
            return tuple(None for _ in shape)
    if starts is None or ends is None:
        places = list(range(len(shape))) if axes is None else [a % len(shape) for a in axes]
        return tuple(None if i in places else size for i, size in enumerate(shape))
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    result = [*shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=False):
        if axis is None or not -len(shape) <= axis < len(shape):
            return None
        result[axis] = _sliced(shape[axis], start, end, step)
    return tuple(result)


def _sliced(size: Size, start: Size, end: Size, step: Size) -> Size:
    if size is None or start is None or end is None or not step:
        return None
    return len(range(*slice(start, end, step).indices(size)))


def split(call: Call) -> list[Shape | None]:
    """Return the shapes of the outputs of Split."""
    shape, axis, count = call.shape(0), call.integer("axis"), len(call.node.output)
    parts: list[Size] | None
    parts = [*(call.integers("split") or ())] if call.fact(1) is None else call.numbers(1)
    if shape is None or not -len(shape) <= axis < len(shape):
        return [None] * count
    axis %= len(shape)
    size = shape[axis]
    if not parts and call.fact(1) is None and size is not None:
        each = -(-size // count)
        parts = [max(0, min(each, size - index * each)) for index in range(count)]
    if parts is None or len(parts) != count:
        parts = [None] * count
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]


@RULES.register("Gather")
def _gather(call: Call) -> Shape | None:
    shape, indices = call.shape(0), call.shape(1)
    axis = call.integer("axis")
    if shape is None or not -len(shape) <= axis < len(shape):
        return None if shape is None else shape
    axis %= len(shape)
    return None if indices is None else (*shape[:axis], *indices, *shape[axis + 1 :])


@RULES.register("GatherElements")
def _gather_elements(call: Call) -> Shape | None:
    return call.shape(1)


@RULES.register("GatherND")
def _gather_nd(call: Call) -> Shape | None:
    shape, indices, batch = call.shape(0), call.shape(1), call.integer("batch_dims")
    if shape is None or not indices or indices[-1] is None:
        return None
    return (*indices[:-1], *shape[batch + indices[-1] :])


@RULES.register("MatMul")
@RULES.register("MatMulInteger")
def _matmul(call: Call) -> Shape | None:
    return _product(call.shape(0), call.shape(1))


@RULES.register("QLinearMatMul")
def _quantised_matmul(call: Call) -> Shape | None:
    return _product(call.shape(0), call.shape(3))


def _product(a: Shape | None, b: Shape | None) -> Shape | None:
    if not a or not b:
        return None
    head = broadcast([a[:-2], b[:-2]])
    return (
        None if head is None else (*head, *(a[-2:-1] if len(a) > 1 else ()), *b[-1:][: len(b) - 1])
    )


@RULES.register("Gemm")
def _gemm(call: Call) -> Shape | None:
    a, b = call.shape(0), call.shape(1)
    if a is None or b is None or len(a) != 2 or len(b) != 2:
        return None
    return a[1 if call.integer("transA") else 0], b[0 if call.integer("transB") else 1]


@RULES.register("Einsum")
def _einsum(call: Call) -> Shape | None:
    equation = call.text("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if "." in equation or len(terms) != len(call.inputs):
        return None
    sizes: dict[str, Size] = {}
    for index, term in enumerate(terms):
        shape = call.shape(index)
        if shape is None or len(shape) != len(term):
            return None
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = size if sizes.get(letter) in (None, 1) else sizes[letter]
    if not arrow:
        right = "".join(sorted(c for c in sizes if left.count(c) == 1))
    return tuple(sizes.get(letter) for letter in right)


@RULES.register("TopK")
def _top_k(call: Call) -> Shape | None:
    shape, axis = call.shape(0), call.integer("axis", -1)
    k = [call.integer("k")] if call.version < 10 else call.numbers(1)
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    result = [*shape]
    result[axis] = None if not k or k[0] is None else int(k[0])
    return tuple(result)


def _reduce(call: Call) -> Shape | None:
    shape = call.shape(0)
    axes = given_axes(call)
    if shape is None:
        return None
    if axes == [] and not call.integer("noop_with_empty_axes"):
        axes = list(range(len(shape)))
    if axes is None or None in axes:
        return tuple(None for _ in shape) if call.integer("keepdims", 1) else None
    return _without(shape, axes, bool(call.integer("keepdims", 1)))


def _without(shape: Shape, axes: list[int], keep: bool) -> Shape:
    places = {axis % len(shape) for axis in axes} if shape else set()
    if keep:
        return tuple(1 if i in places else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in places)


for _name in _REDUCTIONS:
    RULES.register(f"Reduce{_name}")(_reduce)


@RULES.register("ArgMax")
@RULES.register("ArgMin")
def _arg(call: Call) -> Shape | None:
    shape = call.shape(0)
    keep = bool(call.integer("keepdims", 1))
    return None if shape is None else _without(shape, [call.integer("axis")], keep)


@RULES.register("DepthToSpace")
def _depth_to_space(call: Call) -> Shape | None:
    return _blocks(call, 1)


@RULES.register("SpaceToDepth")
def _space_to_depth(call: Call) -> Shape | None:
    return _blocks(call, -1)


def _blocks(call: Call, direction: int) -> Shape | None:
    shape, block = call.shape(0), call.integer("blocksize", 1)
    if shape is None or len(shape) != 4 or block < 1:
        return None
    n, c, h, w = shape

    def scaled(size: Size, factor: int, up: bool) -> Size:
        return None if size is None else size * factor if up else size // factor

    up = direction > 0
    return n, scaled(c, block**2, not up), scaled(h, block, up), scaled(w, block, up)


@RULES.register("Shape")
def _shape(call: Call) -> Shape | None:
    shape = call.shape(0)
    if shape is None:
        return (None,)
    stop = call.integer("end", len(shape)) if "end" in call.attributes else len(shape)
    return (len(range(*slice(call.integer("start"), stop).indices(len(shape)))),)


@RULES.register("Size")
@RULES.register("SequenceLength")
@RULES.register("OptionalHasElement")
def _scalar(call: Call) -> Shape | None:
    return ()


@RULES.register("NonZero")
def _non_zero(call: Call) -> Shape | None:
    shape = call.shape(0)
    return (None, None) if shape is None else (len(shape), _bound(call, shape))


def _bound(call: Call, shape: Shape) -> Size:
    """Return the most there can be of a constant; of data nobody knows how many there are."""
    return _whole([*shape]) if call.constant else None


@RULES.register("Compress")
@RULES.register("Unique")
def _selection(call: Call) -> Shape | None:
    shape = call.shape(0)
    if shape is None or "axis" not in call.attributes:
        return (None,) if shape is None else (_bound(call, shape),)
    axis = call.integer("axis")
    if not -len(shape) <= axis < len(shape):
        return None
    result = [*shape]
    result[axis] = result[axis] if call.constant else None
    return tuple(result)


@RULES.register("LSTM")
@RULES.register("GRU")
@RULES.register("RNN")
def _recurrent(call: Call) -> Shape | None:
    x, recurrence = call.shape(0), call.shape(2)
    if x is None or recurrence is None or len(x) != 3 or len(recurrence) != 3:
        return None
    if call.integer("layout"):
        return x[0], x[1], recurrence[0], recurrence[2]
    return x[0], recurrence[0], x[1], recurrence[2]


@RULES.register("RoiAlign")
def _roi_align(call: Call) -> Shape | None:
    x, regions = call.shape(0), call.shape(1)
    high, wide = call.integer("output_height", 1), call.integer("output_width", 1)
    channels = x[1] if x and len(x) > 1 else None
    return sizes_of([regions[0] if regions else None, channels, high, wide])


@RULES.register("MaxRoiPool")
def _roi_pool(call: Call) -> Shape | None:
    x, regions, pooled = call.shape(0), call.shape(1), call.integers("pooled_shape") or []
    channels = x[1] if x and len(x) > 1 else None
    return sizes_of([regions[0] if regions else None, channels, *pooled])


@RULES.register("GridSample")
def _grid_sample(call: Call) -> Shape | None:
    x, grid = call.shape(0), call.shape(1)
    return None if not x or not grid or len(x) < 2 else (*x[:2], *grid[1:-1])
