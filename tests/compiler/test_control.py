"""Control flow: what it computes behind photonic steps, and what its bodies cost by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu.compiler.inspection import inspect
from photonpu.compiler.lanes import Digital
from photonpu.compiler.listing import table
from photonpu.hardware import Machine
from photonpu.program import HostOperator
from tests.compiler.networks import Array, network, numbers, run

SMALL = Machine.preset("ideal").override({"mesh.ports": 8})
value = helper.make_tensor_value_info


def body(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: dict[str, int],
    constants: dict[str, Array] | None = None,
) -> onnx.GraphProto:
    """Return a body; outputs are named with their types, their shapes are left open."""
    return helper.make_graph(
        nodes,
        "body",
        inputs,
        [value(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )


def loop(runs: int | None, *, goes_on: bool = True) -> onnx.ModelProto:
    """Return a product on the mesh, then a Loop that multiplies by an outer matrix in each run.

    `runs` of None makes the number of runs an input; a loop that does not go on of itself ends
    once its state is large.
    """
    nodes = [
        helper.make_node("MatMul", ["state", "v"], ["next"], name="inner"),
        helper.make_node("Add", ["next", "h"], ["sum"], name="with_captured"),
    ]
    if goes_on:
        nodes.append(helper.make_node("Identity", ["c"], ["on"]))
    else:
        nodes += [
            helper.make_node("ReduceMax", ["sum"], ["top"], keepdims=0),
            helper.make_node("Less", ["top", "limit"], ["on"]),
        ]
    inner = body(
        nodes,
        [
            value("i", TensorProto.INT64, []),
            value("c", TensorProto.BOOL, []),
            value("state", TensorProto.FLOAT, None),
        ],
        {"on": TensorProto.BOOL, "sum": TensorProto.FLOAT},
    )
    outer = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("Loop", ["runs", "yes", "h"], ["y"], name="loop", body=inner),
    ]
    constants: dict[str, Array] = {
        "w": numbers(4, 6),
        "v": numbers(6, 6, seed=1) / 8,
        "yes": np.array(True),
        "limit": np.array(1e3, np.float32),
    }
    model = network(outer, {"x": [2, 4]}, {"y": 2}, constants)
    if runs is None:
        model.graph.input.append(value("runs", TensorProto.INT64, []))
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.array(runs), "runs"))
    return model


def scan() -> onnx.ModelProto:
    """Return a recurrent network over five steps: two products and Tanh in each."""
    inner = body(
        [
            helper.make_node("MatMul", ["x_t", "w"], ["a"], name="in"),
            helper.make_node("MatMul", ["s", "v"], ["b"], name="back"),
            helper.make_node("Sub", ["a", "b"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["new"]),
            helper.make_node("Identity", ["new"], ["out"]),
        ],
        [value("s", TensorProto.FLOAT, None), value("x_t", TensorProto.FLOAT, None)],
        {"new": TensorProto.FLOAT, "out": TensorProto.FLOAT},
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"], name="first"),
        helper.make_node(
            "Scan", ["start", "h"], ["last", "all"], name="scan", body=inner, num_scan_inputs=1
        ),
        helper.make_node("MatMul", ["last", "w1"], ["y"], name="head"),
    ]
    constants = {
        "w0": numbers(4, 3),
        "w": numbers(3, 6),
        "v": numbers(6, 6),
        "w1": numbers(6, 2),
        "start": np.zeros((2, 6), np.float32),
    }
    return network(nodes, {"x": [5, 2, 4]}, {"y": 2}, constants)


def branches() -> onnx.ModelProto:
    """Return a product, then a product with a narrow or with a wide matrix, as an input says."""
    bodies = {
        "then_branch": body(
            [helper.make_node("MatMul", ["h", "a"], ["one"], name="wide")],
            [],
            {"one": TensorProto.FLOAT},
        ),
        "else_branch": body(
            [helper.make_node("Relu", ["h"], ["two"], name="cheap")], [], {"two": TensorProto.FLOAT}
        ),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("If", ["choice"], ["y"], name="if", **bodies),
    ]
    constants = {"w": numbers(4, 6), "a": numbers(6, 6)}
    model = network(nodes, {"x": [2, 4]}, {"y": 2}, constants)
    model.graph.input.append(value("choice", TensorProto.BOOL, []))
    return model


def cost(model: onnx.ModelProto, name: str) -> Digital:
    samples = {"x": numbers(*shape(model))}
    for info in model.graph.input[1:]:
        integer = info.type.tensor_type.elem_type == TensorProto.INT64
        samples[info.name] = np.array(3) if integer else np.array(True)
    (found,) = (
        operator
        for operator in inspect(model, SMALL, calibration=samples).digital
        if operator.name == name
    )
    return found


def shape(model: onnx.ModelProto) -> list[int]:
    return [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]


def test_a_loop_costs_its_body_times_its_runs() -> None:
    # A product of 2x6 and 6x6 and an addition, seven times.
    found = cost(loop(7), "loop")

    assert found.macs == 7 * 2 * 6 * 6
    assert found.operations == 7 * (2 * 2 * 6 * 6 + 12)
    assert "its body is counted 7 times" in found.reason
    assert "'inner' (MatMul)" in found.reason


@pytest.mark.parametrize("model", [loop(None), loop(7, goes_on=False)])
def test_a_loop_of_unknown_length_is_counted_once_and_says_so(model: onnx.ModelProto) -> None:
    found = cost(model, "loop")

    assert found.macs == 2 * 6 * 6
    assert "its body is counted once, since how often it runs is known at run" in found.reason


def test_a_scan_costs_its_body_times_its_steps() -> None:
    found = cost(scan(), "scan")

    assert found.macs == 5 * (2 * 3 * 6 + 2 * 6 * 6)
    assert found.operations == 2 * found.macs + 5 * (12 + 4 * 12)
    assert "'in' (MatMul), 'back' (MatMul); its body is counted 5 times" in found.reason


def test_of_two_branches_the_dearer_is_counted() -> None:
    found = cost(branches(), "if")

    assert found.macs == 2 * 6 * 6
    assert found.operations == 2 * found.macs
    assert found.reason.endswith("'wide' (MatMul); its dearer branch is counted")


def test_a_loop_in_a_loop_multiplies_its_runs() -> None:
    flags = [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, [])]
    on = helper.make_node("Identity", ["c"], ["on"])
    inner = body(
        [helper.make_node("MatMul", ["s", "v"], ["t"], name="deep"), on],
        [*flags, value("s", TensorProto.FLOAT, None)],
        {"on": TensorProto.BOOL, "t": TensorProto.FLOAT},
    )
    flags = [value("j", TensorProto.INT64, []), value("d", TensorProto.BOOL, [])]
    outer = body(
        [
            helper.make_node("Loop", ["three", "", "u"], ["n"], body=inner),
            helper.make_node("Identity", ["d"], ["go"]),
        ],
        [*flags, value("u", TensorProto.FLOAT, None)],
        {"go": TensorProto.BOOL, "n": TensorProto.FLOAT},
    )
    nodes = [helper.make_node("Loop", ["two", "", "x"], ["y"], name="loop", body=outer)]
    constants: dict[str, Array] = {"v": numbers(4, 4), "two": np.array(2), "three": np.array(3)}

    found = cost(network(nodes, {"x": [5, 4]}, {"y": 2}, constants), "loop")

    assert found.macs == 2 * 3 * 5 * 4 * 4


def test_products_inside_are_named_in_the_report_and_count_as_digital() -> None:
    found = inspect(scan(), SMALL)

    assert "scan (Scan, 540 MACs): control flow runs whole" in table(found)
    on_mesh = 5 * 2 * 4 * 3 + 2 * 6 * 2
    assert found.mac_share == pytest.approx(on_mesh / (on_mesh + 540))


@pytest.mark.parametrize(
    ("model", "feeds"),
    [
        (loop(7), {}),
        (loop(None), {"runs": np.array(3)}),
        (loop(7, goes_on=False), {}),
        (scan(), {}),
        (branches(), {"choice": np.array(True)}),
        (branches(), {"choice": np.array(False)}),
    ],
)
def test_control_flow_runs_whole_on_what_the_mesh_gives_it(
    model: onnx.ModelProto, feeds: dict[str, Array]
) -> None:
    x = {"x": numbers(*shape(model)), **feeds}
    (expected,) = run(model, x)

    program = photonpu.compile(model, SMALL, calibration=x)
    (y,) = photonpu.Session(program, noise="ideal").run(None, x)

    npt.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())
    assert "first" in [step.name for step in program.photonic_steps]
    kinds = {"If", "Loop", "Scan"}
    owners = [[o for o in s.operators if o.op in kinds] for s in program.host_steps]
    assert sorted(map(len, owners))[-1] == 1 == sum(map(len, owners))


def test_a_sequence_inside_a_loop_stays_inside() -> None:
    inner = body(
        [
            helper.make_node("SequenceInsert", ["s", "h"], ["t"]),
            helper.make_node("Identity", ["c"], ["on"]),
        ],
        [
            value("i", TensorProto.INT64, []),
            value("c", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None),
        ],
        {"on": TensorProto.BOOL},
    )
    inner.output.append(helper.make_tensor_sequence_value_info("t", TensorProto.FLOAT, None))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("SequenceEmpty", [], ["empty"]),
        helper.make_node("Loop", ["three", "", "empty"], ["all"], name="loop", body=inner),
        helper.make_node("ConcatFromSequence", ["all"], ["y"], axis=0),
    ]
    constants: dict[str, Array] = {"w": numbers(4, 6), "three": np.array(3)}
    model = network(nodes, {"x": [2, 4]}, {"y": 2}, constants)
    x = numbers(2, 4)

    program = photonpu.compile(model, SMALL, calibration=x)
    (y,) = photonpu.Session(program, noise="ideal").run(None, {"x": x})

    npt.assert_allclose(y, run(model, {"x": x})[0], atol=1e-5)


def test_each_digital_operator_is_in_the_estimate_with_its_operations_and_traffic() -> None:
    program = photonpu.compile(scan(), SMALL, calibration=numbers(5, 2, 4))
    cost = photonpu.estimate(program)
    layers = {layer.name: layer for layer in cost.layers}

    found: list[HostOperator] = [o for step in program.host_steps for o in step.operators]
    assert [o.name for o in found] == ["scan"]
    for operator in found:
        layer = layers[operator.name]
        seconds = operator.operations / (SMALL.digital.lanes * SMALL.digital.clock_ghz * 1e9)
        assert layer.latency.digital_s == pytest.approx(seconds)
        bits = (operator.elements_in + operator.elements_out) * SMALL.memory.word_bits
        assert layer.energy.sram_j == pytest.approx(bits * SMALL.memory.sram_pj_per_bit * 1e-12)
