"""Models are handed out in the bytes that protocol buffers write."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from photonpu.compiler import weights, written
from tests.compiler.networks import network, numbers


def model_of(shapes: list[tuple[int, ...]]) -> onnx.ModelProto:
    constants = {f"w{i}": numbers(*shape, seed=i) for i, shape in enumerate(shapes)}
    names = [*constants, "x"]
    nodes = [helper.make_node("Concat", names, ["y"], axis=0)]
    model = network(nodes, {"x": [2]}, {"y": 1}, constants)
    helper.set_model_props(model, {"made": "here"})
    model.graph.doc_string, model.producer_name = "what it is", "tests"
    return model


@given(st.lists(st.tuples(st.sampled_from([0, 1, 31, 4095, 4096, 70_000])), max_size=4))
def test_pieces_are_the_whole(shapes: list[tuple[int, ...]]) -> None:
    model = model_of(shapes)
    assert b"".join(written.pieces(model)) == model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.FLOAT, TensorProto.STRING])
def test_pieces_are_the_whole_for_packed_and_listed_numbers(kind: int) -> None:
    model = model_of([(70_000,)])
    tensor = onnx.TensorProto(name="packed", data_type=kind, dims=[40_000])
    if kind == TensorProto.INT4:
        tensor.raw_data = bytes(20_000)
    elif kind == TensorProto.FLOAT:
        tensor.float_data.extend([0.5] * 40_000)
    else:
        tensor.string_data.extend([b"word"] * 40_000)
    model.graph.initializer.append(tensor)
    raw = numpy_helper.from_array(np.zeros(9_000, np.float32), "more")
    raw.doc_string, raw.data_location = "a weight", TensorProto.DEFAULT
    model.graph.initializer.append(raw)
    assert b"".join(written.pieces(model)) == model.SerializeToString(deterministic=True)


def test_fields_that_onnx_does_not_know_are_kept() -> None:
    known = model_of([(70_000,)]).SerializeToString()
    model = onnx.ModelProto.FromString(known + b"\xfa\x3f\x03abc")
    assert b"".join(written.pieces(model)) == model.SerializeToString(deterministic=True)
    assert weights.digest(model) == hashlib.sha256(known + b"\xfa\x3f\x03abc").hexdigest()
