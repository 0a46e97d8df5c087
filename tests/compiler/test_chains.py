"""Products in a row become one, and weighted sums become products."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import helper

from photonpu.compiler import passes
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.passes import PASSES
from tests.compiler.networks import Array, execute, network, numbers, products, run


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=f"{op}/{output}", **attributes)


def same(model: onnx.ModelProto, operators: list[str]) -> Graph:
    """Run all passes, and compare the operators that are left and what they compute."""
    graph = passes.run(from_model(model))
    assert [node.op for node in graph.nodes] == operators
    (value,) = model.graph.input
    x = numbers(*(axis.dim_value or 2 for axis in value.type.tensor_type.shape.dim), seed=9)
    for found, expected in zip(execute(graph, {"x": x}), run(model, {"x": x}), strict=True):
        npt.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
    return graph


def row(first: Array, second: Array, bias: bool = True) -> onnx.ModelProto:
    """Return two layers in a row, the first with a bias and an Add that is the second's."""
    constants = {
        "v": first,
        "w": second,
        "b": numbers(first.shape[1]),
        "c": numbers(second.shape[1]),
    }
    nodes = [
        node("MatMul", ["x", "v"], "t"),
        node("Add", ["t", "b"], "u"),
        node("MatMul", ["u", "w"], "z"),
        node("Add", ["z", "c"], "y"),
    ]
    return network(nodes, {"x": ["N", 3, len(first)]}, {"y": 3}, constants)


def test_two_layers_with_nothing_between_them_are_one() -> None:
    graph = same(row(numbers(4, 4), numbers(4, 5)), ["MatMul"])
    (product,) = products(graph).values()
    assert product.weights[0].shape == (1, 5, 4)


def test_a_narrow_waist_stays_where_one_matrix_would_be_more_work() -> None:
    # 8 x 1 and 1 x 8 against 8 x 8.
    same(row(numbers(8, 1), numbers(1, 8)), ["MatMul", "MatMul"])


def test_constants_on_the_left_join_too() -> None:
    constants = {"v": numbers(4, 3), "w": numbers(2, 4)}
    nodes = [node("MatMul", ["v", "x"], "t"), node("MatMul", ["w", "t"], "y")]
    same(network(nodes, {"x": [2, 3, 5]}, {"y": 3}, constants), ["MatMul"])


def test_constants_on_both_sides_stay_two_products() -> None:
    constants = {"v": numbers(4, 3), "w": numbers(5, 4)}
    nodes = [node("MatMul", ["v", "x"], "t"), node("MatMul", ["t", "w"], "y")]
    same(network(nodes, {"x": [2, 3, 5]}, {"y": 3}, constants), ["MatMul", "MatMul"])


def test_gemms_join_with_their_factors() -> None:
    constants = {"v": numbers(4, 3), "w": numbers(3, 2), "b": numbers(4), "c": numbers(2)}
    nodes = [
        node("Gemm", ["x", "v", "b"], "t", transB=1, alpha=0.5, beta=2.0),
        node("Gemm", ["t", "w2", "c"], "y", alpha=-1.0, beta=0.5),
    ]
    constants["w2"] = numbers(4, 2)
    del constants["w"]
    same(network(nodes, {"x": [5, 3]}, {"y": 2}, constants), ["Gemm"])


def test_a_layer_that_something_else_reads_stays() -> None:
    constants = {"v": numbers(4, 4), "w": numbers(4, 4)}
    nodes = [
        node("MatMul", ["x", "v"], "t"),
        node("MatMul", ["t", "w"], "u"),
        node("Add", ["t", "u"], "y"),
    ]
    same(network(nodes, {"x": [2, 4]}, {"y": 2}, constants), ["MatMul", "MatMul", "Add"])


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_weighted_sum_is_a_product(keepdims: int) -> None:
    constants = {"w": numbers(4), "a": np.array([-1])}
    nodes = [
        node("Mul", ["x", "w"], "t"),
        node("ReduceSum", ["t", "a"], "y", keepdims=keepdims),
    ]
    model = network(nodes, {"x": ["N", 3, 4]}, {"y": 2 + keepdims}, constants)
    assert len(products(same(model, ["MatMul"] if keepdims else ["MatMul", "Reshape"]))) == 1


def test_channels_that_are_weighted_and_summed_are_a_convolution_of_one_tap() -> None:
    constants = {"w": numbers(3, 1, 1), "a": np.array([1])}
    nodes = [node("Mul", ["w", "x"], "t"), node("ReduceSum", ["t", "a"], "y", keepdims=1)]
    model = network(nodes, {"x": [2, 3, 4, 5]}, {"y": 4}, constants)
    assert len(products(same(model, ["Reshape", "Conv", "Reshape"]))) == 1


def test_a_weighted_sum_in_an_old_operator_set_stays() -> None:
    nodes = [node("Mul", ["x", "w"], "t"), node("ReduceSum", ["t"], "y", axes=[1])]
    model = network(nodes, {"x": [2, 3]}, {"y": 2}, {"w": numbers(3)}, opset=11)
    graph = from_model(model)
    assert PASSES["gather_sums"](graph) is graph


def test_a_sum_over_an_axis_that_is_not_weighted_stays() -> None:
    constants = {"w": numbers(3, 1), "a": np.array([2])}
    nodes = [node("Mul", ["x", "w"], "t"), node("ReduceSum", ["t", "a"], "y")]
    graph = from_model(network(nodes, {"x": [2, 3, 4]}, {"y": 3}, constants))
    assert PASSES["gather_sums"](graph) is graph
