"""Folding of constants and fixing of shapes."""

from __future__ import annotations

import numpy.testing as npt
import pytest
from onnx import TensorProto, helper

from photonpu.compiler import passes, reader, segments, simplifier, weights
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


def test_large_weights_of_products_are_not_shown_to_onnxruntime_and_normalised_all_the_same() -> (
    None
):
    make = helper.make_node
    norm = {name: 1 + numbers(128, seed=i) ** 2 for i, name in enumerate(("g", "o", "m", "s"))}
    constants = {
        "w": numbers(128, 300, 3, 3),
        "v": numbers(128, 128, 8, 8),
        "k": numbers(1024, 300),
        "small": numbers(128, 128, 1, 1),
        **norm,
    }
    nodes = [
        make("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["a", *norm], ["b"]),
        make("ConvTranspose", ["b", "v"], ["c"], strides=[2, 2], pads=[3, 3, 3, 3]),
        make("BatchNormalization", ["c", *norm], ["d"]),
        make("Conv", ["d", "small"], ["y"]),
        make("Transpose", ["k"], ["t"], perm=[1, 0]),  # folded: what it gives is constant
        make("MatMul", ["z", "t"], ["u"]),
    ]
    model = network(nodes, {"x": [1, 300, 4, 4], "z": [1, 300]}, {"y": 4, "u": 2}, constants)
    simple, apart = simplifier.simplify(model)
    assert apart.keys() == {"w", "v"}
    assert "Transpose" not in {node.op_type for node in simple.graph.node}

    graph = passes.run(from_model(simple, apart))
    assert sorted(node.op for node in graph.nodes) == ["Conv", "Conv", "ConvTranspose", "MatMul"]
    feeds = {"x": numbers(1, 300, 4, 4), "z": numbers(1, 300)}
    expected = run(model, feeds)
    found = run(
        segments.model(
            graph,
            graph.nodes,
            ("x", "z"),
            ("y", "u"),
            {name: value.dtype for name, value in feeds.items()},
        ),
        feeds,
    )
    for ours, theirs in zip(found, expected, strict=True):
        npt.assert_allclose(ours, theirs, atol=1e-5 * abs(theirs).max())


def test_a_large_weight_that_something_else_reads_stays() -> None:
    make = helper.make_node
    for other in (
        make("Add", ["w", "one"], ["u"]),
        make("MatMul", ["w", "x"], ["u"]),
        make("Identity", ["w"], ["u"]),
    ):
        nodes = [make("MatMul", ["x", "w"], ["y"]), other]
        constants = {"w": numbers(600, 600), "one": numbers(600, 600, seed=1)}
        model = network(nodes, {"x": [600, 600]}, {"y": 2, "u": 2}, constants)
        assert "w" not in weights.factors(model)
    alone = network(nodes[:1], {"x": [600, 600]}, {"y": 2}, constants)
    assert weights.factors(alone) == {"w"}
    handed_out = network(nodes[:1], {"x": [600, 600]}, {"y": 2, "w": 2}, constants)
    assert not weights.factors(handed_out)
