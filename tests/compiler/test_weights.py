"""Weights of any type, any size, in any place."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu.compiler import reader, weights
from photonpu.errors import InputError, ModelError
from photonpu.hardware import Machine
from tests.compiler.networks import Array, network, numbers, run

SMALL = Machine.preset("ideal").override({"mesh.ports": 8})
KINDS = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float64": TensorProto.DOUBLE,
}


def typed(kind: int, constants: dict[str, Array]) -> onnx.ModelProto:
    """Return Conv, BatchNormalization, Clip, MatMul in one element type."""
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c", "gain", "offset", "mean", "variance"], ["n"]),
        make("Clip", ["n", "least"], ["r"]),
        make("Cast", ["r"], ["same"], to=kind),
        make("MatMul", ["same", "v"], ["m"]),
        make("Softmax", ["m"], ["y"], axis=-1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "typed",
        [value("x", kind, ["N", 2, 4, 4])],
        [value("y", kind, ["N", 3, 4, 5])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constants_of(kind: str) -> dict[str, Array]:
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    drawn = {
        "w": numbers(3, 2, 3, 3),
        "b": numbers(3),
        "gain": 1 + 0.1 * numbers(3, seed=1),
        "offset": numbers(3, seed=2),
        "mean": numbers(3, seed=3),
        "variance": 1 + numbers(3, seed=4) ** 2,
        "least": np.array(0.0),
        "v": numbers(4, 5),
    }
    return {name: np.asarray(value).astype(dtype) for name, value in drawn.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_any_precision_computes_what_its_float32_twin_does(kind: str) -> None:
    constants = constants_of(kind)
    single = {name: value.astype(np.float32) for name, value in constants.items()}
    x = numbers(3, 2, 4, 4, seed=9).astype(np.float16).astype(np.float32)
    outside = "float32" if kind == "bfloat16" else kind

    program = photonpu.compile(typed(KINDS[kind], constants), SMALL, calibration=x.astype(outside))

    (y,) = photonpu.Session(program, "ideal").run(None, {"x": x.astype(outside)})
    (expected,) = run(typed(TensorProto.FLOAT, single), {"x": x})
    assert len(program.photonic_steps) == 2
    assert (program.inputs[0].dtype, program.outputs[0].dtype, y.dtype.name) == (outside,) * 3
    rounding = 2.0**-11 if kind == "float16" else 0  # of the output alone
    npt.assert_allclose(y, expected, rtol=rounding, atol=1e-5 * np.abs(expected).max())


def test_bfloat16_is_float32_outside_and_a_wrong_type_says_so() -> None:
    model = typed(TensorProto.BFLOAT16, constants_of("bfloat16"))
    x = numbers(1, 2, 4, 4).astype(ml_dtypes.bfloat16)
    program = photonpu.compile(model, SMALL, calibration=x)
    with pytest.raises(InputError, match=r"'x' is bfloat16; float32 is needed: convert it with"):
        photonpu.Session(program, "ideal").run(None, {"x": x})


def test_half_precision_inside_subgraphs_becomes_float32_too() -> None:
    half = TensorProto.FLOAT16
    value = helper.make_tensor_value_info
    make = helper.make_node

    def branch(name: str, op: str) -> onnx.GraphProto:
        one = make("Constant", [], [f"{name}/one"], value=helper.make_tensor("", half, [], [1.0]))
        node = make(op, ["m", f"{name}/one"], [name])
        return helper.make_graph([one, node], name, [], [value(name, half, [1, 3])])

    branches = {"then_branch": branch("t", "Add"), "else_branch": branch("e", "Sub")}
    nodes = [make("MatMul", ["x", "w"], ["m"]), make("If", ["c"], ["y"], **branches)]
    graph = helper.make_graph(
        nodes,
        "branches",
        [value("x", half, [1, 2]), value("c", TensorProto.BOOL, [])],
        [value("y", half, [1, 3])],
        [numpy_helper.from_array(numbers(2, 3).astype(np.float16), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feeds = {"x": numbers(1, 2).astype(np.float16), "c": np.array(True)}

    program = photonpu.compile(model, SMALL, calibration=feeds)

    (y,) = photonpu.Session(program, "ideal").run(None, feeds)
    exact = feeds["x"].astype(float) @ numbers(2, 3).astype(np.float16).astype(float) + 1
    npt.assert_allclose(y, exact, rtol=2e-3)


def test_digital_operators_of_a_double_network_stay_double() -> None:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Sub", ["big", "small"], ["d"]),
        helper.make_node("Add", ["m", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "double",
        [value("x", TensorProto.DOUBLE, [1, 2]), value("small", TensorProto.DOUBLE, [])],
        [value("y", TensorProto.DOUBLE, None)],
        [
            numpy_helper.from_array(np.eye(2), "w"),
            numpy_helper.from_array(np.array(2.0**40), "big"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feeds = {"x": np.zeros((1, 2)), "small": np.array(2.0**40 - 2.0**-8)}

    program = photonpu.compile(model, SMALL, calibration=feeds)

    assert len(program.photonic_steps) == 1
    npt.assert_array_equal(photonpu.Session(program, "ideal").run(None, feeds)[0], 2.0**-8)


def embedding(rows: int) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Return a table of embeddings, a wide product, and a weight that is transposed first."""
    make = helper.make_node
    nodes = [
        make("Cast", ["x"], ["i"], to=TensorProto.INT64),
        make("Gather", ["table", "i"], ["e"]),
        make("MatMul", ["e", "w"], ["m"]),
        make("Transpose", ["turned"], ["v"], perm=[1, 0]),
        make("Relu", ["m"], ["r"]),
        make("MatMul", ["r", "v"], ["y"]),
    ]
    constants = {
        "table": numbers(rows, 8),
        "w": numbers(8, 6),
        "turned": numbers(4, 6, seed=1),
    }
    return nodes, constants


