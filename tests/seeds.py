"""Small sound models of many kinds, to be damaged: ours, and those of ONNX's own operator tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.compiler.networks import Array, network, numbers, single

#: Larger models say no more and take longer.
LARGEST_BYTES = 6_000
#: Our own stand so often among the seeds, which makes them one in five.
WEIGHT = 40


def write(folder: Path) -> Path:
    """Write every seed as a file of its own, and return the folder."""
    for name, model in _own():
        (folder / f"own_{name}.onnx").write_bytes(model.SerializeToString())
    for name, model in _suite():
        data = model.SerializeToString()
        if len(data) <= LARGEST_BYTES:
            (folder / f"{name}.onnx").write_bytes(data)
    return folder


def load(folder: Path) -> list[tuple[str, bytes]]:
    """Return name and bytes of every seed, in the order of their names, our own repeated."""
    seeds = [(path.stem, path.read_bytes()) for path in sorted(folder.glob("*.onnx"))]
    return seeds + [seed for seed in seeds if seed[0].startswith("own_")] * (WEIGHT - 1)


def _suite() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield the models of ONNX's operator tests: as they are, and with constants for inputs.

    In the suite everything is an input. With all inputs but the first held at the values that the
    test gives them, products have their weights, and shapes fold.
    """
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some compute expected values out of range
        cases = collect_testcases()
    for case in cases:
        assert case.model is not None
        yield case.name, case.model
        fixed = _held(case)
        if fixed is not None:
            yield f"{case.name}_held", fixed


def _held(case: Any) -> onnx.ModelProto | None:
    model, (inputs, _) = case.model, case.data_sets[0]
    values = list(zip(model.graph.input, inputs, strict=False))[1:]
    if not values or not all(isinstance(array, np.ndarray) for _, array in values):
        return None
    held = onnx.ModelProto()
    held.CopyFrom(model)
    del held.graph.input[1:]
    for value, array in values:
        held.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return held


def _own() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield products of every kind, quantised ones, control flow, functions and chains."""
    x = numbers(1, 4, 6, 6)
    yield "conv", single("Conv", x, {"w": numbers(3, 4, 3, 3), "b": numbers(3)}, 4, pads=[1] * 4)
    yield "conv_groups", single("Conv", x, {"w": numbers(4, 2, 3, 3)}, 4, group=2, strides=[2, 2])
    yield "conv_same", single("Conv", x, {"w": numbers(2, 4, 2, 2)}, 4, auto_pad="SAME_LOWER")
    yield "conv_1d", single("Conv", numbers(1, 2, 9), {"w": numbers(2, 2, 3)}, 3, dilations=[2])
    yield "conv_3d", single("Conv", numbers(1, 2, 4, 4, 4), {"w": numbers(2, 2, 2, 2, 2)}, 5)
    yield (
        "conv_transpose",
        single(
            "ConvTranspose",
            x,
            {"w": numbers(4, 2, 3, 3)},
            4,
            strides=[2, 2],
            output_padding=[1, 1],
            pads=[1, 0, 0, 1],
        ),
    )
    yield (
        "conv_transpose_shape",
        single(
            "ConvTranspose",
            x,
            {"w": numbers(4, 1, 2, 2)},
            4,
            group=2,
            strides=[2, 2],
            output_shape=[12, 12],
        ),
    )
    yield "gemm", single("Gemm", numbers(2, 5), {"w": numbers(3, 5), "b": numbers(3)}, 2, transB=1)
    yield "matmul", single("MatMul", numbers(2, 3, 4), {"w": numbers(4, 2)}, 3)
    yield "einsum", single("Einsum", numbers(2, 4), {"w": numbers(4, 3)}, 2, equation="ij,jk->ik")
    yield "resize", _resize()
    yield "chain", _chain()
    yield "branch", _branch()
    yield "loop", _loop()
    yield "function", _function()
    yield "quantised", _quantised()
    yield "shape_arithmetic", _shape_arithmetic()


def _resize() -> onnx.ModelProto:
    scales = np.array([1, 1, 2, 2], np.float32)
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest")
    return network([node], {"x": [1, 2, 4, 4]}, {"y": 4}, {"s": scales})


def _chain() -> onnx.ModelProto:
    """Build a block of a U-Net with normalisation, pooling and a skip."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"], name="norm"),
        node("Relu", ["n"], ["r"], name="relu"),
        node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("ConvTranspose", ["p", "u"], ["q"], name="up", strides=[2, 2]),
        node("Concat", ["q", "r"], ["c"], name="join", axis=1),
        node("Conv", ["c", "o"], ["z"], name="head"),
        node("Sigmoid", ["z"], ["y"], name="mask"),
    ]
    constants: dict[str, Array] = {
        "w": numbers(3, 1, 3, 3),
        **{name: np.abs(numbers(3, seed=i)) for i, name in enumerate("sbmv")},
        "u": numbers(3, 2, 2, 2),
        "o": numbers(1, 5, 1, 1),
    }
    return network(nodes, {"x": ["N", 1, 8, 8]}, {"y": 4}, constants)


