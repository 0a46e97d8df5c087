"""Passes: same meaning, idempotent, input untouched; and what each is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from photonpu.compiler import passes, segments
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.lowerings import MatrixProduct, lower
from photonpu.compiler.passes import PASSES
from photonpu.errors import ModelError
from tests.compiler.networks import Array, network, numbers, run

Nodes = list[onnx.NodeProto]


def named(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=f"{op}/{output}", **attributes)


def written(graph: Graph) -> bytes:
    names = [info.name for info in graph.inputs]
    dtypes = {name: np.dtype(np.float32) for name in names}
    outputs = [info.name for info in graph.outputs]
    return segments.model(graph, graph.nodes, names, outputs, dtypes)


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def normalisation(constants: dict[str, Array], label: str, channels: int) -> list[str]:
    names = [f"{label}/{part}" for part in ("gain", "offset", "mean", "variance")]
    for index, name in enumerate(names):
        constants[name] = numbers(channels, seed=index + 3)
    constants[names[3]] = np.abs(constants[names[3]]) + 0.5
    return names


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Draw a product followed by affine and idle operators, with a dead branch and a tap."""
    constants: dict[str, Array] = {}
    op = draw(st.sampled_from(["Conv", "ConvTranspose", "Gemm", "MatMul"]))
    groups = draw(st.integers(1, 2)) if op.startswith("Conv") else 1
    rank = 4 if op.startswith("Conv") else 2
    shape = [2, 2 * groups, *(3,) * (rank - 2)]
    channels = 3 * groups
    weight = {
        "Conv": (channels, 2, 2, 2),
        "ConvTranspose": (2 * groups, 3, 2, 2),
        "Gemm": (channels, 2),
        "MatMul": (2, channels),
    }[op]
    constants["w"] = numbers(*weight)
    inputs, attributes = ["x", "w"], {}
    if op == "Gemm":
        attributes = {"transB": 1, "alpha": 0.5, "beta": 2.0}
    elif op != "MatMul":
        attributes = {"group": groups}
    if op != "MatMul" and draw(st.booleans()):
        constants["b"] = numbers(channels)
        inputs.append("b")
    nodes = [named(op, inputs, "t0", **attributes)]
    kinds = ["BatchNormalization", "Add", "Sub", "Mul", "Div", "Identity", "Dropout", "Relu"]
    for index in range(draw(st.integers(0, 4))):
        kind, before, after = draw(st.sampled_from(kinds)), f"t{index}", f"t{index + 1}"
        if kind == "BatchNormalization":
            nodes.append(named(kind, [before, *normalisation(constants, after, channels)], after))
        elif kind in ("Identity", "Dropout", "Relu"):
            nodes.append(named(kind, [before], after))
        else:
            broad = draw(st.sampled_from([(), (1,), (channels, *(1,) * (rank - 2)), (1,) * rank]))
            value = np.abs(numbers(*broad, seed=index)) + 0.5
            held = draw(st.booleans())
            if held:
                tensor = numpy_helper.from_array(value)
                nodes.append(named("Constant", [], f"c{index}", value=tensor))
            else:
                constants[f"c{index}"] = value
            pair = [before, f"c{index}"]
            turned = kind != "Div" and draw(st.booleans())  # near zero it would blow up rounding
            nodes.append(named(kind, pair[::-1] if turned else pair, after))
    last = f"t{len([n for n in nodes if n.op_type != 'Constant']) - 1}"
    nodes.append(named("Neg", [last], "dead"))
    outputs = {last: rank}
    if draw(st.booleans()):
        outputs["t0"] = rank
    return network(nodes, {"x": shape}, outputs, constants)


