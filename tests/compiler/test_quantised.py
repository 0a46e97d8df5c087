"""Quantised products on ideal meshes, against exact integer arithmetic and onnxruntime."""

from __future__ import annotations

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


def scale_for(accumulated: Array, data_scale: float, weight_scale: Array, kind: str) -> np.float32:
    """Return a scale at which most of the outputs fit into 8 bits."""
    real = np.abs(accumulated * data_scale * weight_scale)
    return np.float32(max(float(real.max(initial=0)), 1e-3) / (200 if kind == "uint8" else 100))


@st.composite
def convolutions(draw: st.DrawFn, integer: bool) -> Case:
    kind, weight_kind = draw(
        st.sampled_from([("uint8", "uint8"), ("uint8", "int8"), ("int8",) * 2])
    )
    seed, groups = draw(st.integers(0, 99)), draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(2)]
    strides = [draw(st.integers(1, 2)) for _ in range(2)]
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    outputs, inputs = groups * draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x = whole(kind, 2, groups * inputs, 5, 6, seed=seed)
    w = whole(weight_kind, outputs, inputs, *kernel, seed=seed, bound=LARGEST_WEIGHT)
    x_zero = whole(kind, seed=seed + 1)
    channels = draw(st.booleans()) and not integer  # onnxruntime has no ConvInteger by channel
    shape = (outputs,) if channels else ()
    w_zero = whole(weight_kind, seed=seed + 2, bound=40) if weight_kind == "uint8" else np.int8(0)
    w_zero = np.full(shape, w_zero, KINDS[weight_kind])
    accumulated = convolved(
        x.astype(np.int64) - int(x_zero), w - w_zero.astype(np.int64).flat[0], pads, strides, groups
    )
    attributes = {"pads": pads, "strides": strides, "group": groups}
    if integer:
        constants = {"w": w, "x_zero": x_zero, "w_zero": w_zero}
        node = helper.make_node("ConvInteger", ["x", *constants], ["y"], name="it", **attributes)
        model = model_of([node], {"x": x}, constants, np.int32)
        return Case(model, x, accumulated, np.int32)
    result_kind = kind
    x_scale = np.float32(draw(st.floats(0.01, 0.1)))
    w_scale = np.random.default_rng(seed).uniform(0.01, 0.1, shape).astype(np.float32)
    bias = np.random.default_rng(seed).integers(-2000, 2000, outputs).astype(np.int32)
    if draw(st.booleans()):
        accumulated = accumulated + bias[:, None, None]
    else:
        bias = np.zeros(0, np.int32)
    spread = w_scale.reshape(-1, 1, 1).astype(np.float64)
    y_scale, y_zero = scale_for(accumulated, x_scale, spread, kind), whole(kind, seed=seed + 3)
    constants = {
        "x_scale": x_scale,
        "x_zero": x_zero,
        "w": w,
        "w_scale": w_scale,
        "w_zero": w_zero,
        "y_scale": y_scale,
        "y_zero": y_zero,
        **({"b": bias} if bias.size else {}),
    }
    node = helper.make_node("QLinearConv", ["x", *constants], ["y"], name="it", **attributes)
    model = model_of([node], {"x": x}, constants, KINDS[result_kind])
    exact = accumulated * (float(x_scale) * spread / float(y_scale)) + int(y_zero)
    return Case(model, x, exact, KINDS[result_kind])


@given(convolutions(integer=False))
def test_a_quantised_convolution_gives_the_integers_of_onnxruntime(case: Case) -> None:
    check(case)


@given(convolutions(integer=True))
def test_a_convolution_of_integers_gives_the_integers_of_onnxruntime(case: Case) -> None:
    found = ideal(case.model, case.x)
    npt.assert_array_equal(found, case.exact.astype(np.int32))
    npt.assert_array_equal(found, run(case.model, {"x": case.x})[0])


