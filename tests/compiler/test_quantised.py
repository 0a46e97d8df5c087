"""Quantised products on ideal meshes, against exact integer arithmetic and onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.compiler.integers import (
    KINDS,
    LARGEST_WEIGHT,
    MICROSOFT,
    Case,
    assert_rounded,
    check,
    ideal,
    model_of,
    saturated,
    whole,
)
from tests.compiler.networks import Array, run


def convolved(x: Array, w: Array, pads: list[int], strides: list[int], groups: int) -> Array:
    """Convolve integers in float64, which is exact, tap by tap."""
    x = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])])
    rows = (x.shape[2] - w.shape[2]) // strides[0] + 1
    columns = (x.shape[3] - w.shape[3]) // strides[1] + 1
    grouped = x.reshape(len(x), groups, -1, *x.shape[2:])
    kernels = w.reshape(groups, -1, *w.shape[1:])
    out = np.zeros((len(x), groups, kernels.shape[1], rows, columns))
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = grouped[
                ...,
                i : i + strides[0] * (rows - 1) + 1 : strides[0],
                j : j + strides[1] * (columns - 1) + 1 : strides[1],
            ]
            out += np.einsum("ngcyx,goc->ngoyx", part, kernels[..., i, j])
    return out.reshape(len(x), -1, rows, columns)


@dataclass(frozen=True)
class Drawn:
    """The integers of one product.

    Attributes
    ----------
    x, w
        What streams and what the mesh holds.
    x_zero, w_zero
        Their zero points, that of the weight one number or one a channel.
    accumulated
        The product, exact.
    channels
        Shape that one number an output channel has to broadcast with the product.
    attributes
        Those of the operator.
    on_left
        Whether the weight is the first factor.
    """

    x: Array
    w: Array
    x_zero: Array
    w_zero: Array
    accumulated: Array
    channels: tuple[int, ...]
    attributes: dict[str, Any]
    on_left: bool = False

    @property
    def kind(self) -> str:
        """Element type of the data."""
        return str(self.x.dtype)


PAIRS = st.sampled_from([("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8")])


def zero_point(kind: str, shape: tuple[int, ...], seed: int) -> Array:
    """Draw a weight's zero point; onnxruntime wants 0 of signed ones, and one for all channels."""
    value = 0 if kind == "int8" else int(whole(kind, seed=seed, bound=40))
    return np.full(shape, value, KINDS[kind])


@st.composite
def convolutions(draw: st.DrawFn, by_channel: bool) -> Drawn:
    kind, weight_kind = draw(PAIRS)
    seed, groups = draw(st.integers(0, 99)), draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(2)]
    strides = [draw(st.integers(1, 2)) for _ in range(2)]
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    outputs, inputs = groups * draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x = whole(kind, 2, groups * inputs, 5, 6, seed=seed)
    w = whole(weight_kind, outputs, inputs, *kernel, seed=seed, bound=LARGEST_WEIGHT)
    x_zero = whole(kind, seed=seed + 1)
    shape = (outputs,) if by_channel and draw(st.booleans()) else ()
    w_zero = zero_point(weight_kind, shape, seed)
    factors = x.astype(np.int64) - int(x_zero), w.astype(np.int64) - int(w_zero.flat[0])
    accumulated = convolved(*factors, pads, strides, groups)
    attributes = {"pads": pads, "strides": strides, "group": groups}
    return Drawn(x, w, x_zero, w_zero, accumulated, (-1, 1, 1), attributes)


@st.composite
def matrix_products(draw: st.DrawFn, by_channel: bool) -> Drawn:
    kind, weight_kind = draw(PAIRS)
    on_left = draw(st.booleans()) and kind == weight_kind  # onnxruntime: never int8 with uint8
    seed, batch = draw(st.integers(0, 99)), draw(st.sampled_from([(), (2,), (2, 3)]))
    rows, inner, columns = (draw(st.integers(1, 12)) for _ in range(3))
    shapes = [(rows, inner), (*batch, inner, columns)]
    if not on_left:
        shapes = [(*batch, rows, inner), (inner, columns)]
    first = whole(kind, *shapes[0], seed=seed, bound=LARGEST_WEIGHT)
    second = whole(weight_kind, *shapes[1], seed=seed + 1, bound=LARGEST_WEIGHT)
    x, w = (second, first) if on_left else (first, second)
    shape = (columns,) if by_channel and not on_left and draw(st.booleans()) else ()
    x_zero, w_zero = whole(kind, seed=seed + 2), zero_point(weight_kind, shape, seed)
    zeros = (w_zero, x_zero) if on_left else (x_zero, w_zero)
    factors = [f.astype(np.int64) - z for f, z in zip((first, second), zeros, strict=True)]
    accumulated = np.asarray(factors[0] @ factors[1], np.float64)
    return Drawn(x, w, x_zero, w_zero, accumulated, (-1,), {}, on_left)


