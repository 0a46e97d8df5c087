"""Sizes that a user asks for, put in place of the axes of a model's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from photonpu.compiler.inference import infer
from photonpu.errors import ModelError
from photonpu.registry import did_you_mean

if TYPE_CHECKING:
    import onnx

Sizes = tuple[int | str, ...]


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """Return a model whose inputs have these shapes, itself for none; a free batch stays free.

    Parameters
    ----------
    model
        The model; left as it is.
    shapes
        Input name -> all its axes. A first axis that is free, the batch, stays so, unless an
        axis other than the first has the same name. An axis of the same name in another input
        gets the same size. A size in place of one that the model fixes is tried: where
        operators were exported for the old batch alone, a Reshape keeps the batch that it gets.

    Raises
    ------
    ModelError
        A name is no input, a shape has another number of axes than the model's, or two shapes
        give axes of one name different sizes.
    """
    import onnx

    if not shapes:
        return model
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    inputs = {value.name: value for value in fixed.graph.input}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ModelError(
                f"shapes: the model has no input '{name}'"
                f"{did_you_mean(name, inputs) or f'; it has {_quoted(inputs)}'}"
            )
        _check_shape(inputs[name], tuple(shape))
    changed = changes(model, shapes)
    if changed:
        _keep_batches(fixed)
    named = _named_sizes(inputs, shapes)
    for name, value in inputs.items():
        _fix(value, shapes.get(name), named)
    del fixed.graph.value_info[:]  # written for the free shapes
    for value in fixed.graph.output:
        if changed and value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    return fixed


def changes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Return in words, by input, where shapes ask for other sizes than those that a model fixes."""
    found = {}
    for value in model.graph.input:
        old, new = declared(value), shapes.get(value.name)
        if old is None or new is None or len(old) != len(new):
            continue
        if any(isinstance(a, int) and a != b for a, b in zip(old, new, strict=True)):
            found[value.name] = f"'{value.name}' {_by(new)} in place of {_by(old)}"
    return found


def declared(value: onnx.ValueInfoProto) -> Sizes | None:
    """Return the axes of a tensor, a ``str`` for a free one; None if the model says no shape."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        axis.dim_value if axis.dim_value > 0 else axis.dim_param or "?" for axis in tensor.shape.dim
    )


def _by(sizes: Sequence[int | str]) -> str:
    return "x".join(map(str, sizes))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _check_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    old = declared(value)
    if (old is None or len(old) == len(shape)) and all(size > 0 for size in shape):
        return
    raise ModelError(
        f"shapes: input '{value.name}' is {'of any shape' if old is None else old} and {shape} was "
        "asked for: give a positive number for each axis"
    )


def _named_sizes(
    inputs: Mapping[str, onnx.ValueInfoProto], shapes: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """Return the size of each axis by its name; of a batch only if it is another axis elsewhere."""
    elsewhere = {
        axis for value in inputs.values() for axis in (declared(value) or ())[1:] if axis != "?"
    }
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        for axis, size in zip(declared(inputs[name]) or (), shape, strict=False):
            if not isinstance(axis, str) or axis == "?" or axis not in elsewhere:
                continue
            if sizes.setdefault(axis, int(size)) != size:
                raise ModelError(
                    f"shapes: input '{name}' has {size} for axis '{axis}', which is {sizes[axis]} "
                    "in another input: axes of one name have one size"
                )
    return sizes


def _fix(value: onnx.ValueInfoProto, shape: Sequence[int] | None, named: Mapping[str, int]) -> None:
    """Write the sizes of an input's axes; `shape` is what was asked for it."""
    old = declared(value)
    if old is None and shape is None:
        return
    known = tuple(shape) if old is None and shape is not None else old or ()
    axes = value.type.tensor_type.shape.dim
    for index, axis in enumerate(known):
        size: int | str = named.get(axis, axis) if isinstance(axis, str) else axis
        if shape is not None and (index > 0 or isinstance(axis, int)):
            size = int(shape[index])
        place = axes[index] if index < len(axes) else axes.add()
        if isinstance(size, int):
            place.dim_value = size
    value.type.tensor_type.shape.SetInParent()


def _keep_batches(model: onnx.ModelProto) -> None:
    """Let each Reshape that keeps its first axis say so, in place, instead of naming its size."""
    from onnx import numpy_helper

    inferred = infer(model).graph
    shapes = {
        value.name: declared(value)
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node, tensor in _held_shapes(model.graph, constants):
        wanted = numpy_helper.to_array(tensor).copy()
        first = (shapes.get(node.input[0]) or (None,))[0]
        plain = not any(record.name == "allowzero" and record.i for record in node.attribute)
        if plain and wanted.ndim == 1 and len(wanted) and wanted[0] == first:
            wanted[0] = 0
            name = f"{node.input[1]}/{node.output[0]}"
            model.graph.initializer.append(numpy_helper.from_array(wanted, name))
            node.input[1] = name


def _held_shapes(
    graph: onnx.GraphProto, constants: Mapping[str, onnx.TensorProto]
) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Yield every Reshape to constant sizes with these; they may be held by a Constant node."""
    held = dict(constants)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            held[node.output[0]] = node.attribute[0].t
        if node.op_type == "Reshape" and len(node.input) > 1 and node.input[1] in held:
            yield node, held[node.input[1]]
