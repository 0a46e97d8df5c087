"""Shapes: symbolic axes, other batches and sizes, and exporters' arithmetic with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu.compiler import pipeline, reader
from photonpu.compiler.graph import Graph
from photonpu.compiler.passes.partial import EVALUATE
from photonpu.errors import InputError, ModelError, PhotonpuWarning, UnsupportedModelError
from photonpu.hardware import Machine
from tests.compiler.networks import Array, network, numbers, run

SMALL = Machine.preset("ideal").override({"mesh.ports": 8})
make = helper.make_node


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def folded(model: onnx.ModelProto, shapes: dict[str, Sequence[int]] | None = None) -> Graph:
    return pipeline.simplified(reader.read(model), shapes or {})


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def agrees(model: onnx.ModelProto, *batches: dict[str, Array], **options: Any) -> None:
    """Compile with the first batch, and compare each with onnxruntime."""
    program = photonpu.compile(model, SMALL, calibration=batches[0], **options)
    session = photonpu.Session(program, "ideal")
    for feeds in batches:
        for y, expected in zip(session.run(None, feeds), run(model, feeds), strict=True):
            npt.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


def two_inputs() -> onnx.ModelProto:
    return network(
        [make("Add", ["x", "z"], ["s"]), make("MatMul", ["s", "w"], ["y"])],
        {"x": ["N", "T", 3], "z": ["N", "T", 3]},
        {"y": 3},
        {"w": numbers(3, 4)},
    )


def test_fixing_an_axis_fixes_those_of_the_same_name() -> None:
    graph = folded(two_inputs(), {"x": (1, 7, 3)})
    assert [info.shape for info in graph.inputs] == [("N", 7, 3), ("N", 7, 3)]


def test_axes_of_one_name_have_one_size() -> None:
    with pytest.raises(ModelError, match=r"'z' has 8 for axis 'T', which is 7 in another input"):
        folded(two_inputs(), {"x": (1, 7, 3), "z": (1, 8, 3)})


def test_a_batch_that_is_another_axis_elsewhere_cannot_stay_free() -> None:
    model = network(
        [make("MatMul", ["x", "w"], ["y"]), make("MatMul", ["y", "h"], ["z"])],
        {"x": ["N", 3], "h": [4, "N"]},
        {"z": 2},
        {"w": numbers(3, 4)},
    )
    with pytest.raises(UnsupportedModelError, match=r"'h' has free axes \(4, 'N'\).*--shape h="):
        folded(model)
    assert [info.shape for info in folded(model, {"x": (2, 3)}).inputs] == [(2, 3), (4, 2)]
    agrees(model, {"x": numbers(2, 3), "h": numbers(4, 2)})


def test_an_input_without_any_shape_asks_for_one() -> None:
    model = network([make("MatMul", ["x", "w"], ["y"])], {"x": []}, {"y": 2}, {"w": numbers(3, 4)})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(UnsupportedModelError, match=r"'x' has no shape: .*--shape x="):
        folded(model)
    agrees(model, {"x": numbers(2, 3)})  # the samples tell it
    agrees(model, {"x": numbers(5, 3)}, shapes={"x": (5, 3)})


def test_a_session_names_the_option_for_another_size() -> None:
    nodes = [make("Conv", ["x", "w"], ["y"])]
    model = network(nodes, {"x": ["N", 1, "H", "W"]}, {"y": 4}, {"w": numbers(2, 1, 3, 3)})
    program = photonpu.compile(model, SMALL, calibration=numbers(1, 1, 5, 5))
    with pytest.raises(InputError, match=r"has shape \(1, 1, 6, 6\).*--shape x=1x1x6x6"):
        photonpu.Session(program, "ideal").run(None, {"x": numbers(1, 1, 6, 6)})


def flattening(batch: int | str, sizes: Array) -> onnx.ModelProto:
    """Return Conv, Reshape to constant sizes, MatMul, as exporters write x.view(1, -1)."""
    nodes = [
        make("Conv", ["x", "w"], ["c"], "conv"),
        make("Reshape", ["c", "sizes"], ["f"], "flatten"),
        make("MatMul", ["f", "v"], ["y"], "dense"),
    ]
    constants = {"w": numbers(2, 1, 3, 3), "sizes": sizes, "v": numbers(8, 3)}
    return network(nodes, {"x": [batch, 1, 4, 4]}, {"y": 2}, constants)


def test_another_batch_than_the_exported_one_can_be_asked_for() -> None:
    x = numbers(3, 1, 4, 4)
    program = photonpu.compile(
        flattening(1, integers(1, -1)), SMALL, shapes={"x": (3, 1, 4, 4)}, calibration=x
    )
    (y,) = photonpu.Session(program, "ideal").run(None, {"x": x})
    each = [run(flattening(1, integers(1, -1)), {"x": x[i : i + 1]})[0] for i in range(3)]
    npt.assert_allclose(y, np.concatenate(each), rtol=1e-5, atol=1e-5)


def test_a_size_that_the_model_cannot_take_is_refused_with_the_node() -> None:
    with pytest.raises(
        ModelError, match=r"does not run with input 'x' 1x1x5x5 in place of 1x1x4x4.*axes free"
    ):
        folded(flattening(1, integers(1, -1)), {"x": (1, 1, 5, 5)})


def test_a_batch_that_is_free_in_name_alone_is_found_out() -> None:
    x = numbers(1, 1, 4, 4)
    with pytest.warns(PhotonpuWarning, match=r"'flatten'.*batch of 1.*'x' is declared free"):
        program = photonpu.compile(flattening("N", integers(1, 8)), SMALL, calibration=x)
    assert program.inputs[0].shape == (1, 1, 4, 4)
    assert any("'flatten'" in note for note in program.notes)
    with pytest.raises(InputError, match=r"has shape \(2, 1, 4, 4\); \(1, 1, 4, 4\)"):
        photonpu.Session(program, "ideal").run(None, {"x": numbers(2, 1, 4, 4)})


def test_a_batch_is_free_where_a_reshape_keeps_it() -> None:
    agrees(flattening("N", integers(0, 8)), {"x": numbers(1, 1, 4, 4)}, {"x": numbers(3, 1, 4, 4)})
    agrees(flattening("N", integers(-1, 8)), {"x": numbers(1, 1, 4, 4)}, {"x": numbers(3, 1, 4, 4)})


def same_padding(batch: int | str, opset: int = 17) -> onnx.ModelProto:
    """Return a convolution of stride 2 padded as TensorFlow and timm do, computed from Shape."""
    nodes = [make("Shape", ["x"], ["shape"])]
    constants = {
        "w": numbers(3, 2, 3, 3),
        "two": np.array(2),
        "one": np.array(1),
        "axis": integers(0),
        "none": np.array(0),
        "corner": integers(0, 0),
    }
    for name, axis in (("h", 2), ("v", 3)):
        constants[f"{name}/axis"] = np.array(axis)
        nodes += [  # total = max((ceil(size / 2) - 1) * 2 + 3 - size, 0)
            make("Gather", ["shape", f"{name}/axis"], [f"{name}/size"], axis=0),
            make("Add", [f"{name}/size", "one"], [f"{name}/more"]),
            make("Div", [f"{name}/more", "two"], [f"{name}/out"]),
            make("Mul", [f"{name}/out", "two"], [f"{name}/reach"]),
            make("Add", [f"{name}/reach", "one"], [f"{name}/need"]),
            make("Sub", [f"{name}/need", f"{name}/size"], [f"{name}/total"]),
            make("Max", [f"{name}/total", "none"], [f"{name}/all"]),
            make("Div", [f"{name}/all", "two"], [f"{name}/begin"]),
            make("Sub", [f"{name}/all", f"{name}/begin"], [f"{name}/end"]),
            make("Unsqueeze", [f"{name}/begin", "axis"], [f"{name}/b"]),
            make("Unsqueeze", [f"{name}/end", "axis"], [f"{name}/e"]),
        ]
    pads = ["corner", "h/b", "v/b", "corner", "h/e", "v/e"]
    nodes += [
        make("Concat", pads, ["pads"], axis=0),
        make("Pad", ["x", "pads"], ["padded"]),
        make("Conv", ["padded", "w"], ["y"], strides=[2, 2]),
    ]
    return network(nodes, {"x": [batch, 2, 5, 6]}, {"y": 4}, constants, opset)


@pytest.mark.parametrize("batch", [1, "N"])
def test_dynamic_padding_folds_into_the_convolution(batch: int | str) -> None:
    graph = folded(same_padding(batch))
    assert ops(graph) == ["Conv"]
    assert graph.nodes[0].values()["pads"] == [1, 0, 1, 1]
    feeds = [{"x": numbers(1, 2, 5, 6)}, {"x": numbers(1 if batch == 1 else 3, 2, 5, 6)}]
    agrees(same_padding(batch), *feeds)


def test_padding_of_two_layers_in_a_row_folds() -> None:
    once = same_padding("N")
    again = same_padding("N")
    for node in again.graph.node:
        node.input[:] = [
            ("y" if n == "x" else n if n in CONSTANTS else f"{n}'") for n in node.input
        ]
        node.output[:] = [f"{n}'" for n in node.output]
    again.graph.initializer[0].CopyFrom(numpy_helper.from_array(numbers(3, 3, 3, 3), "w'"))
    for node in again.graph.node:
        if node.op_type == "Conv":
            node.input[1] = "w'"
    once.graph.node.extend(again.graph.node)
    once.graph.initializer.append(again.graph.initializer[0])
    once.graph.output[0].name = "y'"
    assert ops(folded(once)) == ["Conv", "Conv"]
    agrees(once, {"x": numbers(1, 2, 5, 6)}, {"x": numbers(2, 2, 5, 6)})


CONSTANTS = {"two", "one", "axis", "none", "corner", "h/axis", "v/axis"}


@pytest.mark.parametrize(
    ("mode", "value", "pads"),
    [
        ("reflect", None, (0, 0, 1, 1, 0, 0, 1, 1)),
        ("constant", 2.0, (0, 0, 1, 1, 0, 0, 1, 1)),
        ("constant", None, (0, 1, 0, 0, 0, 0, 0, 0)),
        ("constant", None, (0, 0, -1, 0, 0, 0, 0, 0)),
    ],
)
def test_other_pads_stay(mode: str, value: float | None, pads: tuple[int, ...]) -> None:
    channels = 2 + pads[1] + pads[5]
    constants = {"pads": integers(*pads), "w": numbers(3, channels, 3, 3)}
    inputs = ["x", "pads"]
    if value is not None:
        constants["value"] = np.array(value, np.float32)
        inputs.append("value")
    nodes = [make("Pad", inputs, ["p"], mode=mode), make("Conv", ["p", "w"], ["y"])]
    model = network(nodes, {"x": ["N", 2, 5, 5]}, {"y": 4}, constants)
    assert ops(folded(model)) == ["Pad", "Conv"]
    agrees(model, {"x": numbers(1, 2, 5, 5)})


def test_a_pad_of_chosen_axes_folds() -> None:
    constants = {"pads": integers(1, 2), "axes": integers(-1), "w": numbers(3, 2, 3, 3)}
    nodes = [
        make("Pad", ["x", "pads", "", "axes"], ["p"]),
        make("Conv", ["p", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    model = network(nodes, {"x": ["N", 2, 5, 5]}, {"y": 4}, constants, opset=19)
    graph = folded(model)
    assert ops(graph) == ["Conv"]
    assert graph.nodes[0].values()["pads"] == [1, 2, 1, 3]
    agrees(model, {"x": numbers(1, 2, 5, 5)})


def test_flattening_all_but_the_batch_folds() -> None:
    nodes = [
        make("Conv", ["x", "w"], ["c"]),
        make("Shape", ["c"], ["s"]),
        make("Gather", ["s", "zero"], ["n"], axis=0),
        make("Unsqueeze", ["n", "axis"], ["n1"]),
        make("Concat", ["n1", "rest"], ["sizes"], axis=0),
        make("Reshape", ["c", "sizes"], ["f"]),
        make("MatMul", ["f", "v"], ["y"]),
    ]
    constants = {
        "w": numbers(2, 1, 3, 3),
        "zero": np.array(0),
        "axis": integers(0),
        "rest": integers(-1),
        "v": numbers(8, 3),
    }
    model = network(nodes, {"x": ["N", 1, 4, 4]}, {"y": 2}, constants)
    assert ops(folded(model)) == ["Conv", "Reshape", "MatMul"]
    agrees(model, {"x": numbers(1, 1, 4, 4)}, {"x": numbers(3, 1, 4, 4)})


def test_sizes_of_a_resize_and_an_expand_from_shape_stay_right() -> None:
    nodes = [
        make("Conv", ["x", "w"], ["c"]),
        make("Shape", ["c"], ["s"]),
        make("Slice", ["s", "zero", "two"], ["front"]),
        make("Slice", ["s", "two", "four"], ["back"]),
        make("Mul", ["back", "factor"], ["larger"]),
        make("Concat", ["front", "larger"], ["sizes"], axis=0),
        make("Resize", ["c", "", "", "sizes"], ["r"], mode="nearest"),
        make("Shape", ["r"], ["rs"]),
        make("Expand", ["offset", "rs"], ["e"]),
        make("Add", ["r", "e"], ["y"]),
    ]
    constants = {
        "w": numbers(2, 1, 3, 3),
        "zero": integers(0),
        "two": integers(2),
        "four": integers(4),
        "factor": integers(2, 3),
        "offset": numbers(1, 2, 1, 1),
    }
    model = network(nodes, {"x": ["N", 1, 4, 4]}, {"y": 4}, constants)
    agrees(model, {"x": numbers(1, 1, 4, 4)}, {"x": numbers(3, 1, 4, 4)})


def test_every_evaluation_agrees_with_onnxruntime_on_known_numbers() -> None:
    cases: dict[str, tuple[list[Array], dict[str, Any]]] = {
        "Cast": ([np.array([1.7, -1.7], np.float32)], {"to": TensorProto.INT64}),
        "Ceil": ([np.array([1.2, -1.2], np.float32)], {}),
        "Floor": ([np.array([1.2, -1.2], np.float32)], {}),
        "Concat": ([integers(1, 2), integers(3)], {"axis": 0}),
        "ConstantOfShape": (
            [integers(2)],
            {"value": helper.make_tensor("", TensorProto.INT64, [1], [7])},
        ),
        "Gather": ([integers(4, 5, 6), integers(2, 0)], {"axis": 0}),
        "Reshape": ([integers(1, 2, 3, 4), integers(-1, 2)], {}),
        "Slice": (
            [integers(1, 2, 3, 4), integers(-1), integers(-9), integers(0), integers(-2)],
            {},
        ),
        "Squeeze": ([integers(3).reshape(1, 1), integers(0)], {}),
        "Unsqueeze": ([integers(3), integers(0)], {}),
        "Transpose": ([integers(1, 2, 3, 4).reshape(2, 2)], {"perm": [1, 0]}),
        "Where": ([np.array([True, False]), integers(1, 2), integers(3, 4)], {}),
        "Mod": ([integers(-7, 7), integers(3, -3)], {"fmod": 0}),
        **{op: ([integers(-7)], {}) for op in ("Abs", "Neg", "Identity")},
        **{
            op: ([integers(-7, 7, 5), integers(2, 2, 5)], {})
            for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Equal")
        },
    }
    assert set(cases) == set(EVALUATE)
    for op, (arrays, attributes) in cases.items():
        names = [f"i{index}" for index in range(len(arrays))]
        graph = helper.make_graph(
            [make(op, names, ["y"], **attributes)],
            op,
            [],
            [onnx.ValueInfoProto(name="y")],
            [numpy_helper.from_array(a, n) for n, a in zip(names, arrays, strict=True)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (expected,) = run(model, {})
        found = EVALUATE[op](*(array.astype(object) for array in arrays), **attributes)
        npt.assert_array_equal(np.asarray(found, object).astype(expected.dtype), expected, op)


@given(st.integers(-99, 99), st.integers(-9, 9).filter(bool))
def test_division_cuts_off_towards_zero(a: int, b: int) -> None:
    (found,) = EVALUATE["Div"](np.array([a], object), np.array([b], object))
    assert found == int(np.trunc(a / b))


def test_what_is_unknown_stays_unknown() -> None:
    (a, b) = EVALUATE["Add"](np.array(["N", 2], object), np.array([1, 1], object))
    assert (a, b) == (None, 3)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("kernel", "stride", "size"), [(2, 3, 2), (1, 2, 1), (3, 2, 2), (2, 2, 2)])
def test_a_kernel_shorter_than_its_stride_spreads_as_far_as_in_onnxruntime(
    auto_pad: str, kernel: int, stride: int, size: int
) -> None:
    # ONNX would have size times stride; onnxruntime adds nothing. A weight behind it is for that.
    up = make("ConvTranspose", ["x", "w"], ["u"], strides=[stride], auto_pad=auto_pad)
    nodes = [up, make("Transpose", ["u"], ["t"], perm=[0, 2, 1]), make("Conv", ["t", "v"], ["y"])]
    given = numbers(1, 1, size)
    length = (size - 1) * stride + min(kernel, stride)
    constants = {"w": numbers(1, 1, kernel), "v": numbers(2, length, 1)}

    agrees(network(nodes, {"x": [1, 1, size]}, {"y": 3}, constants), {"x": given})
