"""Limits: what they may be, what of a model they count, and how they travel."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from onnx import helper

import photonpu
from photonpu.compiler import reader, simplifier
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import DEFAULT, Limits
from photonpu.compiler.untrusted.sizes import check_sizes
from photonpu.errors import InputError, ModelError
from tests.compiler.bombs import info, model, node, tensor
from tests.compiler.networks import network, numbers

NAMES = [entry.name for entry in dataclasses.fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "many", True])
def test_a_limit_is_a_positive_number(name: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"limits: {name} = .*: give a positive number"):
        dataclasses.replace(DEFAULT, **{name: value})  # type: ignore[arg-type]


def test_each_default_has_its_reason() -> None:
    assert all(entry.metadata["reason"] for entry in dataclasses.fields(Limits))


def test_limits_can_be_given_to_compile() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    proto = network(nodes, {"x": [2, 3]}, {"y": 2}, {"w": numbers(3, 4)})
    with pytest.raises(ModelError, match="'w' of shape .3, 4. has 12 elements and 11 is the limit"):
        photonpu.compile(proto, "ideal", limits=Limits(elements=11))


def test_what_was_checked_keeps_its_limits() -> None:
    checked = Checked(model([node("Relu", ["x"])]), "net", Limits(nodes=7))
    assert reader.limits_of(checked, None) == Limits(nodes=7)
    assert reader.limits_of(checked, DEFAULT) == DEFAULT
    assert reader.limits_of(b"", None) == DEFAULT


def test_sizes_are_checked_again_when_shapes_are_known() -> None:
    steps = [node("Tile", ["x", "n"])]
    free = model(steps, [tensor("n", [1, 1000, 1000])], ["N", "height", "width"])
    read = reader.read(free)
    with pytest.raises(ModelError, match="has 1000000000000 elements"):
        simplifier.simplify(read, {"x": (1, 1000, 1000)})


def test_shapes_are_followed_through_a_network() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("ConvTranspose", ["c", "v"], ["up"], strides=[2, 2]),
        helper.make_node("Concat", ["x", "up"], ["both"], axis=1),
        helper.make_node("Shape", ["both"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "two"], ["head"]),
        helper.make_node("Concat", ["head", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["both", "target"], ["y"]),
    ]
    constants = [
        tensor("w", numbers(8, 3, 3, 3), numbers(1).dtype.type),
        tensor("v", numbers(8, 5, 2, 2), numbers(1).dtype.type),
        tensor("zero", [0]),
        tensor("two", [2]),
        tensor("rest", [-1]),
    ]
    found = check_sizes(model(nodes, constants, ["N", 3, 16, 16]), DEFAULT)
    assert found["c"] == (None, 8, 8, 8)
    assert found["up"] == (None, 5, 16, 16)
    assert found["both"] == (None, 8, 16, 16)
    assert found["y"] == (None, 8, None)
    whole = check_sizes(model(nodes, constants, ["N", 3, 16, 16]), DEFAULT, {"x": (2, 3, 16, 16)})
    assert whole["y"] == (2, 8, 256)


def test_names_of_a_model_are_cut_and_escaped_in_errors() -> None:
    name = "\x1b[2J" + "n" * 500
    proto = model([helper.make_node("Relu", ["nobody"], ["y"], name=name)])
    with pytest.raises(ModelError, match=r"^node '\\x1b\[2Jn{76}\.\.\.' \(Relu\) reads"):
        reader.read(proto)


def test_many_graphs_inside_see_the_names_outside_without_a_copy_each() -> None:
    """A thousand names seen by a thousand branches: a copy for each would be a million."""
    nodes = [helper.make_node("Identity", ["x"], [f"t{i}"]) for i in range(1000)]
    branch = helper.make_graph([helper.make_node("Relu", ["t0"], ["b"])], "b", [], [info("b")])
    nodes += [
        helper.make_node("If", ["go"], [f"u{i}"], then_branch=branch, else_branch=branch)
        for i in range(1000)
    ]
    nodes.append(helper.make_node("Relu", ["u999"], ["y"]))
    reader.read(model(nodes, [tensor("go", True, np.bool_)]))
