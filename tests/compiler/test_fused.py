"""Fused operators of onnxruntime: taken apart, they compute the same and reach the mesh."""

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

DATA = numbers(2, 3, 4, seed=5)
IMAGE = numbers(1, 4, 5, 5, seed=5)


def fused(
    op: str, inputs: list[str], x: Array, rank: int, constants: dict[str, Array], **attributes: Any
) -> onnx.ModelProto:
    node = helper.make_node(op, inputs, ["y"], name="it", domain="com.microsoft", **attributes)
    model = network([node], {"x": x.shape}, {"y": rank}, constants)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def on_mesh(model: onnx.ModelProto, x: Array, operators: list[str]) -> Graph:
    graph = passes.run(from_model(model))
    assert [node.op for node in graph.nodes] == operators
    assert list(products(graph)) == ["it"]
    (expected,), (found,) = run(model, {"x": x}), execute(graph, {"x": x})
    npt.assert_allclose(found, expected, atol=1e-5)
    return graph


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_a_fused_matmul_with_a_constant_takes_factor_and_transpose_into_it(
    turned: int, alpha: float
) -> None:
    constants = {"w": numbers(5, 4) if turned else numbers(4, 5)}
    model = fused("FusedMatMul", ["x", "w"], DATA, 3, constants, transB=turned, alpha=alpha)
    on_mesh(model, DATA, ["MatMul"])


def test_a_fused_matmul_turns_its_data_by_a_transpose() -> None:
    model = fused("FusedMatMul", ["x", "w"], DATA, 3, {"w": numbers(3, 5)}, transA=1)
    on_mesh(model, DATA, ["Transpose", "MatMul"])


def test_a_fused_matmul_of_two_activations_scales_behind_it() -> None:
    model = fused("FusedMatMul", ["x", "x"], DATA, 3, {}, transB=1, alpha=0.5)
    graph = passes.run(from_model(model))
    assert [node.op for node in graph.nodes] == ["Transpose", "MatMul", "Mul"]
    npt.assert_allclose(execute(graph, {"x": DATA})[0], run(model, {"x": DATA})[0], atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "params"),
    [
        ("Relu", []),
        ("Tanh", []),
        ("Sigmoid", []),
        ("LeakyRelu", [0.3]),
        ("Clip", [-0.2, 0.4]),
        ("HardSigmoid", [0.3, 0.4]),
    ],
)
def test_a_fused_convolution_is_a_convolution_and_its_activation(
    activation: str, params: list[float]
) -> None:
    constants = {"w": numbers(6, 2, 3, 3), "b": numbers(6)}
    attributes: dict[str, Any] = {"activation_params": params} if params else {}
    model = fused(
        "FusedConv",
        ["x", "w", "b"],
        IMAGE,
        4,
        constants,
        activation=activation,
        group=2,
        pads=[1] * 4,
        **attributes,
    )
    on_mesh(model, IMAGE, ["Conv", activation])


def test_a_fused_convolution_adds_its_fourth_input_before_the_activation() -> None:
    constants = {"w": numbers(4, 4, 1, 1), "b": numbers(4)}
    model = fused("FusedConv", ["x", "w", "b", "x"], IMAGE, 4, constants, activation="Relu")
    on_mesh(model, IMAGE, ["Conv", "Add", "Relu"])


def test_a_fused_gemm_is_a_gemm_and_its_activation() -> None:
    x, constants = numbers(3, 4), {"w": numbers(5, 4), "b": numbers(5)}
    model = fused(
        "FusedGemm",
        ["x", "w", "b"],
        x,
        2,
        constants,
        transB=1,
        alpha=0.5,
        activation="LeakyRelu",
        activation_alpha=0.2,
    )
    on_mesh(model, x, ["Gemm", "LeakyRelu"])


def test_an_activation_that_onnx_does_not_have_leaves_the_operator_whole() -> None:
    constants = {"w": numbers(4, 4, 1, 1)}
    model = fused("FusedConv", ["x", "w"], IMAGE, 4, constants, activation="Mystery")
    graph = from_model(model)
    assert PASSES["split_fused"](graph) is graph


def test_a_batch_in_the_middle_leaves_a_fused_matmul_whole() -> None:
    x = np.ascontiguousarray(numbers(3, 2, 4))
    model = fused("FusedMatMul", ["x", "w"], x, 3, {"w": numbers(2, 4, 5)}, transBatchA=1)
    graph = from_model(model)
    assert PASSES["split_fused"](graph) is graph