def _scalar(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _branch() -> onnx.ModelProto:
    """Build an If with a product in each branch, which read outer tensors."""
    branches = {}
    for name, weight in (("then_branch", "w"), ("else_branch", "u")):
        branches[name] = helper.make_graph(
            [helper.make_node("MatMul", ["x", weight], [f"{name}_y"], name=f"{name}_product")],
            name,
            [],
            [_scalar(f"{name}_y", TensorProto.FLOAT, [2, 3])],
            [numpy_helper.from_array(numbers(4, 3), weight)] if weight == "u" else [],
        )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], name="choose", **branches),
    ]
    constants: dict[str, Array] = {"w": numbers(4, 3, seed=1), "zero": np.array(0, np.float32)}
    return network(nodes, {"x": [2, 4]}, {"y": 2}, constants)


def _loop() -> onnx.ModelProto:
    """Build a Loop that multiplies three times."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "w"], ["next"], name="turn"),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            _scalar("i", TensorProto.INT64, []),
            _scalar("go", TensorProto.BOOL, []),
            _scalar("state", TensorProto.FLOAT, [2, 4]),
        ],
        [_scalar("on", TensorProto.BOOL, []), _scalar("next", TensorProto.FLOAT, [2, 4])],
    )
    node = helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body)
    constants: dict[str, Array] = {"w": numbers(4, 4), "trips": np.array(3, np.int64)}
    return network([node], {"x": [2, 4]}, {"y": 2}, constants)


def _function() -> onnx.ModelProto:
    """Build a model that brings an operator of its own."""
    linear = helper.make_function(
        "own",
        "Linear",
        ["a", "w", "b"],
        ["c"],
        [
            helper.make_node("MatMul", ["a", "w"], ["t"]),
            helper.make_node("Add", ["t", "b"], ["c"]),
        ],
        [helper.make_opsetid("", 17)],
    )
    node = helper.make_node("Linear", ["x", "w", "b"], ["y"], name="own", domain="own")
    constants: dict[str, Array] = {"w": numbers(4, 3), "b": numbers(3)}
    model = network([node], {"x": [2, 4]}, {"y": 2}, constants)
    model.functions.append(linear)
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def _quantised() -> onnx.ModelProto:
    """Build a QLinearConv with constant weights between its converters."""
    one = np.array(0.1, np.float32)
    zero = np.array(128, np.uint8)
    weight = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="in"),
        node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z"], ["r"], name="product"),
        node("DequantizeLinear", ["r", "s", "z"], ["y"], name="out"),
    ]
    return network(nodes, {"x": [1, 2, 5, 5]}, {"y": 4}, {"s": one, "z": zero, "w": weight})


def _shape_arithmetic() -> onnx.ModelProto:
    """Build a Reshape to a shape that is computed from the input's, and a Gemm."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Concat", ["n", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("Gemm", ["flat", "w"], ["y"], name="head"),
    ]
    constants: dict[str, Array] = {
        "zero": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
        "w": numbers(8, 3),
    }
    return network(nodes, {"x": ["N", 2, 4]}, {"y": 2}, constants)
