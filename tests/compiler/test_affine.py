"""Affine operators around products: what folds, through what, and what may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from photonpu.compiler import passes
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.passes import PASSES
from tests.compiler.networks import Array, execute, network, numbers, run


def normalisation(channels: int, seed: int = 0) -> dict[str, Array]:
    """Return the constants of a BatchNormalization: gain, offset, mean, variance."""
    parts: dict[str, Array] = {
        f"n/{part}": numbers(channels, seed=seed + i) for i, part in enumerate("gomv")
    }
    parts["n/v"] = np.abs(parts["n/v"]) + 0.5
    return parts


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=f"{op}/{output}", **attributes)


def folded(model: onnx.ModelProto, operators: list[str]) -> Graph:
    """Run all passes, and compare the operators that are left and what they compute."""
    graph = passes.run(from_model(model))
    assert [node.op for node in graph.nodes] == operators
    feeds = {
        value.name: numbers(*(axis.dim_value or 2 for axis in value.type.tensor_type.shape.dim))
        for value in model.graph.input
    }
    for found, expected in zip(execute(graph, feeds), run(model, feeds), strict=True):
        npt.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
    return graph


def test_a_normalisation_behind_a_reshape_goes_into_the_gemm_before_it() -> None:
    # A generator of images begins so: Gemm, Reshape to channels of pixels, BatchNormalization.
    norm = normalisation(3)
    constants = {"w": numbers(4, 12), "b": numbers(12), "s": np.array([-1, 3, 2, 2]), **norm}
    nodes = [
        node("Gemm", ["x", "w", "b"], "t"),
        node("Reshape", ["t", "s"], "u"),
        node("BatchNormalization", ["u", *norm], "y"),
    ]
    folded(network(nodes, {"x": ["N", 4]}, {"y": 4}, constants), ["Gemm", "Reshape"])


def test_a_bias_behind_a_matmul_of_any_rank_becomes_its_own() -> None:
    constants = {"w": numbers(4, 5), "b": numbers(5)}
    nodes = [node("MatMul", ["x", "w"], "t"), node("Add", ["b", "t"], "y")]
    graph = folded(network(nodes, {"x": ["N", 3, 4]}, {"y": 3}, constants), ["MatMul"])
    assert len(graph.nodes[0].inputs) == 3


def test_a_bias_behind_a_constant_on_the_left_is_one_number_a_row() -> None:
    constants = {"w": numbers(5, 4), "b": numbers(5, 1), "s": numbers(1, 5, 1, seed=1)}
    nodes = [
        node("MatMul", ["w", "x"], "t"),
        node("Add", ["t", "b"], "u"),
        node("Mul", ["u", "s"], "y"),
    ]
    folded(network(nodes, {"x": [2, 4, 3]}, {"y": 3}, constants), ["MatMul"])


def test_heads_that_are_scaled_after_they_were_split_fold_into_the_projection() -> None:
    # Queries of two heads: (N, T, 6) -> (N, T, 2, 3) -> (N, 2, T, 3), each scaled by a number.
    constants = {
        "w": numbers(4, 6),
        "b": numbers(6),
        "s": np.array([0, 5, 2, 3]),
        "f": numbers(2, 1, 1),
    }
    nodes = [
        node("MatMul", ["x", "w"], "t"),
        node("Add", ["t", "b"], "u"),
        node("Reshape", ["u", "s"], "v"),
        node("Transpose", ["v"], "q", perm=[0, 2, 1, 3]),
        node("Mul", ["q", "f"], "y"),
    ]
    model = network(nodes, {"x": ["N", 5, 4]}, {"y": 4}, constants)
    folded(model, ["MatMul", "Reshape", "Transpose"])


def test_a_normalisation_of_sequences_folds_through_the_transpose_before_it() -> None:
    norm = normalisation(5)
    nodes = [
        node("MatMul", ["x", "w"], "t"),
        node("Transpose", ["t"], "u", perm=[0, 2, 1]),
        node("BatchNormalization", ["u", *norm], "y"),
    ]
    constants = {"w": numbers(4, 5), **norm}
    model = network(nodes, {"x": [2, 3, 4]}, {"y": 3}, constants)
    folded(model, ["MatMul", "Transpose"])


def test_an_addition_behind_a_reshape_that_splits_channels_of_pixels_stays() -> None:
    # One number for each half of a channel's pixels: no bias can be that.
    constants = {"w": numbers(2, 3, 1, 1), "s": np.array([0, 4, 8]), "c": numbers(4, 1)}
    nodes = [
        node("Conv", ["x", "w"], "t"),
        node("Reshape", ["t", "s"], "u"),
        node("Add", ["u", "c"], "y"),
    ]
    model = network(nodes, {"x": [2, 3, 4, 4]}, {"y": 3}, constants)
    folded(model, ["Conv", "Reshape", "Add"])


def test_an_addition_behind_a_reshape_that_merges_pixels_goes_into_the_convolution() -> None:
    constants = {"w": numbers(2, 3, 1, 1), "s": np.array([0, 2, 16]), "c": numbers(2, 1)}
    nodes = [
        node("Conv", ["x", "w"], "t"),
        node("Reshape", ["t", "s"], "u"),
        node("Add", ["u", "c"], "y"),
    ]
    model = network(nodes, {"x": ["N", 3, 4, 4]}, {"y": 3}, constants)
    folded(model, ["Conv", "Reshape"])


@pytest.mark.parametrize("pads", [0, 1])
def test_a_normalisation_goes_into_the_convolution_behind_it_unless_zeros_are_padded(
    pads: int,
) -> None:
    norm = normalisation(4)
    constants = {"w": numbers(6, 2, 3, 3), **norm}
    nodes = [
        node("BatchNormalization", ["x", *norm], "t"),
        node("Conv", ["t", "w"], "y", pads=[pads] * 4, group=2),
    ]
    model = network(nodes, {"x": [2, 4, 5, 5]}, {"y": 4}, constants)
    folded(model, ["BatchNormalization", "Conv"] if pads else ["Conv"])


def test_a_normalisation_without_an_offset_goes_into_a_transposed_convolution() -> None:
    norm = normalisation(4)
    norm["n/o"] = np.zeros(4, np.float32)
    norm["n/m"] = np.zeros(4, np.float32)
    constants = {"w": numbers(4, 2, 3, 3), **norm}
    nodes = [
        node("BatchNormalization", ["x", *norm], "t"),
        node("ConvTranspose", ["t", "w"], "y", group=2, strides=[2, 2]),
    ]
    folded(network(nodes, {"x": [2, 4, 5, 5]}, {"y": 4}, constants), ["ConvTranspose"])


def test_a_normalisation_goes_into_the_gemm_behind_a_flatten() -> None:
    norm = normalisation(3)
    constants = {"w": numbers(12, 5), "b": numbers(5), **norm}
    nodes = [
        node("Relu", ["x"], "r"),
        node("BatchNormalization", ["r", *norm], "t"),
        node("Flatten", ["t"], "u"),
        node("Gemm", ["u", "w", "b"], "y", beta=0.5, alpha=2.0),
    ]
    folded(network(nodes, {"x": ["N", 3, 2, 2]}, {"y": 2}, constants), ["Relu", "Flatten", "Gemm"])


def test_a_normalisation_that_lifts_small_signals_out_of_a_large_offset_stays_before() -> None:
    # Numbers near 100 +- 1: folded, an input converter would spend its levels on the 100.
    norm = normalisation(3)
    norm["n/m"] = np.full(3, 100.0, np.float32)
    constants = {"w": numbers(3, 5), **norm}
    nodes = [node("BatchNormalization", ["x", *norm], "t"), node("Gemm", ["t", "w"], "y")]
    model = network(nodes, {"x": [2, 3]}, {"y": 2}, constants)
    folded(model, ["BatchNormalization", "Gemm"])


def test_a_normalisation_behind_a_relu_stays_behind_it() -> None:
    norm = normalisation(4)
    constants = {"w": numbers(4, 3, 1, 1), **norm}
    nodes = [
        node("Conv", ["x", "w"], "t"),
        node("Relu", ["t"], "u"),
        node("BatchNormalization", ["u", *norm], "y"),
    ]
    model = network(nodes, {"x": [1, 3, 2, 2]}, {"y": 4}, constants)
    folded(model, ["Conv", "Relu", "BatchNormalization"])


def test_a_product_with_several_readers_behind_a_reshape_is_left_alone() -> None:
    constants = {"w": numbers(4, 6), "s": np.array([0, 2, 3]), "c": numbers(1)}
    nodes = [
        node("Gemm", ["x", "w"], "t"),
        node("Reshape", ["t", "s"], "u"),
        node("Add", ["u", "c"], "v"),
        node("Add", ["v", "u"], "y"),
    ]
    model = network(nodes, {"x": [2, 4]}, {"y": 3}, constants)
    folded(model, ["Gemm", "Reshape", "Add", "Add"])


@st.composite
def chains(draw: st.DrawFn) -> onnx.ModelProto:
    """Draw a product with moves and affine operators before and behind it."""
    sizes = [2, draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    constants: dict[str, Array] = {}
    nodes: list[onnx.NodeProto] = []
    shape, name = tuple(sizes), "x"
    for index in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["Transpose", "Reshape", "Add", "Mul", "MatMul", "Left"]))
        after, constant = f"t{index}", f"c{index}"
        if kind == "Transpose":
            order = draw(st.permutations(range(len(shape))))
            nodes.append(node("Transpose", [name], after, perm=order))
            shape = tuple(shape[axis] for axis in order)
        elif kind == "Reshape":
            at = draw(st.integers(0, len(shape) - 2)) if len(shape) > 2 else 0
            merged = (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
            shape = merged if len(shape) > 2 else (*shape[:1], 1, *shape[1:])
            constants[constant] = np.array(shape)
            nodes.append(node("Reshape", [name, constant], after))
        elif kind in ("Add", "Mul"):
            broad = [size if draw(st.booleans()) else 1 for size in shape]
            constants[constant] = numbers(*broad, seed=index)
            nodes.append(node(kind, [name, constant], after))
        else:
            size = draw(st.integers(1, 3))
            if kind == "MatMul":
                constants[constant] = numbers(shape[-1], size, seed=index)
                shape = (*shape[:-1], size)
            else:
                constants[constant] = numbers(size, shape[-2], seed=index)
                shape = (*shape[:-2], size, shape[-1])
            pair = [name, constant] if kind == "MatMul" else [constant, name]
            nodes.append(node("MatMul", pair, after))
        name = after
    return network(nodes, {"x": sizes}, {name: len(shape)}, constants)


@given(chains())
def test_folding_through_moves_keeps_the_meaning(model: onnx.ModelProto) -> None:
    graph = PASSES["fold_affine"](from_model(model))
    assert PASSES["fold_affine"](graph) is graph
    (value,) = model.graph.input
    x = numbers(*(axis.dim_value for axis in value.type.tensor_type.shape.dim), seed=9)
    (expected,), (found,) = run(model, {"x": x}), execute(graph, {"x": x})
    npt.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
