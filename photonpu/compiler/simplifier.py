"""Checked models with their shapes fixed and all that is constant folded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.compiler import checks
from photonpu.compiler.reader import drop_constant_inputs
from photonpu.errors import ModelError, UnsupportedModelError
from photonpu.registry import did_you_mean

if TYPE_CHECKING:
    import onnx


def simplify(
    model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None
) -> onnx.ModelProto:
    """Fold constants and fuse with onnxruntime at its basic level, which keeps to standard ONNX.

    Parameters
    ----------
    model
        What `read` gave; left as it is.
    shapes
        For inputs with free axes, the shapes to fix: more can be folded then.

    Returns
    -------
    onnx.ModelProto
        The same function.

    Raises
    ------
    ModelError
        A shape names no input or does not fit, or onnxruntime finds the model malformed.
    UnsupportedModelError
        onnxruntime does not implement one of the operators.
    """
    import onnx
    import onnxruntime

    fixed = fix_shapes(model, shapes or {})
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory(prefix="photonpu-") as folder:
        path = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(
                fixed.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no other root
            raise _runtime_refusal(fixed, error) from error
        simplified = onnx.load(path)
    drop_constant_inputs(simplified)
    return simplified


def _runtime_refusal(model: onnx.ModelProto, error: Exception) -> ModelError:
    said = checks.first_line(error)
    said = said.split(" : ", 3)[-1] if " : " in said else said
    if type(error).__name__ == "NotImplemented" or "is not a registered" in said:
        return UnsupportedModelError(
            f"model '{model.graph.name}': onnxruntime cannot run it: {said}; export the model in "
            "float32, with another operator set, or without that operator"
        )
    return ModelError(f"model '{model.graph.name}' is malformed: {said}; export it again")


def fix_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """Return a copy of the model whose named inputs have these shapes; a free batch stays free.

    Parameters
    ----------
    model
        The model; left as it is.
    shapes
        Input name -> all its axes. A first axis that is free, the batch, stays so.

    Raises
    ------
    ModelError
        A name is no input, or a shape contradicts the model's.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    inputs = {value.name: value for value in fixed.graph.input}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ModelError(
                f"shapes: the model has no input '{name}'"
                f"{did_you_mean(name, inputs) or f'; it has {_quoted(inputs)}'}"
            )
        _fix_shape(inputs[name], tuple(int(size) for size in shape))
    if shapes:
        del fixed.graph.value_info[:]  # written for the free shapes
    return fixed


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _fix_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    tensor = value.type.tensor_type
    known = tensor.HasField("shape")
    axes = tensor.shape.dim
    old = tuple(axis.dim_value if axis.dim_value > 0 else axis.dim_param or "?" for axis in axes)
    fits = not known or (
        len(old) == len(shape)
        and all(isinstance(a, str) or a == b for a, b in zip(old, shape, strict=True))
    )
    if not fits or any(size < 1 for size in shape):
        raise ModelError(
            f"shapes: input '{value.name}' is {old if known else 'of any shape'} and {shape} was "
            "asked for: give a positive number for each axis and keep those that are fixed"
        )
    batch = old[0] if old and isinstance(old[0], str) else None
    del axes[:]
    for index, size in enumerate(shape):
        if index == 0 and batch:
            axes.add().dim_param = "" if batch == "?" else batch
        else:
            axes.add().dim_value = size
