"""Products that onnxruntime fused with what is around them become ONNX's own operators again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from photonpu.compiler.graph import Graph, Node, Shape
from photonpu.compiler.passes.replacement import Replacement, rewrite, transposed
from photonpu.registry import Registry

_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_GEMM = ("alpha", "beta", "transA", "transB")
#: Activation -> what its parameters are called, in their order.
ACTIVATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Relu": (),
        "Sigmoid": (),
        "Tanh": (),
        "LeakyRelu": ("alpha",),
        "Elu": ("alpha",),
        "HardSigmoid": ("alpha", "beta"),
    }
)


def split_fused(graph: Graph) -> Graph:
    """Take FusedMatMul, FusedGemm and FusedConv apart: the mesh knows the products inside them.

    A model that onnxruntime optimised and saved holds them.
    """
    return rewrite(graph, _change)


def _change(graph: Graph, node: Node) -> Replacement | None:
    if node.operator not in FUSED:
        return None
    new = Replacement(graph, node)
    return new if FUSED[node.operator](new, node.values()) else None


#: Operator with its domain -> what writes its parts, and says whether it could.
FUSED: Registry[Callable[[Replacement, Mapping[str, Any]], bool]] = Registry("fused operator")


@FUSED.register("com.microsoft.FusedConv")
def fused_conv(new: Replacement, values: Mapping[str, Any]) -> bool:
    """Write Conv, the addition of a fourth input, and the activation."""
    product = _part(new, "Conv", new.node.inputs[:3], values, _CONV)
    if len(new.node.inputs) > 3 and new.node.inputs[3]:
        product = new.apply("Add", [product, new.node.inputs[3]], label="sum")
    return _activated(new, product, values, values.get("activation_params", []))


@FUSED.register("com.microsoft.FusedGemm")
def fused_gemm(new: Replacement, values: Mapping[str, Any]) -> bool:
    """Write Gemm and the activation."""
    product = _part(new, "Gemm", new.node.inputs, values, _GEMM)
    given = (values.get(f"activation_{name}") for name in ("alpha", "beta", "gamma"))
    return _activated(new, product, values, [value for value in given if value is not None])


@FUSED.register("com.microsoft.FusedMatMul")
@FUSED.register("com.microsoft.TransposeMatMul")
def fused_matmul(new: Replacement, values: Mapping[str, Any]) -> bool:
    """Write MatMul; a constant takes in what it can, Transpose and Mul do the rest."""
    alpha = values.get("alpha", 1.0)
    names, shapes = [], []
    for flag, name in zip(("transA", "transB"), new.node.inputs, strict=True):
        shape = _shape(new.graph, name)
        if shape is None or values.get(flag.replace("trans", "transBatch"), 0):
            return False  # the batch in the middle: nothing is known to write that
        turned = bool(values.get(flag, 0)) and len(shape) > 1
        value = new.graph.constants.get(name)
        if value is not None and value.dtype == np.float32 and (turned or alpha != 1.0):
            value = np.float32(alpha) * (value.swapaxes(-1, -2) if turned else value)
            alpha, shape = 1.0, value.shape
            name = new.constant(flag, value)
        elif turned:
            order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
            name = transposed(new, name, shape, order, flag)
            shape = new.shapes.get(name, shape)
        names.append(name)
        shapes.append(shape)
    product = new.apply("MatMul", names)
    if alpha != 1.0:
        new.apply(
            "Mul", [product, new.constant("alpha", np.array(alpha, np.float32))], label="alpha"
        )
    return True


def _shape(graph: Graph, name: str) -> Shape | None:
    value = graph.constants.get(name)
    return graph.shapes.get(name) if value is None else value.shape


def _part(
    new: Replacement, op: str, inputs: Sequence[str], values: Mapping[str, Any], kept: Sequence[str]
) -> str:
    """Write the product with those attributes that are its own."""
    return new.apply(op, inputs, **{key: values[key] for key in kept if key in values})


def _activated(
    new: Replacement, data: str, values: Mapping[str, Any], params: Sequence[float]
) -> bool:
    """Write the activation, and say whether it is one that ONNX has too."""
    op = values.get("activation", "")
    if op == "Clip":
        bounds = [new.constant(f"bound{i}", np.array(v, np.float32)) for i, v in enumerate(params)]
        new.apply(op, [data, *bounds], label="activation")
    elif op in ACTIVATIONS and len(params) <= len(ACTIVATIONS[op]):
        given: dict[str, Any] = dict(zip(ACTIVATIONS[op], params, strict=False))
        new.apply(op, [data], label="activation", **given)
    return op in ("", "Clip", *ACTIVATIONS)