def assert_same_meaning(model: onnx.ModelProto, graph: Graph) -> None:
    feeds = {}
    for value in model.graph.input:
        shape = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        feeds[value.name] = numbers(*shape, seed=9)
    for found, expected in zip(run(written(graph), feeds), run(model, feeds), strict=True):
        npt.assert_allclose(found, expected, atol=2e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("name", PASSES)
@given(model=networks())
def test_a_pass_keeps_the_meaning(name: str, model: onnx.ModelProto) -> None:
    assert_same_meaning(model, PASSES[name](from_model(model)))


@pytest.mark.parametrize("name", PASSES)
@given(model=networks())
def test_a_pass_is_idempotent(name: str, model: onnx.ModelProto) -> None:
    once = PASSES[name](from_model(model))
    assert PASSES[name](once).text() == once.text()


@pytest.mark.parametrize("name", PASSES)
@given(model=networks())
def test_a_pass_leaves_its_input_alone(name: str, model: onnx.ModelProto) -> None:
    graph = from_model(model)
    before, numbers_before = graph.text(), {k: v.copy() for k, v in graph.constants.items()}
    PASSES[name](graph)
    assert graph.text() == before
    assert all((graph.constants[k] == v).all() for k, v in numbers_before.items())


@given(networks())
def test_all_passes_together_keep_the_meaning_and_come_to_rest(model: onnx.ModelProto) -> None:
    graph = passes.run(from_model(model))
    assert_same_meaning(model, graph)
    assert passes.run(graph) is graph


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_batch_normalisation_after_a_convolution_is_folded(op: str) -> None:
    constants = {"w": numbers(4, 4, 3, 3)}
    nodes = [
        named(op, ["x", "w"], "t"),
        named("BatchNormalization", ["t", *normalisation(constants, "n", 4)], "y"),
    ]
    model = network(nodes, {"x": [1, 4, 5, 5]}, {"y": 4}, constants)
    graph = passes.run(from_model(model))
    assert operators(graph) == [op]
    assert_same_meaning(model, graph)


def test_a_matmul_of_matrices_with_an_affine_tail_becomes_one_gemm() -> None:
    constants = {"w": numbers(3, 4), "c": numbers(4), "s": numbers(4, seed=1)}
    nodes = [
        named("MatMul", ["x", "w"], "t"),
        named("Add", ["t", "c"], "u"),
        named("Mul", ["s", "u"], "y"),
    ]
    model = network(nodes, {"x": [2, 3]}, {"y": 2}, constants)
    graph = passes.run(from_model(model))
    assert operators(graph) == ["Gemm"]
    assert_same_meaning(model, graph)


def test_a_batch_normalisation_in_training_is_not_folded() -> None:
    constants = {"w": numbers(4, 4, 3, 3)}
    inputs = ["t", *normalisation(constants, "n", 4)]
    norm = helper.make_node("BatchNormalization", inputs, ["y", "m", "v"], training_mode=1)
    nodes = [named("Conv", ["x", "w"], "t"), norm]
    graph = from_model(network(nodes, {"x": [1, 4, 5, 5]}, {"y": 4}, constants))
    assert PASSES["fold_affine"](graph) is graph


def test_a_product_that_something_else_reads_is_not_folded() -> None:
    constants = {"w": numbers(4, 4, 3, 3), "c": numbers(4, 1, 1)}
    nodes = [
        named("Conv", ["x", "w"], "t"),
        named("Add", ["t", "c"], "u"),
        named("Mul", ["u", "t"], "y"),
    ]
    graph = from_model(network(nodes, {"x": [1, 4, 5, 5]}, {"y": 4}, constants))
    assert PASSES["fold_affine"](graph) is graph


def test_an_addition_that_varies_over_pixels_is_not_folded() -> None:
    constants = {"w": numbers(4, 4, 3, 3), "c": numbers(3)}
    nodes = [named("Conv", ["x", "w"], "t"), named("Add", ["t", "c"], "y")]
    graph = from_model(network(nodes, {"x": [1, 4, 5, 5]}, {"y": 4}, constants))
    assert PASSES["fold_affine"](graph) is graph


def test_an_addition_that_adds_channels_is_not_folded() -> None:
    constants = {"w": numbers(1, 4, 3, 3), "c": numbers(4, 1, 1)}
    nodes = [named("Conv", ["x", "w"], "t"), named("Add", ["t", "c"], "y")]
    graph = from_model(network(nodes, {"x": [1, 4, 5, 5]}, {"y": 4}, constants))
    assert PASSES["fold_affine"](graph) is graph


def test_weights_that_two_products_share_are_folded_for_one_alone() -> None:
    constants = {"w": numbers(3, 3), "s": numbers(3)}
    nodes = [
        named("MatMul", ["x", "w"], "t"),
        named("Mul", ["t", "s"], "u"),
        named("MatMul", ["u", "w"], "y"),
    ]
    model = network(nodes, {"x": [2, 3]}, {"y": 2}, constants)
    assert_same_meaning(model, passes.run(from_model(model)))


def test_an_identity_that_gives_an_output_hands_its_name_on() -> None:
    nodes = [named("Relu", ["x"], "t"), named("Identity", ["t"], "y"), named("Neg", ["t"], "z")]
    model = network(nodes, {"x": [3]}, {"y": 1, "z": 1})
    graph = PASSES["drop_identities"](from_model(model))
    assert operators(graph) == ["Relu", "Neg"]
    assert_same_meaning(model, graph)


def test_an_identity_between_an_input_and_an_output_stays() -> None:
    graph = from_model(network([named("Identity", ["x"], "y")], {"x": [3]}, {"y": 1}))
    assert operators(PASSES["drop_identities"](graph)) == ["Identity"]


def test_an_identity_that_a_subgraph_captures_stays() -> None:
    inner = helper.make_graph(
        [named("Neg", ["t"], "inner")],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [3])],
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    nodes = [
        named("Identity", ["x"], "t"),
        named("Constant", [], "yes", value=yes),
        named("If", ["yes"], "y", then_branch=inner, else_branch=inner),
    ]
    model = network(nodes, {"x": [3]}, {"y": 1})
    graph = passes.run(from_model(model))
    assert operators(graph) == ["Identity", "If"]
    assert_same_meaning(model, graph)


