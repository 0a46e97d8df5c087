"""The reader: what is good gets through, and each complaint names the thing and the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from photonpu import backend
from photonpu.compiler import reader
from photonpu.compiler.graph import from_model
from photonpu.compiler.untrusted import checks
from photonpu.compiler.untrusted.limits import Limits
from photonpu.errors import ModelError, UnsupportedModelError
from tests.compiler.networks import network, numbers


def perceptron(weight: np.ndarray | None = None) -> onnx.ModelProto:
    constants = {"w": numbers(3, 4) if weight is None else weight}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    return network(nodes, {"x": ["N", 3]}, {"y": 2}, constants)


def test_a_model_is_read_from_a_path_from_bytes_and_from_memory(tmp_path: Path) -> None:
    model = perceptron()
    onnx.save(model, tmp_path / "net.onnx")
    read = [reader.read(m) for m in (tmp_path / "net.onnx", model.SerializeToString(), model)]
    assert {m.SerializeToString(deterministic=True) for m in read} == {
        model.SerializeToString(deterministic=True)
    }


def test_a_model_in_memory_is_left_alone() -> None:
    model = perceptron()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]))
    before = model.SerializeToString(deterministic=True)
    reader.read(model)
    assert model.SerializeToString(deterministic=True) == before


def test_constants_among_the_inputs_are_no_inputs() -> None:
    model = perceptron()
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]))
    read = reader.read(model)
    assert [value.name for value in read.graph.input] == ["x"]
    onnx.checker.check_model(read)


def test_weights_in_another_file_are_loaded(tmp_path: Path) -> None:
    weight = numbers(3, 400)
    path = tmp_path / "net.onnx"
    onnx.save(perceptron(weight), path, save_as_external_data=True, location="net.data")
    npt.assert_array_equal(from_model(reader.read(path)).constants["w"], weight)


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(perceptron(numbers(3, 400)), path, save_as_external_data=True, location="net.data")
    (tmp_path / "net.data").unlink()
    with pytest.raises(
        ModelError, match=r"keeps initializer 'w' in another file that cannot be read: 'net\.data'"
    ):
        reader.read(path)


def test_bytes_of_a_model_whose_weights_are_elsewhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(perceptron(numbers(3, 400)), path, save_as_external_data=True, location="net.data")
    with pytest.raises(ModelError, match="keeps initializer 'w' in another file: give the path of"):
        reader.read(path.read_bytes())


def test_weights_outside_the_folder_of_the_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(perceptron(numbers(3, 400)), path, save_as_external_data=True, location="net.data")
    model = onnx.load(path, load_external_data=False)
    (location,) = (e for e in model.graph.initializer[0].external_data if e.key == "location")
    location.value = "../other/net.data"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="that cannot be read: .*outside the directory"):
        reader.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read '.*unet\.onnx': no such file; check the"):
        reader.read(tmp_path / "unet.onnx")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it is not a file; name the \.onnx file itself"):
        reader.read(tmp_path)


def test_a_text_file_shows_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("# my notes\nabout the model\n")
    with pytest.raises(
        ModelError, match=r"notes\.onnx' is not an ONNX model: it begins with '# my"
    ):
        reader.read(tmp_path / "notes.onnx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty; export one"),
        (b"\x00" * 8, "it begins with .*; export one, for example with torch"),
        (b"{}\n", "it begins with .*; export one"),
        (b"PK\x03\x04rest", "it begins with 'PK.*; if it is a network of PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "fetch that with git lfs pull"),
        (b"\x93NUMPY\x01\x00", "it is an array of NumPy"),
        (b"\x89HDF\r\n", "a network of Keras"),
    ],
)
def test_bytes_of_another_kind_are_no_model_and_say_what_would_do(data: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=f"is not an ONNX model: .*{said}"):
        reader.read(data)


def test_a_file_cut_short_is_no_model() -> None:
    data = perceptron().SerializeToString()
    with pytest.raises(ModelError):
        reader.read(data[: len(data) // 2])


def test_a_name_that_is_no_text_is_damage() -> None:
    data = perceptron().SerializeToString().replace(b"Relu", b"R\xffl\xfe")
    with pytest.raises(ModelError, match="is damaged at byte 32: a 'op_type' is no text; copy or"):
        reader.read(data)


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="and 10 is the limit; save the weights as external data"):
        reader.read(tmp_path / "net.onnx", limits=Limits(file_bytes=10))


def test_nan_in_a_weight_is_named_with_its_place() -> None:
    weight = numbers(3, 4)
    weight[0, 3] = weight[2, 1] = np.nan
    with pytest.raises(ModelError, match=r"initializer 'w' holds NaN at index \(0, 3\) and 1 more"):
        reader.read(perceptron(weight))


def test_nan_in_a_constant_node_is_named() -> None:
    value = helper.make_tensor("value", TensorProto.FLOAT, [2], [1.0, float("nan")])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=value),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with pytest.raises(ModelError, match=r"node 'c' \(Constant\), attribute 'value' holds NaN at"):
        reader.read(network(nodes, {"x": [2]}, {"y": 1}))


def test_a_sparse_initializer_is_refused() -> None:
    model = network([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [2, 3]}, {"y": 2})
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [5])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3, 4]))
    with pytest.raises(UnsupportedModelError, match="initializer 'w' is a sparse tensor"):
        reader.read(model)


def test_infinity_in_a_mask_is_fine() -> None:
    nodes = [helper.make_node("Add", ["x", "mask"], ["y"])]
    mask = np.array([0.0, -np.inf], np.float32)
    reader.read(network(nodes, {"x": [2]}, {"y": 1}, {"mask": mask}))


def test_a_misspelt_operator_is_named_with_the_nearest() -> None:
    nodes = [helper.make_node("Convv", ["x"], ["y"], name="stem")]
    with pytest.raises(UnsupportedModelError, match=r"node 'stem' \(Convv\).*did you mean 'Conv'"):
        reader.read(network(nodes, {"x": [2]}, {"y": 1}))


def test_an_operator_of_an_unknown_domain_is_named() -> None:
    nodes = [helper.make_node("Swirl", ["x"], ["y"], name="stem", domain="my.domain")]
    with pytest.raises(UnsupportedModelError, match=r"node 'stem' \(my\.domain\.Swirl\)"):
        reader.read(network(nodes, {"x": [2]}, {"y": 1}))


def test_an_operator_set_of_the_future_is_refused() -> None:
    with pytest.raises(ModelError, match="uses operator set 999 and this installation knows up to"):
        reader.read(
            network([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, {"y": 1}, {}, 999)
        )


def test_a_file_format_of_the_future_is_refused() -> None:
    model = perceptron()
    model.ir_version = 99
    with pytest.raises(ModelError, match="written in version 99 of ONNX's format"):
        reader.read(model)


def test_a_graph_that_reads_what_nobody_gives_is_malformed() -> None:
    nodes = [helper.make_node("Relu", ["nobody"], ["y"])]
    with pytest.raises(ModelError, match="reads 'nobody', which nothing gives"):
        reader.read(network(nodes, {"x": [2]}, {"y": 1}))


def test_functions_of_the_model_are_inlined() -> None:
    double = helper.make_function(
        "mine",
        "Double",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    model = network([helper.make_node("Double", ["x"], ["y"], domain="mine")], {"x": [2]}, {"y": 1})
    model.functions.append(double)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    read = reader.read(model)
    assert [node.op_type for node in read.graph.node] == ["Add"]


@pytest.mark.parametrize("op", ["LayerNormalization", "DFT"])
def test_optional_inputs_that_are_named_by_nothing_are_left_out(op: str) -> None:
    # onnxruntime 1.31 crashes on both unless they are.
    blank = {"LayerNormalization": ["x", "s", ""], "DFT": ["x", "", ""]}[op]
    model = network(
        [helper.make_node(op, blank, ["y"], name="it")],
        {"x": [1, 4, 3, 1]},
        {"y": 4},
        {"s": np.ones(1, np.float32)},
        opset=20,
    )
    x = np.arange(12, dtype=np.float32).reshape(1, 4, 3, 1)
    (found,) = backend.run_model(model, [x])
    signal = np.fft.fft(x[..., 0], axis=-1)
    transform = np.stack([signal.real, signal.imag], -1)
    npt.assert_allclose(found, transform if op == "DFT" else 0 * x, atol=1e-5)
    assert list(model.graph.node[0].input) == blank  # the caller's own


def test_an_empty_input_that_an_operator_counts_is_left_alone() -> None:
    flag, count = TensorProto.BOOL, TensorProto.INT64
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("go", "on"), ("i", "turn"))],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", count), ("go", flag))],
        [helper.make_tensor_value_info(n, t, []) for n, t in (("on", flag), ("turn", count))],
    )
    nodes = [
        helper.make_node("Loop", ["n", ""], ["turns"], body=body),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    model = network(nodes, {"x": [1]}, {"y": 1}, {"n": np.array(3)})
    assert list(reader.read(model).graph.node[0].input) == ["n", ""]


def test_of_another_package_s_message_the_first_line_is_shown_and_cut_if_it_is_long() -> None:
    assert checks.first_line(ValueError("\n one.\ntwo")) == "one"
    assert checks.first_line(ValueError("")) == "ValueError"
    assert checks.first_line(ValueError(401 * "x")) == 400 * "x" + "..."
