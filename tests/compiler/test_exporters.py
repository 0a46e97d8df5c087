"""What exporters write: every format and operator set, and weights in odd places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu.compiler import pipeline, reader, versions
from photonpu.errors import ModelError, UnsupportedModelError
from photonpu.hardware import Machine
from tests.compiler.networks import Array, network, numbers, run

SMALL = Machine.preset("ideal").override({"mesh.ports": 8})
make = helper.make_node
NEWEST = onnx.defs.onnx_opset_version()
FORMATS = range(3, onnx.IR_VERSION + 1)


def agrees(
    model: onnx.ModelProto,
    *feeds: dict[str, Array],
    photonic: int,
    reference: onnx.ModelProto | None = None,
) -> photonpu.Program:
    """Compile with the first inputs, count products on the mesh, compare with onnxruntime."""
    program = photonpu.compile(model, SMALL, calibration=feeds[0])
    assert len(program.photonic_steps) == photonic
    session = photonpu.Session(program, "ideal")
    for each in feeds:
        expected = run(model if reference is None else reference, each)
        for y, wanted in zip(session.run(None, each), expected, strict=True):
            npt.assert_allclose(y, wanted, atol=1e-5 * max(np.abs(wanted).max(), 1e-6))
            assert y.dtype == wanted.dtype
    return program


def old_and_new(opset: int) -> onnx.ModelProto:
    """Return one network in the words of an operator set, from 7 on."""
    rng = np.random.default_rng(0)
    channels = 4
    constants: dict[str, Array] = {
        "w": numbers(channels, 2, 3, 3),
        "gain": 1 + 0.1 * numbers(channels, seed=1),
        "offset": numbers(channels, seed=2),
        "mean": numbers(channels, seed=3),
        "variance": 1 + rng.random(channels, np.float32),
        "up": numbers(channels, 3, 2, 2),
        "dense": numbers(3 * 4, 5),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }

    def held(name: str, *values: int) -> str:
        constants[name] = np.array(values, np.int64)
        return name

    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    if opset < 11:
        pad = make("Pad", ["x"], ["p"], pads=pads)
        clip = make("Clip", ["n"], ["r"], min=0.0, max=6.0)
    else:
        pad = make("Pad", ["x", held("pads", *pads)], ["p"])
        constants |= {"least": np.array(0, np.float32), "most": np.array(6, np.float32)}
        clip = make("Clip", ["n", "least", "most"], ["r"])
    dropped: dict[str, Any] = {"ratio": 0.3} if opset < 12 else {}
    if opset < 9:
        resize = make("Upsample", ["m"], ["e"], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    elif opset == 9:
        resize = make("Upsample", ["m", "scales"], ["e"], mode="nearest")
    elif opset == 10:
        resize = make("Resize", ["m", "scales"], ["e"], mode="nearest")
    else:
        nearest: dict[str, Any] = {
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        constants["region"] = np.zeros(0, np.float32)
        region = "region" if opset < 13 else ""
        resize = make("Resize", ["m", region, "scales"], ["e"], mode="nearest", **nearest)
    if opset < 10:
        cropped = make("Slice", ["u"], ["s"], axes=[2, 3], starts=[1, 1], ends=[-1, -1])
    else:
        ends = [held("starts", 1, 1), held("ends", -1, -1), held("axes", 2, 3)]
        cropped = make("Slice", ["u", *ends], ["s"])
    if opset < 13:
        mean = make("ReduceSum", ["s"], ["v"], axes=[2], keepdims=1)
        squeezed = make("Squeeze", ["v"], ["q"], axes=[2])
    else:
        mean = make("ReduceSum", ["s", held("two", 2)], ["v"], keepdims=1)
        squeezed = make("Squeeze", ["v", held("two", 2)], ["q"])
    nodes = [
        pad,
        make("Conv", ["p", "w"], ["c"]),
        make("BatchNormalization", ["c", "gain", "offset", "mean", "variance"], ["n"]),
        clip,
        make("Dropout", ["r"], ["d"], **dropped),
        make("MaxPool", ["d"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        resize,
        make("Add", ["e", "d"], ["a"]),
        make("ConvTranspose", ["a", "up"], ["u"], strides=[2, 2]),
        cropped,
        make("AveragePool", ["s"], ["g"], kernel_shape=[2, 2]),
        mean,
        squeezed,
        make("Flatten", ["q"], ["f"]),
        make("Slice", ["f"], ["h"], axes=[1], starts=[0], ends=[12])
        if opset < 10
        else make("Slice", ["f", held("none", 0), held("twelve", 12), held("first", 1)], ["h"]),
        make("MatMul", ["h", "dense"], ["o"]),
        make("Softmax", ["o"], ["y"], axis=1),
        make("Sigmoid", ["g"], ["z"]),
    ]
    return network(nodes, {"x": ["N", 2, 4, 4]}, {"y": 2, "z": 4}, constants, opset)


@pytest.mark.parametrize("opset", range(7, NEWEST + 1))
def test_every_operator_set_compiles(opset: int) -> None:
    known = min(opset, versions.newest_versions()[1])
    feeds = {"x": numbers(1, 2, 4, 4)}, {"x": numbers(3, 2, 4, 4)}
    agrees(old_and_new(opset), *feeds, photonic=3, reference=old_and_new(known))


@pytest.mark.parametrize("version", FORMATS)
def test_every_format_compiles(version: int) -> None:
    model = old_and_new(11)
    model.ir_version = version
    if version < 4:  # then every constant is an input too
        for tensor in model.graph.initializer:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            model.graph.input.append(value)
    agrees(model, {"x": numbers(1, 2, 4, 4)}, photonic=3, reference=old_and_new(11))


def test_an_operator_that_changed_after_onnxruntime_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(versions, "newest_versions", lambda: (8, 12))
    nodes = [make("Squeeze", ["x"], ["y"], "flat")]
    model = network(nodes, {"x": [1, 3]}, {"y": 1}, opset=13)
    with pytest.raises(
        UnsupportedModelError,
        match=r"'flat' \(Squeeze\) is of operator set 13 .* up to 12: upgrade",
    ):
        versions.fitted(model)


@pytest.mark.parametrize(
    ("attribute", "value", "shape"),
    [("value", None, (3, 4)), ("value_floats", [1.5, -2.0, 0.25], (3,)), ("value_float", 2.5, ())],
)
def test_weights_in_constant_nodes_reach_the_mesh(
    attribute: str, value: float | Sequence[float] | None, shape: tuple[int, ...]
) -> None:
    given: Any = numpy_helper.from_array(numbers(3, 4)) if value is None else value
    nodes = [make("Constant", [], ["k"], **{attribute: given})]
    if shape == (3, 4):
        nodes += [make("Identity", ["k"], ["w"]), make("MatMul", ["x", "w"], ["y"])]
    elif shape == (3,):
        nodes += [make("MatMul", ["x", "v"], ["m"]), make("Mul", ["m", "k"], ["y"])]
    else:
        nodes += [make("MatMul", ["x", "v"], ["m"]), make("Add", ["m", "k"], ["y"])]
    model = network(nodes, {"x": ["N", 3]}, {"y": 2}, {"v": numbers(3, 3)})
    agrees(model, {"x": numbers(2, 3)}, photonic=1)


@pytest.mark.parametrize(("attribute", "value"), [("value_ints", [0, -1]), ("value_int", 1)])
def test_sizes_in_constant_nodes_are_constants(attribute: str, value: Any) -> None:
    nodes = [make("Constant", [], ["k"], **{attribute: value})]
    if attribute == "value_ints":
        nodes += [make("Reshape", ["x", "k"], ["f"]), make("MatMul", ["f", "w"], ["y"])]
    else:
        nodes += [make("Gather", ["x", "k"], ["f"], axis=1), make("MatMul", ["f", "v"], ["y"])]
    constants = {"w": numbers(6, 4), "v": numbers(3, 4)}
    model = network(nodes, {"x": ["N", 2, 3]}, {"y": 2}, constants)
    agrees(model, {"x": numbers(1, 2, 3)}, {"x": numbers(4, 2, 3)}, photonic=1)


def test_a_weight_behind_identities_and_shared_by_two_products_reaches_the_mesh_twice() -> None:
    nodes = [
        make("Identity", ["w"], ["i"]),
        make("Identity", ["i"], ["j"]),
        make("MatMul", ["x", "j"], ["m"]),
        make("Relu", ["m"], ["r"]),
        make("MatMul", ["r", "w"], ["y"]),
    ]
    model = network(nodes, {"x": ["N", 3]}, {"y": 2}, {"w": numbers(3, 3)})
    agrees(model, {"x": numbers(2, 3)}, photonic=2)


@pytest.mark.parametrize("opset", [7, 10, 12, 13])
def test_dropout_of_every_kind_does_nothing(opset: int) -> None:
    inputs, constants = ["m"], {"w": numbers(3, 4), "v": numbers(4, 2)}
    if opset >= 12:
        constants |= {"ratio": np.array(0.5, np.float32), "training": np.array(False)}
        inputs += ["ratio", "training"]
    nodes = [
        make("MatMul", ["x", "w"], ["m"]),
        make("Dropout", inputs, ["d", "mask"]),
        make("Relu", ["d"], ["r"]),
        make("MatMul", ["r", "v"], ["y"]),
    ]
    model = network(nodes, {"x": ["N", 3]}, {"y": 2}, constants, opset)
    agrees(model, {"x": numbers(2, 3)}, photonic=2)


def test_outputs_without_type_or_shape_are_read() -> None:
    model = network([make("MatMul", ["x", "w"], ["y"])], {"x": ["N", 3]}, {}, {"w": numbers(3, 4)})
    model.graph.output.add().name = "y"
    program = agrees(model, {"x": numbers(2, 3)}, photonic=1)
    assert program.outputs[0].shape[1:] == (4,)


def test_outputs_that_are_inputs_or_constants_are_handed_out() -> None:
    nodes = [make("MatMul", ["x", "w"], ["y"])]
    model = network(nodes, {"x": ["N", 3]}, {"y": 2, "x": 2, "w": 2}, {"w": numbers(3, 4)})
    agrees(model, {"x": numbers(2, 3)}, photonic=1)


def test_a_half_precision_input_that_is_an_output_keeps_its_type() -> None:
    value = helper.make_tensor_value_info
    half = TensorProto.FLOAT16
    graph = helper.make_graph(
        [make("MatMul", ["x", "w"], ["y"])],
        "through",
        [value("x", half, ["N", 3])],
        [value("y", half, ["N", 4]), value("x", half, ["N", 3])],
        [numpy_helper.from_array(np.ones((3, 4), np.float16), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    agrees(model, {"x": np.ones((2, 3), np.float16)}, photonic=1)


def test_optional_outputs_may_have_no_name() -> None:
    nodes = [
        make("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=2),
        make("Squeeze", ["h", "axis"], ["s"]),
        make("MatMul", ["s", "v"], ["m"]),
        make("TopK", ["m", "one"], ["unread", "y"]),
    ]
    constants = {
        "w": numbers(1, 8, 3),
        "r": numbers(1, 8, 2),
        "v": numbers(2, 4),
        "axis": np.array([0]),
        "one": np.array([1]),
    }
    model = network(nodes, {"x": [5, "N", 3]}, {}, constants)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    model.graph.output.add().name = "y"
    agrees(model, {"x": numbers(5, 1, 3)}, photonic=1)


def test_functions_training_and_metadata_do_not_matter() -> None:
    body = [make("MatMul", ["a", "b"], ["m"]), make("Relu", ["m"], ["c"])]
    function = helper.make_function(
        "mine", "Dense", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)]
    )
    nodes = [
        make("Dense", ["x", "w"], ["h"], domain="mine"),
        make("Dense", ["h", "v"], ["y"], domain="mine"),
    ]
    constants = {"w": numbers(3, 4), "v": numbers(4, 2)}
    plain = network(
        [
            make("MatMul", ["x", "w"], ["m"]),
            make("Relu", ["m"], ["h"]),
            make("MatMul", ["h", "v"], ["n"]),
            make("Relu", ["n"], ["y"]),
        ],
        {"x": ["N", 3]},
        {"y": 2},
        constants,
    )
    model = network(nodes, {"x": ["N", 3]}, {"y": 2}, constants)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    helper.set_model_props(model, {"author": "someone", "licence": "none"})
    model.training_info.add().algorithm.CopyFrom(model.graph)
    model.graph.node[0].doc_string = "a dense layer"
    agrees(model, {"x": numbers(2, 3)}, photonic=2, reference=plain)


@pytest.mark.parametrize("batch", [1, "N"])
def test_channels_last_wrappers_leave_one_transpose_at_each_end(batch: int | str) -> None:
    """As tf2onnx writes: a Transpose before and after each operator that wants channels first."""
    first: dict[str, Any] = {"perm": [0, 3, 1, 2]}
    last: dict[str, Any] = {"perm": [0, 2, 3, 1]}
    nodes = [
        make("Transpose", ["x"], ["t1"], **first),
        make("Conv", ["t1", "w1"], ["c1"], pads=[1] * 4),
        make("Transpose", ["c1"], ["d1"], **last),
        make("Add", ["d1", "b"], ["a1"]),
        make("Relu", ["a1"], ["r1"]),
        make("Transpose", ["r1"], ["t2"], **first),
        make("Conv", ["t2", "w2"], ["c2"], pads=[1] * 4),
        make("Transpose", ["c2"], ["d2"], **last),
        make("Mul", ["d2", "b"], ["m2"]),
        make("Add", ["m2", "r1"], ["s2"]),
        make("Transpose", ["s2"], ["t3"], **first),
        make("MaxPool", ["t3"], ["p3"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Transpose", ["p3"], ["d3"], **last),
        make("Transpose", ["d3"], ["t4"], **first),
        make("ConvTranspose", ["t4", "w3"], ["u4"], strides=[2, 2]),
        make("Transpose", ["u4"], ["d4"], **last),
        make("Concat", ["d4", "r1"], ["k"], axis=3),
        make("Sigmoid", ["k"], ["y"]),
    ]
    constants = {
        "w1": numbers(4, 2, 3, 3),
        "w2": numbers(4, 4, 3, 3),
        "w3": numbers(4, 4, 2, 2),
        "b": numbers(4),
    }
    model = network(nodes, {"x": [batch, 4, 4, 2]}, {"y": 4}, constants)
    graph = pipeline.simplified(reader.read(model), {})
    ops = [node.op for node in graph.nodes]
    assert (ops.count("Transpose"), "Mul" in ops, ops.count("Add")) == (2, False, 1)
    agrees(model, {"x": numbers(1, 4, 4, 2)}, photonic=3)


def test_unnamed_nodes_get_names_that_errors_can_use() -> None:
    nodes = [
        make("MatMul", ["x", "w"], ["m"]),
        make("Relu", ["m"], ["r"]),
        make("MatMul", ["r", "v"], ["y"]),
    ]
    model = network(nodes, {"x": ["N", 3]}, {"y": 2}, {"w": numbers(3, 4), "v": numbers(4, 2)})
    program = agrees(model, {"x": numbers(2, 3)}, photonic=2)
    names = [step.name for step in program.photonic_steps]
    assert all(names)
    assert len(set(names)) == 2


def test_a_model_of_no_operator_at_all_is_named() -> None:
    with pytest.raises(UnsupportedModelError, match="model 'drawn' has no operator: nothing to"):
        photonpu.compile(network([], {"x": ["N", 3]}, {"x": 2}), SMALL)


def test_a_format_from_the_future_says_what_to_do() -> None:
    model = network([make("Relu", ["x"], ["y"])], {"x": [1, 3]}, {"y": 2})
    model.ir_version = onnx.IR_VERSION + 1
    with pytest.raises(ModelError, match=r"version \d+ of ONNX's format .* upgrade onnx"):
        reader.read(model)