def test_a_dropout_whose_mask_is_read_stays() -> None:
    dropout = helper.make_node("Dropout", ["x"], ["t", "mask"])
    nodes = [dropout, named("Cast", ["mask"], "m", to=1), named("Add", ["t", "m"], "y")]
    graph = from_model(network(nodes, {"x": [3]}, {"y": 1}))
    assert "Dropout" in operators(PASSES["drop_identities"](graph))


def test_half_precision_constants_are_widened_where_they_are_cast() -> None:
    half = numbers(2, 3).astype(np.float16)
    nodes = [named("Cast", ["h"], "w", to=TensorProto.FLOAT), named("MatMul", ["x", "w"], "y")]
    graph = passes.run(from_model(network(nodes, {"x": [1, 2]}, {"y": 2}, {"h": half})))
    assert operators(graph) == ["MatMul"]
    npt.assert_array_equal(graph.constants["w"], half.astype(np.float32))


@pytest.mark.parametrize("bias", [None, (3, 5), (3, 1), (5,), "run time"])
@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("held", ["a", "b"])
def test_any_gemm_of_a_constant_goes_to_the_mesh(held: str, turned: int, bias: Any) -> None:
    shapes = {"a": (4, 3) if turned else (3, 4), "b": (5, 4) if turned else (4, 5)}
    (data,) = shapes.keys() - {held}
    constants = {held: numbers(*shapes[held])}
    inputs: dict[str, Any] = {data: list(shapes[data])}
    operands = ["a", "b"]
    if bias is not None:
        operands.append("c")
        if bias == "run time":
            inputs["c"] = [1, 5]
        else:
            constants["c"] = numbers(*bias, seed=1)
    node = named("Gemm", operands, "y", transA=turned, transB=turned, alpha=0.5, beta=2.0)
    model = network([node], inputs, {"y": 2}, constants)
    graph = passes.run(from_model(model))
    assert_same_meaning(model, graph)
    (gemm,) = (node for node in graph.nodes if node.op == "Gemm")
    shapes_known = {gemm.inputs[held == "a"]: (4, 5) if held == "a" else (3, 4)}
    assert isinstance(lower(gemm, graph, shapes_known), MatrixProduct)


def test_a_gemm_that_the_mesh_takes_as_it_is_is_not_split() -> None:
    constants = {"b": numbers(4, 5), "c": numbers(5)}
    graph = from_model(
        network([named("Gemm", ["a", "b", "c"], "y")], {"a": [3, 4]}, {"y": 2}, constants)
    )
    assert PASSES["split_gemm"](graph) is graph


def test_a_gemm_of_two_activations_is_not_split() -> None:
    node = named("Gemm", ["a", "b"], "y", transA=1)
    graph = from_model(network([node], {"a": [4, 3], "b": [4, 5]}, {"y": 2}))
    assert PASSES["split_gemm"](graph) is graph


@pytest.mark.parametrize(
    ("op", "shape", "values"),
    [
        ("Reshape", (4, 2, 3), {}),
        ("Reshape", (1, 0), {}),
        ("Transpose", None, {"perm": [1, 0]}),
        ("Squeeze", (1,), {}),
    ],
)
def test_a_constant_that_cannot_be_arranged_names_the_node(
    op: str, shape: tuple[int, ...] | None, values: dict[str, Any]
) -> None:
    # onnxruntime leaves nodes alone that nothing reads, however wrong they are.
    sizes = [] if shape is None else ["sizes"]
    nodes = [
        helper.make_node(op, ["c", *sizes], ["other"], name="turn", **values),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    constants: dict[str, Any] = {"c": np.ones(2, np.float32)}
    constants["sizes"] = np.array(shape or (), np.int64)
    graph = from_model(network(nodes, {"x": [1]}, {"y": 1}, constants))
    with pytest.raises(ModelError, match=rf"node 'turn' \({op}\) cannot arrange its constant: "):
        passes.run(graph)