@st.composite
def products(draw: st.DrawFn, integer: bool) -> Case:
    kind, weight_kind = draw(
        st.sampled_from([("uint8", "uint8"), ("uint8", "int8"), ("int8",) * 2])
    )
    seed = draw(st.integers(0, 99))
    rows, inner, columns = (draw(st.integers(1, 12)) for _ in range(3))
    batch = draw(st.sampled_from([(), (2,), (2, 3)]))
    on_left = draw(st.booleans())
    a_kind, b_kind = (weight_kind, kind) if on_left and kind == weight_kind else (kind, weight_kind)
    on_left = on_left and kind == weight_kind
    bounds = (LARGEST_WEIGHT, None) if on_left else (None, LARGEST_WEIGHT)
    a_shape = (rows, inner) if on_left else (*batch, rows, inner)
    b_shape = (*batch, inner, columns) if on_left else (inner, columns)
    a = whole(a_kind, *a_shape, seed=seed, bound=LARGEST_WEIGHT if on_left else bounds[0])
    b = whole(b_kind, *b_shape, seed=seed + 1, bound=LARGEST_WEIGHT)
    by_column = draw(st.booleans()) and not on_left
    shape = (columns,) if by_column else ()
    a_zero, b_zero = (
        whole(a_kind, seed=seed + 2, bound=60),
        whole(b_kind, *shape, seed=seed, bound=9),
    )
    accumulated = (a.astype(np.int64) - int(a_zero)) @ (b - b_zero.astype(np.int64))
    accumulated = accumulated.astype(np.float64)
    x, held = (b, a) if on_left else (a, b)
    first, second = ("w", "x") if on_left else ("x", "w")
    if integer:
        constants = {"w": held, "a_zero": a_zero, "b_zero": b_zero}
        names = [first, second, "a_zero", "b_zero"]
        node = helper.make_node("MatMulInteger", names, ["y"], name="it")
        return Case(model_of([node], {"x": x}, constants, np.int32), x, accumulated, np.int32)
    a_scale = np.float32(draw(st.floats(0.01, 0.1)))
    b_scale = np.random.default_rng(seed).uniform(0.01, 0.1, shape).astype(np.float32)
    y_scale = scale_for(accumulated, a_scale, b_scale.astype(np.float64), a_kind)
    y_zero = whole(a_kind, seed=seed + 3)
    constants = {
        "w": held,
        "a_scale": a_scale,
        "a_zero": a_zero,
        "b_scale": b_scale,
        "b_zero": b_zero,
        "y_scale": y_scale,
        "y_zero": y_zero,
    }
    names = [first, "a_scale", "a_zero", second, "b_scale", "b_zero", "y_scale", "y_zero"]
    node = helper.make_node("QLinearMatMul", names, ["y"], name="it")
    exact = accumulated * (float(a_scale) * b_scale.astype(np.float64) / float(y_scale))
    model = model_of([node], {"x": x}, constants, KINDS[a_kind])
    return Case(model, x, exact + int(y_zero), KINDS[a_kind])


@given(products(integer=False))
def test_a_quantised_matrix_product_gives_the_integers_of_onnxruntime(case: Case) -> None:
    check(case)


@given(products(integer=True))
def test_a_matrix_product_of_integers_gives_the_integers_of_onnxruntime(case: Case) -> None:
    found = ideal(case.model, case.x)
    npt.assert_array_equal(found, case.exact.astype(np.int32))
    npt.assert_array_equal(found, run(case.model, {"x": case.x})[0])


def micro(op: str, names: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, names, ["y"], name="it", domain=MICROSOFT, **attributes)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("requantised", [False, True])
def test_a_gemm_of_integers_gives_what_onnxruntime_gives(turned: bool, requantised: bool) -> None:
    x, w = whole("uint8", 3, 20), whole("int8", 20, 5, bound=LARGEST_WEIGHT)
    constants = {
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


@pytest.mark.parametrize("op", ["MatMulIntegerToFloat", "DynamicQuantizeMatMul"])
@pytest.mark.parametrize("biased", [False, True])
def test_dynamic_products_of_onnxruntime_give_what_it_gives(op: str, biased: bool) -> None:
    constants = {
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
