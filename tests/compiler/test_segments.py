"""Segments: maximal, executable, complete, and models of their own."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from photonpu.compiler import passes, segments
from photonpu.compiler.graph import Graph, Node, from_model
from photonpu.errors import UnsupportedModelError
from tests.compiler.networks import Array, execute, network, numbers, products, run


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Draw a network of 3 x 3 products and elementwise operators over random earlier tensors."""
    constants: dict[str, Array] = {}
    nodes = []
    names = ["x"]
    for index in range(draw(st.integers(1, 10))):
        op = draw(st.sampled_from(["MatMul", "MatMul", "Tanh", "Add", "Mul", "Concat"]))
        first, second = (draw(st.sampled_from(names)) for _ in range(2))
        output = f"t{index}"
        if op == "MatMul":
            second = f"w{index}"
            constants[second] = numbers(3, 3, seed=index)
        if op == "Concat":
            nodes.append(helper.make_node("Concat", [first, second], [f"{output}/both"], axis=1))
            nodes.append(helper.make_node("MatMul", [f"{output}/both", f"w{index}"], [output]))
            constants[f"w{index}"] = numbers(6, 3, seed=index)
        else:
            nodes.append(
                helper.make_node(op, [first] if op == "Tanh" else [first, second], [output])
            )
        names.append(output)
    outputs = {names[-1]: 2, draw(st.sampled_from(names[1:])): 2}
    return network(nodes, {"x": [2, 3]}, outputs, constants)


def named(graph: Graph, step: segments.Segment | Node) -> list[str]:
    nodes = [step] if isinstance(step, Node) else step.nodes
    return [node.op for node in nodes]


@given(graphs())
def test_steps_run_in_order_and_give_what_the_network_gives(model: onnx.ModelProto) -> None:
    graph, x = passes.run(from_model(model)), numbers(2, 3, seed=5)
    expected = run(model, {"x": x})
    for found, want in zip(execute(graph, {"x": x}), expected, strict=True):
        npt.assert_allclose(found, want, atol=1e-4 * max(1.0, np.abs(want).max()))


@given(graphs())
def test_each_node_is_in_exactly_one_step(model: onnx.ModelProto) -> None:
    graph = from_model(model)
    steps = segments.cut(graph, products(graph))
    inside = [n.name for s in steps for n in ([s] if isinstance(s, Node) else s.nodes)]
    assert sorted(inside) == sorted(node.name for node in graph.nodes)


@given(graphs())
def test_there_are_at_most_as_many_segments_as_products_in_a_row_and_one(
    model: onnx.ModelProto,
) -> None:
    graph = from_model(model)
    lowered = products(graph)
    depth = {"x": 0}
    for node in graph.nodes:
        depth[node.outputs[0]] = max(depth.get(n, 0) for n in node.reads) + (node.name in lowered)
    digital = [s for s in segments.cut(graph, lowered) if isinstance(s, segments.Segment)]
    assert len(digital) <= max(depth.values()) + 1


def unet() -> Graph:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["skip"]),
        helper.make_node("MatMul", ["skip", "w"], ["b"], name="two"),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Add", ["d", "skip"], ["y"]),
    ]
    constants = {"w": numbers(3, 3), "c": numbers(3, seed=1), "unused": numbers(9)}
    return from_model(network(nodes, {"x": [2, 3]}, {"y": 2}, constants))


def test_a_skip_connection_leaves_its_segment_and_enters_a_later_one() -> None:
    graph = unet()
    steps = segments.cut(graph, {"one", "two"})
    assert [named(graph, step) for step in steps] == [
        ["MatMul"],
        ["Relu"],
        ["MatMul"],
        ["Add", "Add"],
    ]
    last = steps[-1]
    assert isinstance(last, segments.Segment)
    assert (last.inputs, last.outputs) == (("b", "skip"), ("y",))


