"""Folding of constants and fixing of shapes."""

from __future__ import annotations

import numpy.testing as npt
import pytest
from onnx import TensorProto, helper

from photonpu.compiler import reader, simplifier
from photonpu.compiler.graph import from_model
from photonpu.errors import ModelError, UnsupportedModelError
from tests.compiler.networks import network, numbers, run


def test_simplify_keeps_the_meaning_and_folds_what_is_constant() -> None:
    nodes = [
        helper.make_node("Add", ["c", "c"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    model = network(nodes, {"x": [2, 3]}, {"y": 2}, {"c": numbers(3, 4)})
    simplified = simplifier.simplify(model).model
    assert [node.op_type for node in simplified.graph.node] == ["MatMul"]
    npt.assert_allclose(
        run(simplified, {"x": numbers(2, 3)})[0], run(model, {"x": numbers(2, 3)})[0]
    )


def test_shapes_fix_the_free_axes_but_the_batch() -> None:
    model = network([helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", 3, "H"]}, {"y": 3})
    simplified = simplifier.simplify(model, {"x": (5, 3, 7)})
    assert from_model(*simplified).inputs[0].shape == ("N", 3, 7)


def test_a_shape_for_an_unknown_input_names_the_nearest() -> None:
    model = network([helper.make_node("Relu", ["image"], ["y"])], {"image": ["N", 3]}, {"y": 2})
    with pytest.raises(ModelError, match="has no input 'imgae'; did you mean 'image'"):
        simplifier.simplify(model, {"imgae": (1, 3)})


@pytest.mark.parametrize("shape", [(5,), (5, 3, 1), (0, 3)])
def test_a_shape_that_contradicts_the_model_is_refused(shape: tuple[int, ...]) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = network(nodes, {"x": ["N", 3]}, {"y": 2}, {"w": numbers(3, 4)})
    with pytest.raises(ModelError, match=r"input 'x' is \('N', 3\) and .* was asked for"):
        simplifier.simplify(model, {"x": shape})


def test_an_operator_that_onnxruntime_cannot_compute_is_named() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.DOUBLE, [1, 1, 4])
    w = helper.make_tensor_value_info("w", TensorProto.DOUBLE, [1, 1, 1])
    y = helper.make_tensor_value_info("y", TensorProto.DOUBLE, [1, 1, 4])
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "double", [x, w], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(
        UnsupportedModelError, match="onnxruntime cannot run it: .*Conv.*in float32"
    ):
        simplifier.simplify(reader.read(model))


def test_shapes_that_do_not_fit_together_are_malformed() -> None:
    model = network(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": [2, 5]},
        {"y": 2},
        {"w": numbers(3, 4)},
    )
    with pytest.raises(ModelError, match="model 'drawn' is malformed"):
        simplifier.simplify(model)
