"""The cost of digital operators, against counts by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from onnx import defs, helper

from photonpu.compiler.graph import Node, from_model
from photonpu.compiler.operations import OPERATIONS, PRODUCTS, operators
from photonpu.program import HostOperator
from tests.compiler.networks import network, numbers


def cost(
    op: str, shapes: Mapping[str, tuple[int, ...]], samples: int = 1, **attributes: Any
) -> HostOperator:
    *inputs, output = shapes
    domain, _, name = op.rpartition(".")
    records = helper.make_node(name, inputs, [output], **attributes).attribute
    by_name = {record.name: record for record in records}
    node = Node("it", name, domain, tuple(inputs), (output,), by_name)
    (counted,) = operators([node], shapes, samples=samples)
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
        (
            "Einsum",
            {"a": (6, 1, 3, 4), "b": (5, 4, 2), "y": (6, 5, 3, 2)},
            {"equation": "...ij,...jk->...ik"},
            2 * 6 * 5 * 3 * 4 * 2,
        ),
        ("ReduceL2", {"x": (2, 8), "y": (2, 1)}, {}, 32),
        (
            "LinearAttention",
            {"q": (2, 5, 8), "k": (2, 5, 4), "v": (2, 5, 3), "y": (2, 5, 6)},
            {"q_num_heads": 2, "kv_num_heads": 1},
            2 * 10 * (2 + 1) * 4 * 3,
        ),
        ("LRN", {"x": (1, 4, 5), "y": (1, 4, 5)}, {"size": 3}, 20 * 12),
        ("NonMaxSuppression", {"b": (1, 7, 4), "s": (1, 2, 7), "y": (3, 3)}, {}, 2 * 49 * 12),
        ("Det", {"x": (5, 3, 3), "y": (5,)}, {}, 5 * 18),
        ("TopK", {"x": (2, 8), "y": (2, 1)}, {}, 16 * 4),
        ("DFT", {"x": (2, 8, 1), "y": (2, 8, 2)}, {"axis": 1}, 2 * 5 * 8 * 3),
        ("STFT", {"x": (2, 32, 1), "p": (), "y": (2, 4, 8, 2)}, {}, 2 * 4 * 5 * 8 * 3),
        (
            "DeformConv",
            {"x": (1, 4, 5, 5), "w": (6, 4, 3, 3), "o": (1, 18, 3, 3), "y": (1, 6, 3, 3)},
            {},
            2 * 36 * 54 + 8 * 9 * 9 * 4,
        ),
        # Two heads of width 8; 6 scores of 3 queries and 2 keys each.
        (
            "Attention",
            {"q": (1, 2, 3, 8), "k": (1, 2, 2, 8), "v": (1, 2, 2, 5), "y": (1, 2, 3, 5)},
            {},
            12 * (16 + 6 + 10),
        ),
        (
            "Attention",
            {"q": (1, 3, 16), "k": (1, 2, 8), "v": (1, 2, 5), "y": (1, 3, 10)},
            {"q_num_heads": 2, "kv_num_heads": 1},
            12 * (16 + 6 + 10),
        ),
        (
            "com.microsoft.MultiHeadAttention",
            {"q": (1, 3, 16), "k": (1, 2, 16), "v": (1, 2, 16), "y": (1, 3, 16)},
            {"num_heads": 2},
            12 * (16 + 6 + 16),
        ),
        (
            "com.microsoft.FusedMatMul",
            {"a": (2, 4, 3), "b": (2, 4, 5), "y": (2, 3, 5)},
            {"transA": 1},
            2 * 2 * 3 * 4 * 5,
        ),
        (
            "LSTM",
            {"x": (5, 1, 3), "w": (1, 16, 3), "r": (1, 16, 4), "y": (5, 1, 1, 4)},
            {"hidden_size": 4},
            2 * 5 * 16 * (3 + 4),
        ),
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
    (counted,) = operators(graph.nodes, shapes, graph.constants)
    assert counted == HostOperator("it", "Add", 6, 9, 6)


@pytest.mark.parametrize("op", PRODUCTS)
def test_each_product_has_a_formula_of_its_own(op: str) -> None:
    assert op in OPERATIONS


ONE_AN_ELEMENT = """
Abs Add AffineGrid And Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
BlackmanWindow Cast CastLike Ceil CenterCropPad Col2Im Compress Div Equal Floor Greater
GreaterOrEqual HammingWindow HannWindow Hardmax IsInf IsNaN Less LessOrEqual Max MaxUnpool Mean
MelWeightMatrix Min Mod Mul Multinomial Neg NonZero Not OneHot Optional OptionalGetElement
OptionalHasElement Or RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal
Relu ReverseSequence Round Shrink Sign Sub Sum TensorScatter ThresholdedRelu Trilu Upsample
Where Xor BitCast"""
#: Strings, sequences, losses of training, and control flow, which is charged for its bodies.
OTHER_KINDS = """
ConcatFromSequence ImageDecoder RegexFullMatch SequenceAt SequenceConstruct SequenceEmpty
SequenceErase SequenceInsert SequenceLength SplitToSequence StringConcat StringNormalizer
StringSplit TfIdfVectorizer NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss If Loop Scan
SequenceMap"""


def test_every_operator_of_onnx_that_computes_more_than_once_an_output_has_a_row() -> None:
    # The rest is charged one operation an output element: elementwise, logic, choice, conversion.
    known = {schema.name for schema in defs.get_all_schemas() if not schema.domain}
    rest = known - set(OPERATIONS) - set(ONE_AN_ELEMENT.split()) - set(OTHER_KINDS.split())
    assert rest == set()