def test_a_segment_holds_the_constants_that_it_reads_and_no_others() -> None:
    graph = unet()
    model = onnx.load_model_from_string(
        segments.model(
            graph,
            graph.nodes[3:],
            ("b", "skip"),
            ("y",),
            dict.fromkeys(("b", "skip", "y"), np.dtype(np.float32)),
        )
    )
    onnx.checker.check_model(model, full_check=True)
    assert [tensor.name for tensor in model.graph.initializer] == ["c"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_the_batch_of_a_segment_is_free() -> None:
    graph = unet()
    dtypes = dict.fromkeys(("b", "skip"), np.dtype(np.float32))
    model = segments.model(graph, graph.nodes[3:], ("b", "skip"), ("y",), dtypes)
    b, skip = numbers(5, 3), numbers(5, 3, seed=1)
    (y,) = run(model, {"b": b, "skip": skip})
    npt.assert_allclose(y, b + graph.constants["c"] + skip, rtol=1e-6)


def test_a_network_without_products_is_one_segment() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])]
    graph = from_model(network(nodes, {"x": [2]}, {"y": 1}))
    (step,) = segments.cut(graph, ())
    assert isinstance(step, segments.Segment)
    assert (step.inputs, step.outputs) == (("x",), ("y",))


def test_what_a_subgraph_captures_is_an_input_of_its_segment() -> None:
    inner = helper.make_graph(
        [helper.make_node("Neg", ["hidden"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2, 3])],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["hidden"], name="one"),
        helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner),
    ]
    constants = {"w": numbers(3, 3), "yes": np.array(True)}
    model = network(nodes, {"x": [2, 3]}, {"y": 2}, constants)
    graph = from_model(model)
    _, last = segments.cut(graph, {"one"})
    assert isinstance(last, segments.Segment)
    assert last.inputs == ("hidden",)
    x = numbers(2, 3)
    npt.assert_allclose(execute(graph, {"x": x})[0], run(model, {"x": x})[0], atol=1e-5)


def test_activation_and_requantisation_are_one_segment_between_two_products() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "scale", "zero"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "scale", "zero"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"], name="two"),
    ]
    constants: dict[str, Array] = {
        "w": numbers(2, 2, 1, 1),
        "scale": np.array(0.1, np.float32),
        "zero": np.array(0, np.uint8),
    }
    graph = from_model(network(nodes, {"x": [1, 2, 3, 3]}, {"y": 4}, constants))

    steps = segments.cut(graph, {"one", "two"})

    assert [named(graph, step) for step in steps] == [
        ["Conv"],
        ["Relu", "QuantizeLinear", "DequantizeLinear"],
        ["Conv"],
    ]


def test_what_only_a_deeper_segment_reads_waits_for_it() -> None:
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("MatMul", ["x", "w"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["b", "t"], ["y"]),
    ]
    graph = from_model(network(nodes, {"x": [2, 3]}, {"y": 2}, {"w": numbers(3, 3)}))

    steps = segments.cut(graph, {"one"})

    assert [named(graph, step) for step in steps] == [["MatMul"], ["Tanh", "Relu", "Add"]]


@given(graphs())
def test_no_segment_is_empty_and_none_could_join_the_next(model: onnx.ModelProto) -> None:
    graph = passes.run(from_model(model))
    steps = segments.cut(graph, products(graph))
    for step, following in itertools.pairwise(steps):
        assert isinstance(step, Node) or (step.nodes and isinstance(following, Node))
    for index, step in enumerate(steps):
        if isinstance(step, Node):
            continue
        later = {name for other in steps[index + 1 :] for name in reads(other)}
        assert later.union(graph.output_names).issuperset(step.outputs)
        assert step.outputs


def reads(step: segments.Segment | Node) -> tuple[str, ...]:
    return step.reads if isinstance(step, Node) else step.inputs


def test_a_value_of_unknown_type_between_steps_is_refused() -> None:
    graph = unet()
    with pytest.raises(UnsupportedModelError, match="'skip' passes between the mesh and the digit"):
        segments.model(graph, graph.nodes[3:], ("b", "skip"), ("y",), {"b": np.dtype("float32")})
