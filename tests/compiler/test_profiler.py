"""The float network run for its tensors: what is known of them before, and what a run gives."""

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from photonpu.compiler import pipeline, profiler, reader
from photonpu.compiler.profiler import Profiler
from tests.compiler.networks import network, numbers

X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)


def convolutions() -> onnx.ModelProto:
    return network(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("ConvTranspose", ["b", "v"], ["c"], strides=[2, 2]),
            helper.make_node("Cast", ["c"], ["d"], to=TensorProto.INT32),
            helper.make_node("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
        ],
        {"x": ("batch", 3, 8, 8)},
        {"y": 4},
        {"w": numbers(4, 3, 3, 3), "v": numbers(4, 5, 2, 2)},
    )


def test_what_is_foretold_is_what_a_run_shows() -> None:
    graph = pipeline.simplified(reader.read(convolutions()), {})
    run = Profiler(graph)

    foretold = run.foretold({"x": X})
    shown = dict(run.run({"x": X}))

    assert foretold is not None
    assert foretold == {name: (value.shape, value.dtype) for name, value in shown.items()}


def test_tensors_that_are_asked_for_are_those_of_a_run_of_all() -> None:
    graph = pipeline.simplified(reader.read(convolutions()), {})
    run = Profiler(graph)

    few, many = dict(run.run({"x": X}, ["b"])), dict(run.run({"x": X}))

    assert few.keys() == {"x", "b"}
    npt.assert_array_equal(few["b"], many["b"])


def test_a_shape_that_depends_on_the_data_is_not_foretold() -> None:
    found = network(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("NonZero", ["a"], ["b"]),
            helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
        ],
        {"x": ("batch", 3, 8, 8)},
        {"y": 2},
        {"w": numbers(4, 3, 3, 3)},
    )
    graph = pipeline.simplified(reader.read(found), {})

    assert Profiler(graph).foretold({"x": X}) is None


def test_networks_whose_tensors_go_one_by_one_foretell_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(profiler, "HELD_BYTES", 0)
    graph = pipeline.simplified(reader.read(convolutions()), {})

    assert Profiler(graph).foretold({"x": X}) is None