def of_integers(op: str, drawn: Drawn) -> onnx.ModelProto:
    """Return a model of ConvInteger or MatMulInteger."""
    constants = {"w": drawn.w, "x_zero": drawn.x_zero, "w_zero": drawn.w_zero}
    names = ["x", "w", "x_zero", "w_zero"]
    if drawn.on_left:
        names = ["w", "x", "w_zero", "x_zero"]
    node = helper.make_node(op, names, ["y"], name="it", **drawn.attributes)
    return model_of([node], {"x": drawn.x}, constants, np.int32)


def requantised(op: str, drawn: Drawn, x_scale: float, biased: bool) -> Case:
    """Return a case of QLinearConv or QLinearMatMul with scales at which most outputs fit."""
    draw = np.random.default_rng(len(drawn.w))
    w_scale = draw.uniform(0.01, 0.1, drawn.w_zero.shape).astype(np.float32)
    bias = draw.integers(-2000, 2000, len(drawn.w)).astype(np.int32)
    scales = float(np.float32(x_scale)) * w_scale.astype(np.float64).reshape(drawn.channels)
    real = (drawn.accumulated + (bias.reshape(drawn.channels) if biased else 0)) * scales
    y_scale = np.float32(max(np.abs(real).max(initial=0), 1e-3) / 150)
    y_zero = whole(drawn.kind, seed=3)
    data = {"x_scale": np.float32(x_scale), "x_zero": drawn.x_zero}
    held = {"w": drawn.w, "w_scale": w_scale, "w_zero": drawn.w_zero}
    result = {"y_scale": y_scale, "y_zero": y_zero, **({"b": bias} if biased else {})}
    names = ["x", *data, *held, *result]
    if drawn.on_left:
        names = [*held, "x", *data, *result]
    node = helper.make_node(op, names, ["y"], name="it", **drawn.attributes)
    kind = KINDS[drawn.kind]
    model = model_of([node], {"x": drawn.x}, {**data, **held, **result}, kind)
    return Case(model, drawn.x, real / float(y_scale) + int(y_zero), kind)


SCALES = st.floats(0.01, 0.1)


@given(convolutions(by_channel=True), SCALES, st.booleans())
def test_a_quantised_convolution_gives_the_integers_of_onnxruntime(
    drawn: Drawn, x_scale: float, biased: bool
) -> None:
    check(requantised("QLinearConv", drawn, x_scale, biased))


@given(matrix_products(by_channel=True), SCALES)
def test_a_quantised_matrix_product_gives_the_integers_of_onnxruntime(
    drawn: Drawn, x_scale: float
) -> None:
    check(requantised("QLinearMatMul", drawn, x_scale, biased=False))


@given(convolutions(by_channel=False))  # onnxruntime has no ConvInteger by channel
def test_a_convolution_of_integers_gives_the_integers_of_onnxruntime(drawn: Drawn) -> None:
    model = of_integers("ConvInteger", drawn)
    found = ideal(model, drawn.x)
    npt.assert_array_equal(found, drawn.accumulated.astype(np.int32))
    npt.assert_array_equal(found, run(model, {"x": drawn.x})[0])


@given(matrix_products(by_channel=True))
def test_a_matrix_product_of_integers_gives_the_integers_of_onnxruntime(drawn: Drawn) -> None:
    model = of_integers("MatMulInteger", drawn)
    found = ideal(model, drawn.x)
    npt.assert_array_equal(found, drawn.accumulated.astype(np.int32))
    npt.assert_array_equal(found, run(model, {"x": drawn.x})[0])


