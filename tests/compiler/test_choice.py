"""Lanes chosen by hand: by the names of the file's nodes, whatever simplification made of them."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import helper

import photonpu
from photonpu.compiler.inspection import Inspection, inspect
from photonpu.compiler.listing import table
from photonpu.compiler.stages import stage_text
from photonpu.errors import InputError
from photonpu.hardware import Machine
from tests.compiler.networks import network, numbers, run

SMALL = Machine.preset("ideal").override({"mesh.ports": 8})


def classifier(*, named: bool = True) -> onnx.ModelProto:
    """Return Conv, BatchNormalization, Relu, Flatten, MatMul and Add, that become three nodes."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="stem/conv"),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], name="stem/norm"),
        helper.make_node("Relu", ["n"], ["r"], name="relu"),
        helper.make_node("Flatten", ["r"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "q"], ["p"], name="head/product"),
        helper.make_node("Add", ["p", "o"], ["y"], name="head/bias"),
    ]
    if not named:
        for node in nodes:
            node.name = ""
    constants = {
        "w": numbers(4, 2, 3, 3),
        "s": numbers(4),
        "b": numbers(4),
        "m": numbers(4),
        "v": abs(numbers(4)) + 1,
        "q": numbers(64, 5),
        "o": numbers(5),
    }
    return network(nodes, {"x": ["batch", 2, 6, 6]}, {"y": 2}, constants)


def on_mesh(found: Inspection) -> list[str]:
    return [operator.op for operator in found.on_mesh]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("stem/conv", ["Gemm"]),
        ("stem/norm", ["Gemm"]),
        ("stem/*", ["Gemm"]),
        ("head/product", ["Conv"]),
        ("head/bias", ["Conv"]),
        ("*/conv", ["Gemm"]),
        ("*", []),
    ],
)
def test_a_node_answers_to_each_name_of_the_file_that_it_stands_for(
    name: str, left: list[str]
) -> None:
    assert on_mesh(inspect(classifier(), SMALL, keep_digital=[name])) == left
    rest = [op for op in ("Conv", "Gemm") if op not in left]
    assert on_mesh(inspect(classifier(), SMALL, only=[name])) == rest


def test_nodes_without_names_are_called_by_operator_and_place() -> None:
    assert on_mesh(inspect(classifier(named=False), SMALL, keep_digital=["MatMul_4"])) == ["Conv"]


def test_both_options_together_leave_what_one_names_and_the_other_does_not() -> None:
    found = inspect(classifier(), SMALL, only=["stem/conv", "head/*"], keep_digital=["head/bias"])

    assert on_mesh(found) == ["Conv"]


def test_a_kept_node_is_costed_as_the_product_it_is_and_says_so() -> None:
    found = inspect(classifier(), SMALL, keep_digital=["stem/conv"])

    (conv,) = [operator for operator in found.digital if operator.product]
    assert conv.macs == 16 * 4 * 18
    assert conv.reason == "it is kept digital by hand"
    assert "it is kept digital by hand\n    what to change: leave it out of keep_digital" in table(
        found
    )
    other = inspect(classifier(), SMALL, only=["stem/conv"])
    assert "not among those chosen for the mesh" in table(other)


def test_what_is_kept_digital_computes_the_same() -> None:
    x = numbers(3, 2, 6, 6)
    (expected,) = run(classifier(), {"x": x})

    for keep, only in (("stem/*", None), ((), "stem/*"), ("*", None)):
        program = photonpu.compile(classifier(), SMALL, calibration=x, keep_digital=keep, only=only)
        (y,) = photonpu.Session(program, noise="ideal").run(None, {"x": x})
        npt.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


def test_the_stages_show_what_is_kept() -> None:
    text = stage_text(classifier(), SMALL, "lower", keep_digital=["stem/conv"])

    assert "digital n = Conv" in text
    assert "it is kept digital by hand" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_digital": ["stem/cov"]}, r"keep_digital='stem/cov': .*did you mean 'stem/conv'\?"),
        ({"only": ["decoder/*"]}, r"only='decoder/\*': no node is called so; `photonpu check`"),
        ({"activation_products": "mash"}, "activation_products='mash': 'digital' or 'mesh'"),
    ],
)
def test_a_name_that_matches_nothing_is_refused(
    options: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        inspect(classifier(), SMALL, **options)  # type: ignore[arg-type]


def test_what_is_folded_into_a_weight_stands_for_its_product_and_dead_nodes_for_nothing() -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], name="turn"),
        helper.make_node("MatMul", ["x", "t"], ["p"], name="product"),
        helper.make_node("Relu", ["p"], ["y"], name="relu"),
        helper.make_node("Relu", ["x"], ["d"], name="dead"),
    ]
    model = network(nodes, {"x": [2, 4]}, {"y": 2}, {"w": numbers(3, 4)})

    assert on_mesh(inspect(model, SMALL, keep_digital=["turn"])) == []
    with pytest.raises(InputError, match="keep_digital='dead': what it names is folded into"):
        inspect(model, SMALL, keep_digital=["dead"])