def test_large_weights_never_enter_a_protocol_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "LARGE_BYTES", 4000)
    monkeypatch.setattr(weights, "SMALL_BYTES", 90)
    nodes, constants = embedding(1000)
    model = network(nodes, {"x": ["N", 3]}, {"y": 3}, constants)
    expected = run(model, {"x": np.array([[0, 5, 999]], np.float32)})[0]
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    samples = np.zeros((1, 3), np.float32)

    program = photonpu.compile(tmp_path / "m.onnx", SMALL, calibration=samples)
    program.save(tmp_path / "m.ppu")
    back = photonpu.Program.load(tmp_path / "m.ppu")

    assert len(program.photonic_steps) == 2
    assert program.parameters == 8000 + 48 + 24
    assert max(len(step.model) for step in program.host_steps) < 4000
    for each in (program, back):
        assert list(each.host_steps[0].constants) == ["table"]
        (y,) = photonpu.Session(each, "ideal").run(None, {"x": np.array([[0, 5, 999]], np.float32)})
        npt.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


def test_a_hash_covers_the_weights_that_stand_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LARGE_BYTES", 4000)
    monkeypatch.setattr(weights, "SMALL_BYTES", 90)
    nodes, constants = embedding(1000)
    model = network(nodes, {"x": ["N", 3]}, {"y": 3}, constants)
    other = network(nodes, {"x": ["N", 3]}, {"y": 3}, constants | {"table": -constants["table"]})
    assert weights.digest(model) == weights.digest(weights.copied(model)) != weights.digest(other)


def test_a_large_weight_whose_numbers_are_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LARGE_BYTES", 4000)
    model = network(*embedding(1000)[:1], {"x": ["N", 3]}, {"y": 3}, embedding(1000)[1])
    model.graph.initializer[0].raw_data = b"123"
    with pytest.raises(ModelError, match="'table'"):
        reader.read(model)


@pytest.mark.slow  # 2.3 GB in a file, 6.5 GB of memory
def test_a_table_of_more_than_2_gib_is_compiled_saved_and_run(tmp_path: Path) -> None:
    rows, width = 2_200_000, 256
    chosen, vectors = np.array([[0, 1_234_567, rows - 1]]), numbers(3, width)
    with (tmp_path / "table.bin").open("wb") as file:
        file.truncate(rows * width * 4)
        for row, vector in zip(chosen[0], vectors, strict=True):
            file.seek(int(row) * width * 4)
            file.write(vector.tobytes())
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[rows, width])
    table.data_location = TensorProto.EXTERNAL
    table.external_data.add(key="location", value="table.bin")
    table.external_data.add(key="length", value=str(rows * width * 4))
    nodes = [helper.make_node("Gather", ["table", "x"], ["e"])]
    nodes.append(helper.make_node("MatMul", ["e", "w"], ["y"]))
    model = network(nodes, {"x": ["N", 3]}, {"y": 3}, {"w": numbers(width, 64)})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    model.graph.initializer.append(table)
    onnx.save(model, tmp_path / "m.onnx")

    photonpu.compile(tmp_path / "m.onnx", SMALL, calibration=chosen).save(tmp_path / "m.ppu")

    program = photonpu.Program.load(tmp_path / "m.ppu")
    (y,) = photonpu.Session(program, "ideal").run(None, {"x": chosen})
    expected = vectors @ numbers(width, 64)
    npt.assert_allclose(y[0], expected, atol=1e-5 * np.abs(expected).max())


def test_a_shape_that_makes_tensors_too_large_is_refused() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = network(nodes, {"x": ["N", "T", 3]}, {"y": 3}, {"w": numbers(3, 4)})
    with pytest.raises(ModelError, match=r"'x'.*elements"):
        photonpu.compile(model, SMALL, shapes={"x": (1, 2**40, 3)})
