"""A model's own functions: what a call leaves out or gives must fit the nodes inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from photonpu.compiler import reader
from photonpu.compiler.untrusted.limits import Limits
from photonpu.errors import ModelError
from tests.compiler.bombs import tensor
from tests.compiler.test_precheck import node, of


def calls(
    inner: onnx.NodeProto, inputs: Sequence[str], takes: Sequence[str], **values: Any
) -> onnx.ModelProto:
    """Return a call of a function of one node."""
    body = helper.make_function(
        "mine", "f", takes, inner.output, [inner], [helper.make_opsetid("", 18)], list(values)
    )
    proto = of(node("f", inputs, ["y"], domain="mine", **values))
    proto.functions.append(body)
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    return proto


def reference(op: str, name: str, kind: int) -> onnx.NodeProto:
    """Return a node whose attribute stands for attribute `it` of the function around it."""
    made = helper.make_node(op, ["a"], ["b"], name="inner")
    made.attribute.add(name=name, type=kind, ref_attr_name="it")
    return made


SMUGGLED = {
    # onnxruntime ends by a segmentation fault on this one, once it is written out
    "an input that the call leaves out": (
        calls(helper.make_node("Sum", ["a", "b", "c"], ["d"]), ["x", "", "x"], ["a", "b", "c"]),
        "input 1 is empty and is not optional",
    ),
    "a divisor that the call gives": (
        calls(reference("DepthToSpace", "blocksize", 2), ["x"], ["a"], it=0),
        "'blocksize' is 0 and must be 1 or more",
    ),
    "an attribute that the call gives in another type": (
        calls(reference("LeakyRelu", "alpha", 1), ["x"], ["a"], it="text"),
        "attribute 'alpha' is of type 3 and must be 1",
    ),
    "an attribute that the call does not give": (
        calls(reference("DepthToSpace", "blocksize", 2), ["x"], ["a"]),
        "lacks its attribute 'blocksize'",
    ),
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_what_is_malformed_once_functions_are_written_out_is_refused(what: str) -> None:
    proto, said = SMUGGLED[what]
    with pytest.raises(ModelError, match=said):
        reader.read(proto)


def test_constants_of_functions_count_as_often_as_they_are_called() -> None:
    # onnx's inliner gives an empty graph where the result is beyond 2 GiB.
    big = tensor("c", np.zeros(1000), np.float32)
    constant = helper.make_node("Constant", [], ["c"], value=big)
    add = helper.make_node("Add", ["a", "c"], ["b"])
    body = helper.make_function(
        "mine", "f", ["a"], ["b"], [constant, add], [helper.make_opsetid("", 18)]
    )
    proto = of(*(node("f", ["x"], [f"y{i}" if i else "y"], domain="mine") for i in range(10)))
    proto.functions.append(body)
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    assert len(reader.read(proto, limits=Limits(folded_bytes=50_000)).graph.node) == 20
    with pytest.raises(ModelError, match="functions take 3.* 30000 is the limit for folded_bytes"):
        reader.read(proto, limits=Limits(folded_bytes=30_000))
