"""The cost of digital operators, against counts by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from onnx import helper

from photonpu.compiler import segments
from photonpu.compiler.graph import from_model
from photonpu.program import HostOperator
from tests.compiler.networks import network, numbers


def cost(
    op: str, shapes: Mapping[str, tuple[int, ...]], samples: int = 1, **attributes: Any
) -> HostOperator:
    *inputs, output = shapes
    node = helper.make_node(op, inputs, [output], name="it", **attributes)
    model = network([node], {name: shapes[name] for name in inputs}, {output: 1})
    (counted,) = segments.operators(from_model(model).nodes, shapes, samples=samples)
    return counted


def test_an_elementwise_operator_costs_one_an_element() -> None:
    assert cost("Relu", {"x": (2, 3), "y": (2, 3)}) == HostOperator("it", "Relu", 6, 6, 6)


def test_moving_data_costs_no_operation_but_its_elements() -> None:
    shapes = {"x": (2, 3), "z": (4, 3), "y": (6, 3)}
    assert cost("Concat", shapes, axis=0) == HostOperator("it", "Concat", 0, 18, 18)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "operations"),
    [
        ("Sigmoid", {"x": (10,), "y": (10,)}, {}, 40),
        ("Softmax", {"x": (10,), "y": (10,)}, {}, 50),
        ("MaxPool", {"x": (1, 1, 4, 4), "y": (1, 1, 2, 2)}, {"kernel_shape": [2, 2]}, 16),
        ("ReduceMean", {"x": (2, 8), "y": (2, 1)}, {}, 16),
        ("MatMul", {"a": (2, 3, 4), "b": (2, 4, 5), "y": (2, 3, 5)}, {}, 2 * 2 * 3 * 4 * 5),
        ("Gemm", {"a": (4, 3), "b": (4, 5), "y": (3, 5)}, {"transA": 1}, 2 * 3 * 4 * 5),
        ("Conv", {"x": (1, 4, 5), "w": (6, 2, 3), "y": (1, 6, 3)}, {"group": 2}, 2 * 6 * 3 * 2 * 3),
        ("ConvTranspose", {"x": (1, 4, 5), "w": (4, 2, 3), "y": (1, 2, 7)}, {}, 2 * 4 * 5 * 2 * 3),
        ("Einsum", {"a": (3, 4), "b": (4, 5), "y": (3, 5)}, {"equation": "ij,jk->ik"}, 120),
        ("ConvInteger", {"x": (1, 4, 5), "w": (6, 4, 3), "y": (1, 6, 3)}, {}, 2 * 6 * 3 * 4 * 3),
        (
            "QLinearMatMul",
            {"a": (3, 4), "p": (), "q": (), "b": (4, 5)}
            | dict.fromkeys("rstu", ())
            | {"y": (3, 5)},
            {},
            2 * 3 * 4 * 5,
        ),
    ],
)
def test_products_and_reductions_cost_what_their_formula_says(
    op: str, shapes: Mapping[str, tuple[int, ...]], attributes: dict[str, Any], operations: int
) -> None:
    assert cost(op, shapes, **attributes).operations == operations


def test_a_batch_is_counted_for_one_sample() -> None:
    shapes = {"x": (4, 3), "y": (4, 3)}
    assert cost("Relu", shapes, samples=4) == HostOperator("it", "Relu", 3, 3, 3)


def test_constants_count_as_read() -> None:
    node = helper.make_node("Add", ["x", "c"], ["y"], name="it")
    graph = from_model(network([node], {"x": [2, 3]}, {"y": 2}, {"c": numbers(3)}))
    shapes = {"x": (2, 3), "y": (2, 3)}
    (counted,) = segments.operators(graph.nodes, shapes, graph.constants)
    assert counted == HostOperator("it", "Add", 6, 9, 6)
