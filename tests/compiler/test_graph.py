"""The graph: what it keeps of a model, and how it prints."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest
from onnx import TensorProto, helper

from photonpu.compiler.graph import from_model
from photonpu.errors import ModelError, UnsupportedModelError
from tests.compiler.networks import network, numbers, run


def test_a_graph_prints_one_thing_a_line() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"], name="stem", strides=[2, 2]),
        helper.make_node("Clip", ["t", "", "most"], ["y"], name="top"),
    ]
    constants = {"w": numbers(4, 1, 3, 3), "most": np.array(6.0, np.float32)}
    model = network(nodes, {"x": ["N", 1, 9, 9]}, {"y": 4}, constants)
    assert from_model(model).text() == (
        "graph drawn\n"
        "input x: float32[N, 1, 9, 9]\n"
        "constant w: float32[4, 1, 3, 3]\n"
        "constant most: float32[]\n"
        "t = Conv(x, w) {strides=[2, 2]}\n"
        "y = Clip(t, -, most)\n"
        "output y: float32[N, 4, 4, 4]\n"
    )


def test_nodes_without_a_name_or_with_the_same_get_one_of_their_own() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="same"),
        helper.make_node("Relu", ["a"], ["b"], name="same"),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    names = [node.name for node in from_model(network(nodes, {"x": [2]}, {"y": 1})).nodes]
    assert names == ["same", "same_1", "Relu_2"]


def test_a_node_is_written_as_it_was_read() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="stem", strides=[2], auto_pad="VALID")
    model = network([node], {"x": [1, 1, 5]}, {"y": 3}, {"w": numbers(1, 1, 2)})
    assert from_model(model).nodes[0].proto() == node


def test_attributes_are_python_values() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=1, auto_pad="VALID")
    model = network([node], {"x": [1, 1, 5]}, {"y": 3}, {"w": numbers(1, 1, 2)})
    assert from_model(model).nodes[0].values() == {"group": 1, "auto_pad": "VALID"}


def test_constants_cannot_be_changed() -> None:
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    graph = from_model(network(nodes, {"x": [2]}, {"y": 1}, {"c": numbers(2)}))
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["c"][0] = 1.0


def test_a_constant_that_is_handed_out_passes_an_identity() -> None:
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    model = network(nodes, {"x": [2]}, {"y": 1, "c": 1}, {"c": numbers(2)})
    graph = from_model(model)
    assert [node.op for node in graph.nodes] == ["Identity", "Add"]
    assert graph.nodes[1].inputs == ("x", "c/constant")
    assert "c" in graph.producer
    npt.assert_array_equal(graph.constants["c/constant"], run(model, {"x": numbers(2)})[1])


def test_shapes_are_inferred_where_they_follow_from_the_model() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    graph = from_model(network(nodes, {"x": ["N", 3]}, {"y": 2}, {"w": numbers(3, 4)}))
    assert graph.shapes["t"] == ("N", 4)


def test_what_a_subgraph_captures_counts_as_read() -> None:
    inner = helper.make_graph(
        [
            helper.make_node("Add", ["outer", "own"], ["sum"]),
            helper.make_node("Neg", ["sum"], ["inner"]),
        ],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2])],
        [helper.make_tensor("own", TensorProto.FLOAT, [2], [1.0, 2.0])],
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=yes),
        helper.make_node("Relu", ["x"], ["outer"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner),
    ]
    graph = from_model(network(nodes, {"x": [2]}, {"y": 1}))
    assert graph.nodes[2].reads == ("yes", "outer")
    assert graph.only_reader("outer") is None


def test_an_input_that_is_no_tensor_is_refused() -> None:
    model = network([helper.make_node("SequenceAt", ["x", "i"], ["y"])], {}, {"y": 1})
    model.graph.initializer.append(helper.make_tensor("i", TensorProto.INT64, [], [0]))
    model.graph.input.append(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None))
    with pytest.raises(UnsupportedModelError, match="'x' is of type sequence; photonpu's inputs"):
        from_model(model)


def test_an_element_type_that_there_is_not_is_refused() -> None:
    model = network([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": 1})
    model.graph.input[0].type.tensor_type.elem_type = -2
    with pytest.raises(ModelError, match="'x' is of element type -2, which ONNX does not have"):
        from_model(model)


@pytest.mark.parametrize("kind", ["FLOAT8E4M3FN", "INT4"])
def test_an_input_that_is_no_array_of_onnxruntime_is_refused_by_name(kind: str) -> None:
    node = helper.make_node("Cast", ["small"], ["y"], to=TensorProto.FLOAT)
    model = network([node], {"small": [2]}, {"y": 1}, opset=21)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DataType.Value(kind)
    with pytest.raises(UnsupportedModelError, match="'small' is .*: export inputs and outputs in"):
        from_model(model)
