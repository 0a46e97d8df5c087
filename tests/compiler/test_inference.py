"""Shapes that follow from a model: a model that contradicts itself is refused with its name."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from photonpu.compiler import weights
from photonpu.compiler.graph import from_model
from photonpu.compiler.inference import infer
from photonpu.errors import ModelError
from tests.compiler.networks import network, numbers


def test_shapes_of_tensors_inside_are_found() -> None:
    model = network([helper.make_node("Relu", ["x"], ["y"])], {"x": [2, 3]}, {"y": 2})
    (output,) = infer(model).graph.output
    assert [axis.dim_value for axis in output.type.tensor_type.shape.dim] == [2, 3]


def test_a_model_whose_shapes_contradict_its_constants_is_refused() -> None:
    # onnxruntime takes it; what onnx raised was no error of ours.
    model = network(
        [helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, {"w": 3}, {"w": numbers(4, 2)}
    )
    with pytest.raises(ModelError, match="model 'drawn' contradicts itself: .*rank: \\(2\\) vs"):
        infer(model)


def test_shapes_follow_without_the_numbers_of_large_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"]),
        helper.make_node("Reshape", ["t", "form"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "w": numbers(4, 1, 3, 3),
        "form": np.array([0, -1], np.int64),
    }
    model = network(nodes, {"x": ["N", 1, 9, 9]}, {"y": 2}, constants)
    monkeypatch.setattr(weights, "SMALL_BYTES", 100)
    light, names = weights.skeleton(model)
    assert names == {"w"}
    assert [tensor.name for tensor in light.graph.initializer] == ["form"]
    assert from_model(model).shapes == {"x": ("N", 1, 9, 9), "t": ("N", 4, 7, 7), "y": ("N", 196)}