def micro(op: str, names: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, names, ["y"], name="it", domain=MICROSOFT, **attributes)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("requantised", [False, True])
def test_a_gemm_of_integers_gives_what_onnxruntime_gives(turned: bool, requantised: bool) -> None:
    x, w = whole("uint8", 3, 20), whole("int8", 20, 5, bound=LARGEST_WEIGHT)
    constants: dict[str, Any] = {
        "xs": np.float32(0.03),
        "xz": np.uint8(117),
        "w": np.ascontiguousarray(w.T) if turned else w,
        "ws": np.linspace(0.01, 0.05, 5, dtype=np.float32),
        "wz": np.zeros(5, np.int8),
        "c": np.arange(-2, 3, dtype=np.int32) * 500,
    }
    if requantised:
        constants |= {"ys": np.float32(0.4), "yz": np.uint8(99)}
    # onnxruntime scales the bias by alpha, too.
    node = micro("QGemm", ["x", *constants], transB=int(turned), alpha=0.5)
    model = model_of([node], {"x": x}, constants, np.uint8 if requantised else np.float32)
    scales = 0.5 * 0.03 * constants["ws"].astype(np.float64)
    real = ((x.astype(np.int64) - 117) @ w.astype(np.int64) + constants["c"]) * scales
    (reference,) = run(model, {"x": x})
    if requantised:
        exact = real / float(constants["ys"]) + 99
        assert_rounded(ideal(model, x), reference, exact)
        assert_rounded(ideal(model, x), saturated(exact, np.uint8), exact)
    else:
        npt.assert_allclose(ideal(model, x), reference, atol=1e-5 * np.abs(reference).max())
        npt.assert_allclose(reference, real, rtol=1e-4)


def test_a_convolution_whose_channels_lie_last_gives_the_integers_of_onnxruntime() -> None:
    x, w = whole("uint8", 2, 5, 6, 3), whole("int8", 4, 3, 3, 2, bound=LARGEST_WEIGHT)
    bias = np.arange(-2, 2, dtype=np.int32) * 700
    constants: dict[str, Any] = {"xs": np.float32(0.03), "xz": np.uint8(117), "w": w}
    constants |= {"ws": np.float32(0.02), "wz": np.int8(0)}
    constants |= {"ys": np.float32(0.2), "yz": np.uint8(99), "b": bias}
    node = micro("QLinearConv", ["x", *constants], channels_last=1, pads=[1, 0, 1, 1])
    model = model_of([node], {"x": x}, constants, np.uint8)
    plain = x.astype(np.int64).transpose(0, 3, 1, 2) - 117
    accumulated = convolved(plain, w.astype(np.int64), [1, 0, 1, 1], [1, 1], 1)
    accumulated = (accumulated + bias[:, None, None]).transpose(0, 2, 3, 1)
    scale = float(np.float32(0.03)) * float(np.float32(0.02)) / float(np.float32(0.2))
    check(Case(model, x, accumulated * scale + 99, np.uint8))


@pytest.mark.parametrize("op", ["MatMulIntegerToFloat", "DynamicQuantizeMatMul"])
@pytest.mark.parametrize("biased", [False, True])
def test_dynamic_products_of_onnxruntime_give_what_it_gives(op: str, biased: bool) -> None:
    constants: dict[str, Any] = {
        "w": whole("uint8", 20, 5, bound=LARGEST_WEIGHT),
        "xs": np.float32(0.03),
        "ws": np.linspace(0.01, 0.05, 5, dtype=np.float32),
        "xz": np.uint8(117),
        "wz": np.full(5, 31, np.uint8),
        "c": np.arange(5, dtype=np.float32),
    }
    x: Array = whole("uint8", 2, 3, 20)
    names = ["w", "xs", "ws", "xz", "wz"]
    if op == "DynamicQuantizeMatMul":
        x, names = np.linspace(-3, 4, 120, dtype=np.float32).reshape(2, 3, 20), ["w", "ws", "wz"]
    names += ["c"] if biased else []
    held = {name: constants[name] for name in names}
    model = model_of([micro(op, ["x", *names])], {"x": x}, held, np.float32)
    (reference,) = run(model, {"x": x})
    npt.assert_allclose(ideal(model, x), reference, atol=1e-5 * np.abs(reference).max())


def test_whole_numbers_are_rounded_in_operator_sets_without_round() -> None:
    x, w = whole("uint8", 3, 9), whole("int8", 9, 4, bound=LARGEST_WEIGHT)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"], name="it")
    model = model_of([node], {"x": x}, {"w": w}, np.int32, opset=10)
    npt.assert_array_equal(ideal(model, x), x.astype(np.int32) @ w.astype(np.int32))
