"""Lowerings: the matrix product computes what onnxruntime computes for the operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from photonpu.compiler.graph import from_model
from photonpu.compiler.lowerings import LOWERINGS, MatrixProduct, lower
from photonpu.errors import ModelError
from photonpu.program import windows
from tests.compiler.networks import Array, network, numbers, run, single


@dataclass(frozen=True)
class Drawn:
    """One operator with data and constants."""

    model: onnx.ModelProto
    x: Array


@st.composite
def convs(draw: st.DrawFn) -> Drawn:
    axes = draw(st.integers(1, 4))

    def each(low: int, high: int, count: int = axes) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(count)]

    kernel, strides, groups = each(1, 3), each(1, 3), draw(st.integers(1, 3))
    attributes: dict[str, Any] = {"strides": strides, "group": groups}
    automatic = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    dilations = [1] * axes
    if not automatic.startswith("SAME"):  # onnxruntime dilates with explicit padding only
        dilations = attributes["dilations"] = each(1, 3)
    if automatic == "NOTSET":
        attributes["pads"] = each(0, 2, 2 * axes)
    else:
        attributes["auto_pad"] = automatic
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    x = numbers(
        2,
        groups * draw(st.integers(1, 3)),
        *(draw(st.integers(n, max(n, 9 - axes))) for n in reach),
    )
    outputs = groups * draw(st.integers(1, 3))
    constants = {"w": numbers(outputs, x.shape[1] // groups, *kernel)}
    if draw(st.booleans()):
        constants["b"] = numbers(outputs)
    return Drawn(single("Conv", x, constants, x.ndim, **attributes), x)


@st.composite
def transposed_convs(draw: st.DrawFn) -> Drawn:
    axes = draw(st.integers(1, 4))

    def each(low: int, high: int, count: int = axes) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(count)]

    kernel, strides, dilations = each(1, 4), each(1, 3), each(1, 3)
    groups = draw(st.integers(1, 2))
    x = numbers(2, groups * draw(st.integers(1, 2)), *each(2, 5))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": groups}
    automatic = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if automatic != "NOTSET":
        attributes["auto_pad"] = automatic
    more = [draw(st.integers(0, s - 1)) for s in strides]  # onnxruntime takes no more
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    full = [s * (n - 1) + r for s, n, r in zip(strides, x.shape[2:], reach, strict=True)]
    if draw(st.booleans()):
        attributes["output_shape"] = [
            draw(st.integers(max(1, n - 3), n + s - 1)) for n, s in zip(full, strides, strict=True)
        ]
    elif automatic == "NOTSET":
        attributes["output_padding"] = more
        attributes["pads"] = [draw(st.integers(0, min(2, (n - 1) // 2))) for n in [*full, *full]]
    outputs = draw(st.integers(1, 3))
    constants = {"w": numbers(x.shape[1], outputs, *kernel)}
    if draw(st.booleans()):
        constants["b"] = numbers(outputs * groups)
    return Drawn(single("ConvTranspose", x, constants, x.ndim, **attributes), x)


@st.composite
def gemms(draw: st.DrawFn) -> Drawn:
    rows, inner, columns = (draw(st.integers(1, 5)) for _ in range(3))
    attributes: dict[str, Any] = {
        "alpha": draw(st.sampled_from([1.0, 0.5])),
        "beta": draw(st.sampled_from([1.0, -2.0, 0.0])),
    }
    if draw(st.booleans()):
        transposed = attributes["transB"] = draw(st.integers(0, 1))
        x, shape = numbers(rows, inner), (columns, inner) if transposed else (inner, columns)
        names, bias = ["x", "w"], draw(st.sampled_from([(columns,), (1, columns), (1,), ()]))
    else:
        transposed = attributes["transA"] = draw(st.integers(0, 1))
        x, shape = numbers(inner, columns), (inner, rows) if transposed else (rows, inner)
        names, bias = ["w", "x"], draw(st.sampled_from([(rows, 1), (1,), ()]))
    constants = {"w": numbers(*shape)}
    if draw(st.booleans()):
        constants["b"] = numbers(*bias)
    given = [*names, "b"] if "b" in constants else names
    node = helper.make_node("Gemm", given, ["y"], name="it", **attributes)
    return Drawn(network([node], {"x": x.shape}, {"y": 2}, constants), x)


@st.composite
def matmuls(draw: st.DrawFn) -> Drawn:
    inner, other, outputs = (draw(st.integers(1, 5)) for _ in range(3))
    batch = draw(st.sampled_from([(), (2,), (2, 3)]))
    vector = draw(st.booleans()) and not batch
    if draw(st.booleans()):
        x = numbers(inner) if vector else numbers(*batch, other, inner)
        names, weight = ["x", "w"], numbers(inner, outputs)
    else:
        x = numbers(inner) if vector else numbers(*batch, inner, other)
        names, weight = ["w", "x"], numbers(outputs, inner)
    node = helper.make_node("MatMul", names, ["y"], name="it")
    return Drawn(network([node], {"x": x.shape}, {"y": x.ndim}, {"w": weight}), x)


DRAWN: dict[str, Callable[[], st.SearchStrategy[Drawn]]] = {
    "Conv": convs,
    "ConvTranspose": transposed_convs,
    "Gemm": gemms,
    "MatMul": matmuls,
}


def product_of(model: onnx.ModelProto) -> MatrixProduct:
    graph = from_model(model)
    product = lower(graph.nodes[0], graph)
    assert isinstance(product, MatrixProduct)
    return product


def reason_of(model: onnx.ModelProto) -> str:
    graph = from_model(model)
    reason = lower(graph.nodes[0], graph)
    assert isinstance(reason, str)
    return reason


def test_every_lowering_is_drawn() -> None:
    assert set(DRAWN) == set(LOWERINGS)


@pytest.mark.parametrize("op", LOWERINGS)
@given(data=st.data())
def test_a_lowered_operator_computes_what_onnxruntime_does(op: str, data: st.DataObject) -> None:
    drawn = data.draw(DRAWN[op]())
    (expected,) = run(drawn.model, {"x": drawn.x})
    product = product_of(drawn.model)
    found = windows.multiply(drawn.x, product.geometry, product.weights, product.bias)
    npt.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("op", LOWERINGS)
@given(data=st.data())
def test_matrices_have_the_shapes_that_the_geometry_says(op: str, data: st.DataObject) -> None:
    product = product_of(data.draw(DRAWN[op]()).model)
    for stream, weight in zip(product.geometry.streams, product.weights, strict=True):
        rows, columns = product.geometry.matrix_shape(stream)
        groups = product.geometry.groups
        assert weight.shape == (groups, rows // groups, columns // groups)
        assert weight.dtype == np.float32


@given(transposed_convs())
def test_no_weight_of_a_transposed_convolution_is_streamed_twice_or_as_zero(drawn: Drawn) -> None:
    (tensor,) = (t for t in drawn.model.graph.initializer if t.name == "w")
    distinct = np.arange(1, 1 + math.prod(tensor.dims), dtype=np.float32)  # draws may be equal
    tensor.CopyFrom(numpy_helper.from_array(distinct.reshape(tensor.dims), "w"))
    weights = np.concatenate(
        [w.ravel() for w in product_of(drawn.model).weights] or [np.zeros(0, np.float32)]
    )
    assert weights.all()
    assert len(weights) == len(np.unique(weights)) == math.prod(tensor.dims)


def test_the_upsampling_of_a_unet_is_one_stream_of_four_rows_a_channel() -> None:
    x, weight = numbers(1, 6, 4, 4), numbers(6, 3, 2, 2)
    product = product_of(single("ConvTranspose", x, {"w": weight}, 4, strides=[2, 2]))
    (stream,) = product.geometry.streams
    assert stream.offsets == ((0, 0), (0, 1), (1, 0), (1, 1))
    assert product.geometry.matrix_shape(stream) == (12, 6)
    npt.assert_array_equal(product.weights[0][0, :3], weight[:, :, 0, 0].T)


def test_a_dilation_that_shares_no_factor_with_the_stride_stays_in_the_sub_window() -> None:
    x, weight = numbers(1, 1, 9), numbers(1, 1, 4)
    product = product_of(single("ConvTranspose", x, {"w": weight}, 3, strides=[2], dilations=[3]))
    assert {stream.window.dilations for stream in product.geometry.streams} == {(3,)}
    assert [stream.window.kernel for stream in product.geometry.streams] == [(2,), (2,)]


def test_stride_beyond_the_kernel_leaves_the_bias_alone_between_the_pixels() -> None:
    constants = {"w": numbers(1, 1, 1), "b": np.array([7.0], np.float32)}
    x = numbers(1, 1, 3)
    product = product_of(single("ConvTranspose", x, constants, 3, strides=[3]))
    y = windows.multiply(x, product.geometry, product.weights, product.bias)
    assert len(product.geometry.streams) == 1
    npt.assert_array_equal(y[0, 0, [1, 2, 4, 5]], 7.0)


def test_a_lowering_holds_for_any_batch_and_size() -> None:
    weight = numbers(3, 2, 3, 3)
    product = product_of(single("Conv", numbers(1, 2, 5, 5), {"w": weight}, 4, pads=[1, 1, 1, 1]))
    x = numbers(3, 2, 7, 4)
    (expected,) = run(single("Conv", x, {"w": weight}, 4, pads=[1, 1, 1, 1]), {"x": x})
    found = windows.multiply(x, product.geometry, product.weights)
    npt.assert_allclose(found, expected, atol=1e-5)


def test_a_weight_computed_at_run_time_stays_digital() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="it")]
    model = network(nodes, {"x": [1, 1, 4, 4], "w": [1, 1, 2, 2]}, {"y": 4})
    assert reason_of(model) == "its weight 'w' is computed at run time"


def test_a_product_of_two_activations_stays_digital() -> None:
    nodes = [helper.make_node("MatMul", ["x", "z"], ["y"], name="it")]
    model = network(nodes, {"x": [2, 2], "z": [2, 2]}, {"y": 2})
    assert reason_of(model) == "its factors 'x' and 'z' are both computed at run time"


def test_a_stack_of_matrices_that_no_pass_took_apart_stays_digital() -> None:
    model = single("MatMul", numbers(2, 2, 3), {"w": numbers(2, 3, 4)}, 3)
    assert reason_of(model) == (
        "its weight 'w' has 3 axes and those of its data 'x' are unknown or do not fit"
    )


def test_transposed_data_stay_digital() -> None:
    model = single("Gemm", numbers(3, 2), {"w": numbers(3, 4)}, 2, transA=1)
    assert reason_of(model) == "its data 'x' is transposed"


def test_a_bias_a_row_stays_digital() -> None:
    constants = {"w": numbers(3, 4), "b": numbers(2, 4)}
    reason = reason_of(single("Gemm", numbers(2, 3), constants, 2))
    assert reason == "its bias 'b' of shape (2, 4) is not one number a channel"


def test_a_weight_in_double_precision_stays_digital() -> None:
    model = single("MatMul", numbers(2, 3), {"w": numbers(3, 4).astype(np.float64)}, 2)
    assert reason_of(model) == "its weight 'w' is float64 and the mesh takes float32"


def test_automatic_padding_over_a_free_axis_stays_digital() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2], auto_pad="SAME_UPPER")
    model = network([node], {"x": [1, 1, "L"]}, {"y": 3}, {"w": numbers(1, 1, 3)})
    assert reason_of(model) == "its auto_pad depends on the shape of 'x', which is free"


def test_measured_shapes_settle_automatic_padding() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2], auto_pad="SAME_UPPER")
    graph = from_model(network([node], {"x": [1, 1, "L"]}, {"y": 3}, {"w": numbers(1, 1, 3)}))
    product = lower(graph.nodes[0], graph, {"x": (1, 1, 6)})
    assert isinstance(product, MatrixProduct)
    window = product.geometry.streams[0].window
    assert (window.pads_begin, window.pads_end) == ((0,), (1,))


def test_an_operator_that_is_no_product_says_so() -> None:
    assert reason_of(single("Relu", numbers(2), {}, 1)) == (
        "Relu is not a product with a constant matrix"
    )


def test_infinity_on_its_way_to_the_mesh_is_an_error() -> None:
    weight = numbers(3, 4)
    weight[1, 2] = np.inf
    graph = from_model(single("MatMul", numbers(2, 3), {"w": weight}, 2))
    with pytest.raises(ModelError, match=r"node 'it' \(MatMul\): its constant 'w' holds inf at"):
        lower(graph.nodes[0], graph)


def test_attributes_that_contradict_the_weight_are_an_error() -> None:
    graph = from_model(single("Conv", numbers(1, 4, 5), {"w": numbers(3, 2, 2)}, 3, group=2))
    with pytest.raises(ModelError, match=r"node 'it' \(Conv\): its attributes and the shapes of"):
        lower(graph.nodes[0], graph)


def test_a_gemm_that_still_broadcasts_by_attribute_stays_digital() -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], broadcast=1)
    constants = {"w": numbers(3, 4), "b": numbers(4)}
    model = network([node], {"x": [2, 3]}, {"y": 2}, constants, opset=6)
    assert reason_of(model) == "operator set 6 is older than 7"


@pytest.mark.parametrize(
    ("op", "weight"),
    [("Conv", (2, 3, 2, 2)), ("ConvTranspose", (3, 2, 2, 2)), ("MatMul", (5, 4))],
)
def test_an_operator_that_never_changed_goes_to_the_mesh_from_any_operator_set(
    op: str, weight: tuple[int, ...]
) -> None:
    node = helper.make_node(op, ["x", "w"], ["y"])
    x = numbers(2, 3, 4, 5)
    model = network([node], {"x": list(x.shape)}, {"y": 4}, {"w": numbers(*weight)}, opset=6)
    product = product_of(model)
    npt.assert_allclose(
        windows.multiply(x, product.geometry, product.weights, product.bias),
        run(model, {"x": x})[0],
        atol=1e-5,
    )
