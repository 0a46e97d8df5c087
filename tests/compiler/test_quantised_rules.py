"""What becomes of quantised operators: what is written in their place, and why some stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper

import photonpu
from photonpu.compiler import passes
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.inspection import inspect
from photonpu.compiler.lanes import Digital, OnMesh
from photonpu.compiler.operations import FACTORS, PRODUCTS, operators
from photonpu.compiler.passes import REWRITES
from photonpu.compiler.remedies import remedy
from photonpu.errors import ModelError
from tests.compiler.integers import LARGEST_WEIGHT, MACHINE, ideal, model_of, whole
from tests.compiler.networks import run


def test_scales_in_half_precision_are_taken_for_what_they_are() -> None:
    x, w = whole("int8", 3, 9), whole("int8", 9, 4, bound=LARGEST_WEIGHT)
    scale, zero = np.float16(0.05), np.int8(3)
    constants: dict[str, Any] = {
        "xs": scale,
        "xz": zero,
        "w": w,
        "ws": scale,
        "wz": zero,
        "ys": scale,
        "yz": zero,
    }
    node = helper.make_node("QLinearMatMul", ["x", *constants], ["y"], name="it")
    graph = passes.run(from_model(model_of([node], {"x": x}, constants, np.int8, opset=21)))
    assert {str(v.dtype) for n, v in graph.constants.items() if "z" not in n} == {"float32"}
    assert [node.op for node in graph.nodes] == ["DequantizeLinear", "MatMul", "QuantizeLinear"]


ELEMENTS = ("INT8", "UINT8", "INT16", "INT32", "INT4", "FLOAT8E4M3FN")


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("layout", ["tensor", "axis", "blocks"])
def test_a_dequantised_constant_is_the_constant_that_onnxruntime_computes(
    element: str, layout: str
) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, element))
    values = np.random.default_rng(0).integers(0, 7, (6, 4)).astype(dtype)
    shape = {"tensor": (), "axis": (6,), "blocks": (3, 4)}[layout]
    scale = np.random.default_rng(1).uniform(0.1, 1, shape).astype(np.float32)
    zero = np.full(shape, 0 if element in ("INT32", "FLOAT8E4M3FN") else 2).astype(dtype)
    attributes: dict[str, Any] = {"axis": {"axis": 0}, "blocks": {"axis": 0, "block_size": 2}}.get(
        layout, {}
    )
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], **attributes),
        helper.make_node("Mul", ["x", "w"], ["y"]),
    ]
    x = np.ones((6, 4), np.float32)
    constants: dict[str, Any] = {"q": values, "s": scale, "z": zero}
    model = model_of(nodes, {"x": x}, constants, np.float32, opset=21)
    model.ir_version = 10
    graph = passes.run(from_model(model))
    assert [node.op for node in graph.nodes] == ["Mul"]
    npt.assert_array_equal(graph.constants["w"], run(model, {"x": x})[0])


def test_a_constant_whose_scales_do_not_fit_is_left_to_onnxruntime_to_refuse() -> None:
    constants = {"q": whole("int8", 6, 4), "s": np.ones(5), "z": np.zeros(5, np.int8)}
    constants["s"] = constants["s"].astype(np.float32)
    node = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0)
    last = helper.make_node("Mul", ["x", "w"], ["y"])
    graph = from_model(model_of([node, last], {"x": np.ones(1, np.float32)}, constants, np.float32))
    assert [node.op for node in passes.run(graph).nodes] == ["DequantizeLinear", "Mul"]


def test_a_float_weight_behind_a_dequantisation_is_not_quantised() -> None:
    q = whole("uint8", 1, 4, 5, 5)
    weight = np.random.default_rng(0).standard_normal((4, 3, 2, 2)).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
        helper.make_node("ConvTranspose", ["d", "w"], ["t"], strides=[2, 2]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    constants: dict[str, Any] = {"s": np.float32(0.1), "z": np.uint8(7), "w": weight}
    model = model_of(nodes, {"x": q}, constants, np.uint8)
    (reference,) = run(model, {"x": q})
    found = ideal(model, q)
    assert np.mean(found != reference) < 0.01


def lane_of(model: onnx.ModelProto) -> OnMesh | Digital:
    (found,) = (o for o in inspect(model, MACHINE).lanes if isinstance(o, OnMesh) or o.product)
    return found


def linear_matmul(**replaced: Any) -> tuple[onnx.NodeProto, dict[str, Any]]:
    one, zero = np.float32(0.1), np.uint8(3)
    constants: dict[str, Any] = {
        "xs": one,
        "xz": zero,
        "w": whole("uint8", 4, 5),
        "ws": one,
        "wz": zero,
        "ys": one,
        "yz": zero,
        **replaced,
    }
    return helper.make_node("QLinearMatMul", ["x", *constants], ["y"], name="it"), constants


@pytest.mark.parametrize(
    ("fed", "reason"),
    [
        (["w"], "its factors 'x' and 'w' are both computed at run time"),
        (["ws"], "its scale 'ws' is computed at run time"),
        (["wz"], "its zero point 'wz' is computed at run time"),
    ],
)
def test_a_product_that_lacks_a_constant_stays_digital_and_says_why(
    fed: list[str], reason: str
) -> None:
    node, constants = linear_matmul()
    inputs = {"x": whole("uint8", 2, 4), **{name: np.asarray(constants.pop(name)) for name in fed}}
    found = lane_of(model_of([node], inputs, constants, np.uint8))
    assert isinstance(found, Digital)
    assert (found.op, found.reason, found.macs) == ("QLinearMatMul", reason, 2 * 4 * 5)
    assert found.remedy


def test_scales_of_data_may_be_computed_at_run_time() -> None:
    node, constants = linear_matmul()
    x = whole("uint8", 2, 4)
    inputs = {"x": x, **{name: np.asarray(constants.pop(name)) for name in ("xs", "xz", "ys")}}
    model = model_of([node], inputs, constants, np.uint8)
    program = photonpu.compile(model, MACHINE, calibration=dict(inputs))
    assert len(program.photonic_steps) == 1
    found = photonpu.Session(program, noise="ideal").run(None, dict(inputs))
    npt.assert_array_equal(found[0], run(model, dict(inputs))[0])


def rewritten(model: onnx.ModelProto) -> Graph:
    return passes.dequantise(from_model(model))


def test_scales_by_row_of_the_data_need_an_operator_set_that_has_them() -> None:
    rows: dict[str, Any] = {"xs": np.full(2, 0.1, np.float32), "xz": np.full(2, 3, np.uint8)}
    node, constants = linear_matmul(**rows)
    inputs = {"x": whole("uint8", 2, 4)}
    old = rewritten(model_of([node], inputs, constants, np.uint8, opset=12))
    assert passes.why_digital(old.nodes[0], old) == "operator set 12 is older than 13"
    new = rewritten(model_of([node], inputs, constants, np.uint8, opset=13))
    assert [node.op for node in new.nodes] == ["DequantizeLinear", "MatMul", "QuantizeLinear"]
    assert new.nodes[0].values() == {"axis": -2}


def test_scales_of_more_axes_than_one_stay_digital() -> None:
    node, constants = linear_matmul(xs=np.full((2, 2), 0.1, np.float32))
    graph = rewritten(model_of([node], {"x": whole("uint8", 2, 4)}, constants, np.uint8))
    assert passes.why_digital(graph.nodes[0], graph) == "its scale 'xs' has 2 axes"


def test_scales_of_unknown_shape_stay_digital() -> None:
    node, constants = linear_matmul()
    constants.pop("xs")
    model = model_of([node], {"x": whole("uint8", 2, 4)}, constants, np.uint8)
    model.graph.input.add(name="xs").type.tensor_type.elem_type = TensorProto.FLOAT
    graph = rewritten(model)
    assert passes.why_digital(graph.nodes[0], graph) == "the shape of its scale 'xs' is unknown"


def test_constants_that_do_not_fit_together_are_named() -> None:
    node, constants = linear_matmul(ws=np.ones(7, np.float32))
    model = model_of([node], {"x": whole("uint8", 2, 4)}, constants, np.uint8)
    with pytest.raises(ModelError, match=r"node 'it' \(QLinearMatMul\): the shapes of its constan"):
        rewritten(model)


def test_a_scale_that_makes_a_weight_infinite_is_refused() -> None:
    node, constants = linear_matmul(ws=np.float32(3e38))
    model = model_of([node], {"x": whole("uint8", 2, 4)}, constants, np.uint8)
    with pytest.raises(ModelError, match=r"node 'it' \(MatMul\): its constant '.*' holds -?inf at"):
        photonpu.compile(model, MACHINE, calibration=whole("uint8", 2, 4))


@pytest.mark.parametrize("op", REWRITES)
def test_a_rewrite_says_what_it_writes_in_a_sentence(op: str) -> None:
    assert (REWRITES[op].__doc__ or "").endswith(".")
    assert op in FACTORS
    assert op in PRODUCTS


def cost_of(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Return the operations of a node of onnxruntime's own."""
    graph = from_model(model_of([node], {}, {}, np.float32))
    (counted,) = operators(graph.nodes, shapes)
    return counted.operations


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "expected"),
    [
        ("QGemm", [(3, 4), (), (), (4, 5)], {}, 2 * 3 * 4 * 5),
        ("QGemm", [(4, 3), (), (), (4, 5)], {"transA": 1}, 2 * 3 * 4 * 5),
        ("MatMulIntegerToFloat", [(3, 4), (4, 5)], {}, 2 * 3 * 4 * 5),
        ("DynamicQuantizeMatMul", [(3, 4), (4, 5)], {}, 2 * 3 * 4 * 5),
        ("MatMulNBits", [(3, 4), (5, 1, 2)], {"K": 4, "N": 5}, 2 * 3 * 4 * 5),
        # Two inputs are dequantised, added, and the sum quantised: 2 + 2 + 1 + 5.
        ("QLinearAdd", [(3, 5)], {}, 10 * 3 * 5),
        ("QLinearSigmoid", [(3, 5)], {}, 3 * 5),
        ("QLinearConcat", [(), (), (3, 5)], {}, 7 * 3 * 5),
        ("QLinearGlobalAveragePool", [(1, 3, 8, 8)], {}, 3 * 8 * 8),
        ("QLinearAveragePool", [(1, 3, 8, 8)], {"kernel_shape": [2, 2]}, 4 * 3 * 5),
    ],
)
def test_integer_operators_of_onnxruntime_cost_what_their_formula_says(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], expected: int
) -> None:
    names = [f"i{index}" for index in range(len(shapes))]
    node = helper.make_node(op, names, ["y"], name="it", domain="com.microsoft", **attributes)
    assert cost_of(node, {**dict(zip(names, shapes, strict=True)), "y": (3, 5)}) == expected


def test_a_quantised_attention_costs_projections_scores_values_and_softmax() -> None:
    batch, length, width, hidden, heads = 2, 6, 8, 4, 2
    node = helper.make_node(
        "QAttention", ["x", "w"], ["y"], name="it", domain="com.microsoft", num_heads=heads
    )
    shapes = {"x": (batch, length, width), "w": (width, 3 * hidden), "y": (batch, length, hidden)}
    projections = 2 * batch * length * width * 3 * hidden
    products = 2 * (2 * batch * length * length * hidden)
    softmax = 5 * batch * heads * length * length
    assert cost_of(node, shapes) == projections + products + softmax


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("its scale 's' is computed at run time", "export it as an initializer"),
        ("its zero point 'z' is computed at run time", "export it as an initializer"),
        ("its scale 's' has 2 axes", "quantise by tensor or by channel"),
        ("the shape of its zero point 'z' is unknown", "export it as an initializer"),
        ("operator set 12 is older than 13", "onnx.version_converter"),
    ],
)
def test_a_reason_why_integers_stay_digital_has_its_remedy(reason: str, change: str) -> None:
    assert change in remedy("QLinearMatMul", reason)
