"""What an inspection says of a model, against counts by hand; the text of every stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu.compiler.graph import from_model
from photonpu.compiler.inspection import Inspection, inspect
from photonpu.compiler.lanes import Digital
from photonpu.compiler.listing import table, to_dict, totals
from photonpu.compiler.lowerings import CONTRACTIONS, LOWERINGS, lower
from photonpu.compiler.operations import OPERATIONS
from photonpu.compiler.passes import REWRITES
from photonpu.compiler.passes.fused import FUSED
from photonpu.compiler.remedies import remedy
from photonpu.compiler.stages import STAGES, stage_text
from photonpu.compiler.supported import digital, on_mesh, others
from photonpu.errors import InputError, UnsupportedModelError
from photonpu.hardware import Machine
from photonpu.registry import UnknownNameError
from tests.compiler.networks import network, numbers, single

SMALL = Machine.preset("mzi64-eo").override({"mesh.ports": 8})


def attention(size: int | str = 6) -> onnx.ModelProto:
    """Return Conv, Relu, ConvTranspose of stride 2, and the product of that with its transpose."""
    nodes = [
        helper.make_node("Identity", ["x"], ["i"], name="same"),
        helper.make_node("Conv", ["i", "w1", "b1"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], name="relu"),
        helper.make_node("ConvTranspose", ["r", "w2"], ["u"], name="up", strides=[2, 2]),
        helper.make_node("Transpose", ["u"], ["t"], name="turn", perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["u", "t"], ["y"], name="scores"),
    ]
    constants = {"w1": numbers(5, 2, 3, 3), "b1": numbers(5), "w2": numbers(5, 2, 2, 2)}
    return network(nodes, {"x": ["batch", 2, size, size]}, {"y": 4}, constants)


def quantised(op: str, inputs: list[str], **attributes: Any) -> onnx.ModelProto:
    """Return one quantised product of uint8 data (1, 1, 4, 4) or (2, 3) and constants."""
    shape = [1, 1, 4, 4] if "Conv" in op else [2, 3]
    constants: dict[str, NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.uint8),
        "w": np.ones((2, 1, 3, 3) if "Conv" in op else (3, 5), np.uint8),
    }
    kind = TensorProto.INT32 if "Integer" in op else TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node(op, inputs, ["y"], name="it", **attributes)],
        "quantised",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", kind, [None] * len(shape))],
        [numpy_helper.from_array(constants[name], name) for name in set(inputs) - {"x"}],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def branches() -> onnx.ModelProto:
    """Return a network that multiplies by one of two matrices, as an input says."""
    value = helper.make_tensor_value_info
    bodies = {
        key: helper.make_graph(
            [helper.make_node("MatMul", ["x", name], [f"{name}/y"])],
            name,
            [],
            [value(f"{name}/y", TensorProto.FLOAT, [2, 4])],
        )
        for key, name in (("then_branch", "w"), ("else_branch", "v"))
    }
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], name="choice", **bodies)],
        "branches",
        [value("x", TensorProto.FLOAT, [2, 3]), value("c", TensorProto.BOOL, [])],
        [value("y", TensorProto.FLOAT, [2, 4])],
        [
            numpy_helper.from_array(numbers(3, 4), "w"),
            numpy_helper.from_array(numbers(3, 4, seed=1), "v"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def only_digital(found: Inspection) -> Digital:
    (operator,) = found.digital
    return operator


def test_macs_tiles_and_their_share_are_those_of_a_count_by_hand() -> None:
    found = inspect(attention(), SMALL)

    conv, up = found.on_mesh
    assert (conv.name, conv.macs, conv.tiles) == ("conv", 36 * 5 * 18, 3)
    # Two channels at four sub-pixels are eight rows: one tile, of which five columns are used.
    assert (up.name, up.macs, up.tiles) == ("up", 36 * 8 * 5, 1)
    scores = 2 * 12 * 12 * 12
    assert found.mac_share == pytest.approx((3240 + 1440) / (3240 + 1440 + scores))
    assert found.tiles == 4
    assert found.utilisation == pytest.approx((3240 + 1440) / (36 * 4 * 64))
    assert found.used([up]) == pytest.approx(5 / 8)
    assert found.operators_in_file == 6
    assert [operator.name for operator in found.lanes] == ["conv", "relu", "up", "turn", "scores"]


def test_the_counts_are_those_of_the_compiled_program() -> None:
    x = numbers(2, 2, 6, 6)
    program = photonpu.compile(attention(), SMALL, calibration=x)

    found = inspect(attention(), SMALL)

    assert found.tiles == len(program.tiles)
    steps = program.photonic_steps
    assert [(o.name, o.macs, o.vectors) for o in found.on_mesh] == [
        (step.name, step.macs, step.vectors) for step in steps
    ]
    costs = [o for step in program.host_steps for o in step.operators]
    assert [(o.name, o.operations) for o in found.digital] == [
        (cost.name, cost.operations) for cost in costs
    ]


def test_totals_put_the_mesh_first_and_then_what_is_heavy() -> None:
    found = totals(inspect(attention(), SMALL).lanes)

    assert [(total.op, total.lane, total.operations) for total in found] == [
        ("Conv", "mesh", 6480),
        ("ConvTranspose", "mesh", 2880),
        ("MatMul", "digital", 6912),
        ("Relu", "digital", 180),
        ("Transpose", "digital", 0),
    ]
    assert found[0].share == pytest.approx(6480 / 16452)


def test_the_report_shows_lanes_matrices_and_what_to_change() -> None:
    text = table(inspect(attention(), SMALL))

    head = "drawn on mzi64-eo: 2 of 5 operators on the mesh (6 in the file)\n57.5% of 8.14 k MACs"
    assert text.startswith(head)
    assert "4 tiles of 8 ports on 4 cores; 50.8% of what they multiply is the model's" in text
    assert "Conv               1  mesh     3.24 k      6.48 k  39.4%" in text
    assert "up           ConvTranspose  8x5            36      1  62.5%  1.44 k" in text
    assert text.endswith(
        "products that stay digital:\n"
        "  scores (MatMul, 3.46 k MACs): its factors 'u' and 't' are both computed at run time\n"
        "    what to change: for two activations: --activation-products mesh; export a weight as "
        "an initializer"
    )


def test_plain_values_say_the_same() -> None:
    values: Any = to_dict(inspect(attention(), SMALL))

    assert values["macs"] == 3240 + 1440 + 3456
    assert values["on_mesh"][0]["matrices"] == [[5, 18]]
    (fallen,) = values["products_left_digital"]
    assert fallen["reason"] == "its factors 'u' and 't' are both computed at run time"


def test_depthwise_filters_share_tiles_and_say_how_they_are_grouped() -> None:
    x, weight = numbers(1, 6, 4, 4), numbers(6, 1, 2, 2)
    found = inspect(single("Conv", x, {"w": weight}, 4, group=6), SMALL)

    # Two groups of 1x4 fit eight ports: three tiles of 2x8, of which 2 * 4 entries are weights.
    assert found.tiles == 3
    assert found.utilisation == pytest.approx(2 * 4 / 64)
    assert "6 groups of 1x4" in table(found)


def test_nothing_is_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr("photonpu.program.tiles.Banking.step", fail)
    monkeypatch.setattr("photonpu.program.tiles.singular_values", fail)

    assert inspect(attention(), SMALL).tiles == 4
    for stage in list(STAGES)[:-1]:
        assert stage_text(attention(), SMALL, stage)


@pytest.mark.parametrize(
    ("op", "inputs", "macs"),
    [
        ("ConvInteger", ["x", "w"], 4 * 2 * 9),
        ("QLinearConv", ["x", "one", "zero", "w", "one", "zero", "one", "zero"], 4 * 2 * 9),
        ("MatMulInteger", ["x", "w"], 2 * 3 * 5),
        ("QLinearMatMul", ["x", "one", "zero", "w", "one", "zero", "one", "zero"], 2 * 3 * 5),
    ],
)
def test_a_quantised_product_counts_its_macs_on_the_mesh(
    op: str, inputs: list[str], macs: int
) -> None:
    found = inspect(quantised(op, inputs), SMALL)

    (operator,) = found.on_mesh
    assert (operator.name, operator.macs) == ("it", macs)
    assert found.mac_share == 1
    assert found.notes == ("input 'x' is uint8: compiling needs calibration samples",)


def test_a_branch_that_holds_a_product_is_named() -> None:
    operator = only_digital(inspect(branches(), SMALL))

    assert operator.product
    assert operator.macs == 2 * 3 * 4
    assert operator.reason.startswith("control flow runs whole on the digital unit, and with it ")
    assert operator.remedy.startswith("control flow runs digitally as a whole")


def test_an_elementwise_operator_is_no_product_and_needs_no_remedy() -> None:
    operator = only_digital(inspect(single("Relu", numbers(3), {}, 1), SMALL))

    assert not operator.product
    assert operator.remedy == ""


def two_inputs(op: str, shapes: dict[str, list[int]]) -> onnx.ModelProto:
    nodes = [helper.make_node(op, list(shapes), ["y"], name="it")]
    return network(nodes, shapes, {"y": len(shapes["x"])})


REASONS = [
    (
        two_inputs("MatMul", {"x": [2, 2], "z": [2, 2]}),
        "for two activations: --activation-products mesh",
    ),
    (two_inputs("Conv", {"x": [1, 1, 4, 4], "w": [1, 1, 2, 2]}), "export it as an initializer"),
    (
        single("MatMul", numbers(2, 3).astype(float), {"w": numbers(3, 4).astype(float)}, 2),
        "export in float32",
    ),
    (single("MatMul", numbers(2, 2, 3), {"w": numbers(2, 3, 4)}, 3), "export with static shapes"),
    (
        network(
            [
                helper.make_node(
                    "Conv", ["x", "w"], ["y"], name="it", auto_pad="SAME_UPPER", strides=[2, 2]
                )
            ],
            {"x": [1, 1, "h", "w"]},
            {"y": 4},
            {"w": numbers(1, 1, 3, 3)},
        ),
        "export explicit pads",
    ),
    (
        network(
            [helper.make_node("Gemm", ["x", "w", "x"], ["y"])],
            {"x": [2, 2]},
            {"y": 2},
            {"w": numbers(2, 2)},
            opset=6,
        ),
        "onnx.version_converter",
    ),
    (
        single("Einsum", numbers(3, 3), {"w": numbers(3, 4)}, 1, equation="ii,ij->j"),
        "read it by an Einsum of its own before it",
    ),
    (
        single("Einsum", numbers(3), {"w": numbers(4)}, 2, equation="i,j->ij"),
        "leaves a mesh nothing to sum",
    ),
    (
        single(
            "Einsum",
            numbers(2, 6),
            {"v": numbers(6, 1), "w": numbers(1, 6)},
            2,
            equation="bi,ij,jk->bk",
        ),
        "one Einsum a constant",
    ),
]


@pytest.mark.parametrize(("model", "change"), REASONS)
def test_a_reason_that_the_lowerings_give_has_its_remedy(
    model: onnx.ModelProto, change: str
) -> None:
    graph = from_model(model)
    reason = lower(graph.nodes[0], graph)
    assert isinstance(reason, str)
    assert change in remedy(graph.nodes[0].op, reason)


def test_free_axes_are_fixed_by_shapes() -> None:
    with pytest.raises(UnsupportedModelError, match="input 'x' has free axes .* --shape"):
        inspect(attention("size"), SMALL)

    assert inspect(attention("size"), SMALL, shapes={"x": (1, 2, 6, 6)}).tiles == 4


def reshaping(x: list[int]) -> onnx.ModelProto:
    """Return a network that multiplies its input in the shape that another input says."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["r"], name="reshape"),
            helper.make_node("MatMul", ["r", "w"], ["y"], name="product"),
        ],
        "reshaping",
        [value("x", TensorProto.FLOAT, x), value("shape", TensorProto.INT64, [2])],
        [value("y", TensorProto.FLOAT, [None, 5])],
        [numpy_helper.from_array(numbers(4, 5), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_shapes_that_depend_on_data_come_from_calibration() -> None:
    with pytest.raises(InputError, match="does not run on inputs of ones and zeros: give calib"):
        inspect(reshaping([3, 8]), SMALL)

    samples = {"x": numbers(3, 8), "shape": np.array([6, 4])}
    found = inspect(reshaping([3, 8]), SMALL, calibration=samples)

    assert found.on_mesh[0].vectors == (6,)
    assert found.notes == ()
    text = stage_text(reshaping([3, 8]), SMALL, "lower", calibration=samples)
    assert text.endswith("mesh    y = MatMul(r): 5x4 over 6 vectors\n")


def test_the_first_stages_print_graphs() -> None:
    read = stage_text(attention(), SMALL, "read")
    passes = stage_text(attention(), SMALL, "passes")

    assert "input x: float32[batch, 2, 6, 6]\n" in read
    assert "i = Identity(x)\n" in read
    assert "Identity" not in passes
    assert "a = Conv(x, w1, b1) {" in passes


def test_lowering_prints_windows_and_why_products_stay_digital() -> None:
    assert stage_text(attention(), SMALL, "lower") == (
        "mesh    a = Conv(x): 5x18 over 36 vectors, kernel 3x3, pads 1 1 1 1; bias\n"
        "digital r = Relu(a)\n"
        "mesh    u = ConvTranspose(r): 8x5 over 36 vectors, kernel 1x1, 4 offsets\n"
        "digital t = Transpose(u)\n"
        "digital y = MatMul(u, t): its factors 'u' and 't' are both computed at run time\n"
    )


def test_every_stream_of_a_transposed_convolution_is_printed() -> None:
    x = numbers(1, 2, 5)
    model = single("ConvTranspose", x, {"w": numbers(2, 3, 3)}, 3, strides=[2])
    # Even outputs meet two taps of three, odd outputs one.
    assert stage_text(model, SMALL, "lower") == (
        "mesh    y = ConvTranspose(x): 3x4 over 6 vectors, kernel 2, pads 1 1; "
        "3x2 over 5 vectors, kernel 1\n"
    )


def test_tiling_prints_the_sizes_of_the_tiles() -> None:
    lines = stage_text(attention(), SMALL, "tile").split("\n")
    assert lines[0] == "mesh    a = Conv(x): 5x18 in 3 tiles of 8: 2 of 5x8, 1 of 5x2"
    assert lines[2] == "mesh    u = ConvTranspose(r): 8x5 in 1 tiles of 8: 1 of 8x5"


def test_the_last_stage_prints_the_program() -> None:
    x = numbers(2, 2, 6, 6)
    program = photonpu.compile(attention("size"), SMALL, calibration=x)
    assert stage_text(attention("size"), SMALL, calibration=x) == program.text()


def test_a_mistyped_stage_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no stage is called 'lowr'; did you mean 'lower'?"):
        stage_text(attention(), SMALL, "lowr")


def test_what_is_supported_is_what_the_tables_hold() -> None:
    assert set(on_mesh()) == {*LOWERINGS, *CONTRACTIONS, *REWRITES, *FUSED}
    assert set(digital()) == set(OPERATIONS)
    assert all([*on_mesh().values(), *digital().values(), others()])
    assert digital()["Sigmoid"] == "4 operations for every output element."
    assert others() == "One operation for every output element."


@pytest.mark.parametrize(("inner", "rows"), [(0, 3), (4, 0)])
@pytest.mark.parametrize("constant", [True, False])
def test_a_product_of_an_empty_matrix_stays_digital(inner: int, rows: int, constant: bool) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="it")
    inputs = {"x": [2, inner]} | ({} if constant else {"w": [inner, rows]})
    held = {"w": np.zeros((inner, rows), np.float32)} if constant else {}
    model = network([node], inputs, {"y": 2}, held)
    reason = only_digital(inspect(model, SMALL, activation_products="mesh")).reason
    assert (reason == "its matrix has no rows or no columns") is constant


def test_a_network_of_an_empty_matrix_runs() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = network(nodes, {"x": [2, 4]}, {"y": 2}, {"w": np.zeros((4, 0), np.float32)})
    x = numbers(2, 4)
    program = photonpu.compile(model, SMALL, calibration=x)
    assert photonpu.Session(program, "ideal").run(None, {"x": x})[0].shape == (2, 0)
