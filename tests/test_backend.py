"""The backend interface of ONNX: what it hands out, and ONNX's own suite run against it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.runner import Runner

from photonpu import backend
from photonpu.compiler.versions import clamp, newest_versions
from photonpu.errors import InputError
from tests import onnx_suite
from tests.onnx_suite import GATE, MACHINE, PRODUCTS, Judge, distance, judged, operators

Array = NDArray[np.float32]

#: Of the light models those that take a few seconds.
QUICK_MODELS = ("light_inception_v1", "light_shufflenet", "light_squeezenet")


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(
    op: str, shapes: Mapping[str, tuple[int | str, ...]], rank: int, **attributes: Any
) -> onnx.ModelProto:
    """Return a model of one operator all of whose operands are inputs."""
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)
    node = helper.make_node(op, list(shapes), ["y"], name="it", **attributes)
    graph = helper.make_graph([node], op, inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_the_only_device_is_the_cpu() -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    with pytest.raises(InputError, match="device 'CUDA': photonpu runs on 'CPU'"):
        backend.prepare(network("Relu", {"x": (2,)}, 1), "CUDA")


def test_matrices_that_arrive_as_inputs_are_decomposed_at_run_time() -> None:
    model = network("MatMul", {"a": (3, 20), "b": (20, 5)}, 2)
    prepared = backend.prepare(model, machine=MACHINE)
    a = numbers(3, 20)
    for seed in (1, 2):
        b = numbers(20, 5, seed=seed)
        assert prepared.photonic_steps([a, b]) == 1
        npt.assert_allclose(prepared.run([a, b])[0], a @ b, atol=1e-5)


def test_programs_that_were_dropped_are_compiled_again() -> None:
    prepared = backend.prepare(network("MatMul", {"a": (2, 3), "b": (3, 2)}, 2), machine=MACHINE)
    a = numbers(2, 3)
    for seed in [*range(backend.PROGRAMS + 1), 0]:
        b = numbers(3, 2, seed=seed)
        npt.assert_allclose(prepared.run([a, b])[0], a @ b, atol=1e-6)


def test_other_data_shapes_need_no_other_model() -> None:
    prepared = backend.prepare(network("MatMul", {"a": ("n", 3), "b": (3, 2)}, 2), machine=MACHINE)
    b = numbers(3, 2)
    for rows in (1, 4):
        npt.assert_allclose(prepared.run([numbers(rows, 3), b])[0], numbers(rows, 3) @ b, atol=1e-6)


def test_a_matrix_that_is_transposed_first_goes_to_the_mesh() -> None:
    model = network("MatMul", {"a": (2, 3), "w": (4, 3)}, 2)
    model.graph.node[0].input[1] = "turned"
    model.graph.node.insert(0, helper.make_node("Transpose", ["w"], ["turned"], perm=[1, 0]))
    prepared = backend.prepare(model, machine=MACHINE)
    a, w = numbers(2, 3), numbers(4, 3, seed=1)
    assert prepared.photonic_steps([a, w]) == 1
    npt.assert_allclose(prepared.run([a, w])[0], a @ w.T, atol=1e-6)


def test_a_chain_of_matrices_streams_through_the_later_ones() -> None:
    model = network("MatMul", {"a": (2, 3), "b": (3, 4)}, 2)
    model.graph.node[0].output[0] = "middle"
    model.graph.node.append(helper.make_node("Relu", ["middle"], ["positive"]))
    model.graph.node.append(helper.make_node("MatMul", ["positive", "c"], ["y"]))
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [4, 5]))
    prepared = backend.prepare(model, machine=MACHINE)
    a, b, c = numbers(2, 3), numbers(3, 4, seed=1), numbers(4, 5, seed=2)
    assert prepared.photonic_steps([a, b, c]) == 2
    npt.assert_allclose(prepared.run([a, b, c])[0], np.maximum(a @ b, 0) @ c, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))), ("i,i", ((4,), (4,))), ("ij->ji", ((2, 3),))],
)
def test_an_einsum_of_inputs_streams_the_first_through_the_others(
    equation: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    names = "abc"[: len(shapes)]
    arrays = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    expected = np.einsum(equation, *arrays)
    model = network(
        "Einsum", dict(zip(names, shapes, strict=True)), expected.ndim, equation=equation
    )
    prepared = backend.prepare(model, machine=MACHINE)
    assert prepared.photonic_steps(arrays) == (len(arrays) > 1)
    npt.assert_allclose(prepared.run(arrays)[0], expected, atol=1e-5)


def test_the_square_of_a_matrix_is_no_product_with_a_constant() -> None:
    model = network("MatMul", {"a": (3, 3)}, 2)
    model.graph.node[0].input.append("a")
    prepared = backend.prepare(model, machine=MACHINE)
    a = numbers(3, 3)
    assert prepared.photonic_steps(a) == 0
    npt.assert_allclose(prepared.run(a)[0], a @ a, atol=1e-6)


def test_inputs_may_be_named() -> None:
    w = numbers(1, 1, 2)
    model = network("Conv", {"x": (1, 1, 3), "w": w.shape}, 3)
    feeds = {"w": w, "x": np.array([[[1, 2, 4]]], np.float32)}
    expected = [[[w[0, 0] @ [1, 2], w[0, 0] @ [2, 4]]]]
    npt.assert_allclose(backend.run_model(model, feeds)[0], expected, atol=1e-6)


def test_the_number_of_inputs_is_checked() -> None:
    prepared = backend.prepare(network("Add", {"x": (2,), "z": (2,)}, 1))
    with pytest.raises(InputError, match="1 inputs were given and model 'Add' has 2: x, z"):
        prepared.run([numbers(2)])


def test_an_input_that_is_missing_is_named() -> None:
    prepared = backend.prepare(network("Add", {"x": (2,), "z": (2,)}, 1))
    with pytest.raises(InputError, match="inputs z are missing: feed an array for each"):
        prepared.run({"x": numbers(2)})


def test_a_digital_model_may_hold_infinity_and_sequences() -> None:
    nodes = [
        helper.make_node("SequenceConstruct", ["x", "z"], ["s"]),
        helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0),
    ]
    model = network("Add", {"x": (2,), "z": (2,)}, 1)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    x = np.array([np.inf, 1], np.float32)
    npt.assert_array_equal(backend.run_model(model, [x, x])[0], [np.inf, 1, np.inf, 1])


def test_a_mask_of_infinities_beside_a_product_is_no_obstacle() -> None:
    model = network("MatMul", {"q": (1, 2, 3), "k": (1, 3, 2)}, 3)
    model.graph.node[0].output[0] = "scores"
    model.graph.node.append(helper.make_node("Add", ["scores", "mask"], ["y"]))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [2, 2]))
    q, k = numbers(1, 2, 3), numbers(1, 3, 2, seed=1)
    mask = np.array([[0, -np.inf], [0, 0]], np.float32)
    npt.assert_allclose(backend.run_model(model, [q, k, mask])[0], q @ k + mask, atol=1e-6)


def test_a_node_runs_by_itself() -> None:
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], transB=1)
    a, b, c = numbers(2, 3), numbers(4, 3, seed=1), numbers(4, seed=2)
    npt.assert_allclose(backend.run_node(node, [a, b, c])[0], a @ b.T + c, atol=1e-5)


def test_a_node_runs_in_the_operator_set_and_with_the_outputs_that_are_asked_for() -> None:
    node = helper.make_node("Softmax", ["x"], ["y"])  # over all axes from the second before 13
    x = numbers(2, 3, 4)
    info = [(np.dtype(np.float32), x.shape)]
    flat = np.exp(x.reshape(2, -1))
    expected = (flat / flat.sum(axis=1, keepdims=True)).reshape(x.shape)
    (old,) = backend.run_node(node, [x], outputs_info=info, opset_version=11)
    npt.assert_allclose(old, expected, rtol=1e-5)


def test_a_node_that_lacks_an_input_is_refused() -> None:
    node = helper.make_node("Add", ["a", "b"], ["y"], name="plus")
    with pytest.raises(InputError, match=r"1 inputs were given and node 'plus' \(Add\) has 2: a"):
        backend.run_node(node, [numbers(2)])


def test_outputs_that_a_node_lacks_cannot_be_described() -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name="it")
    info = [(np.dtype(np.float32), (2,))] * 2
    with pytest.raises(InputError, match=r"2 outputs were given and node 'it' \(Relu\) has 1: y"):
        backend.run_node(node, [numbers(2)], outputs_info=info)


def test_versions_that_onnxruntime_does_not_know_yet_are_clamped() -> None:
    model = network("Relu", {"x": (2,)}, 1)
    model.ir_version = onnx.IR_VERSION
    model.opset_import[0].version = onnx.defs.onnx_opset_version()
    x = np.array([-1, 2], np.float32)
    npt.assert_array_equal(backend.run_model(model, [x])[0], [0, 2])
    assert (clamp(model).ir_version, clamp(model).opset_import[0].version) == newest_versions()


def test_older_versions_are_left_alone() -> None:
    model = network("Relu", {"x": (2,)}, 1)
    assert clamp(model) == model


def test_a_difference_is_measured_against_the_largest_output() -> None:
    ours = [np.array([10.0, 1.001], np.float32)]
    assert distance(ours, [np.array([10.0, 1.0], np.float32)]) == pytest.approx(1e-4, rel=1e-3)
    assert distance(ours, [np.array([np.inf, 1.0], np.float32)]) == np.inf
    assert distance([np.array([np.nan], np.float32)], [np.zeros(1, np.float32)]) == np.inf


@pytest.mark.parametrize("op", sorted(PRODUCTS))
def test_the_suite_s_cases_of_a_product_pass(op: str) -> None:
    importlib.import_module(f"{node_cases.__name__}.{op.lower()}")  # makes the cases
    cases = [c for c in node_cases._NodeTestCases if operators(c.model) == {op}]
    assert cases
    for case in cases:
        judge = Judge(onnx_suite.OURS)
        prepared = judge.prepare(case.model)
        for inputs, expected in case.data_sets:
            outputs = prepared.run(inputs)
            Runner.assert_similar_outputs(expected, outputs, rtol=case.rtol, atol=case.atol)
        assert judge.verdict.photonic == 1, case.name


@pytest.mark.parametrize("name", QUICK_MODELS)
def test_a_light_model_of_the_suite_passes(name: str) -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = onnx.load(folder / f"{name}.onnx")
    constants = {tensor.name for tensor in model.graph.initializer}
    (info,) = (value for value in model.graph.input if value.name not in constants)
    data = Runner.generate_dummy_data(info)
    judge = Judge(onnx_suite.OURS)
    outputs = judge.prepare(model).run([data])
    assert judge.verdict.photonic > 20
    assert judge.verdict.error <= GATE
    expected = onnx.load_tensor(str(folder / f"{name}_output_0.pb"))
    npt.assert_allclose(outputs[0], onnx.numpy_helper.to_array(expected), rtol=1e-3, atol=1e-7)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # ONNX's and NumPy's own, while cases are made
def test_onnx_s_suite_passes_wherever_onnxruntime_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONNX_HOME", str(tmp_path))
    theirs = {name for name, v in judged(onnx_suite.theirs).items() if v.failure is None}
    ours = judged(onnx_suite.OURS)
    failures = {name: v.failure for name, v in ours.items() if v.failure}
    products = {name for name, v in ours.items() if v.products}
    light = {name for name in ours if name.startswith("OnnxBackendRealModelTest/")}
    assert len(ours) >= 2033
    assert not {name: failures[name] for name in theirs & set(failures)}
    assert len(theirs) >= 1648
    assert len(light - set(failures)) == 9
    assert len(products & theirs - set(failures)) >= 176
    assert sum(v.photonic > 0 for v in ours.values()) >= 102
    assert max(v.error for v in ours.values() if not v.failure) <= GATE
