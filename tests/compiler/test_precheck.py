"""The check before all checks: each malformed model is refused by the name of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper

from photonpu.compiler import reader
from photonpu.compiler.simplifier import simplify
from photonpu.errors import ModelError, UnsupportedModelError
from tests.compiler.bombs import info, model, tensor
from tests.compiler.networks import network

FLOATS = tensor("f", [1.0, 2.0], np.float32)


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **values: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, name="it", **values)


def of(*nodes: onnx.NodeProto, opset: int = 18) -> onnx.ModelProto:
    return model(nodes, [FLOATS], [2], opset)


def typed(op: str, name: str, kind: int) -> onnx.ModelProto:
    """Return a model whose attribute says that it is of another type than it is."""
    proto = of(node(op, ["x"], ["y"], **{name: 1}))
    proto.graph.node[0].attribute[0].type = kind
    return proto


def twice() -> onnx.ModelProto:
    proto = of(node("Concat", ["x", "x"], ["y"], axis=0))
    proto.graph.node[0].attribute.append(proto.graph.node[0].attribute[0])
    return proto


def imports(*versions: int) -> onnx.ModelProto:
    proto = of(node("Relu", ["x"], ["y"]))
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid("", version) for version in versions)
    return proto


def two_inputs() -> onnx.ModelProto:
    proto = of(node("Relu", ["x"], ["y"]))
    proto.graph.input.append(info("x", [2]))
    return proto


def two_initializers() -> onnx.ModelProto:
    return model([node("Relu", ["x"], ["y"])], [FLOATS, FLOATS])


def branches(yes: onnx.GraphProto, no: onnx.GraphProto) -> onnx.ModelProto:
    choice = node("If", ["go"], ["y"], then_branch=yes, else_branch=no)
    return model([choice], [tensor("go", True, np.bool_)])


def graph(nodes: Sequence[onnx.NodeProto], *outputs: str, inputs: Sequence[str] = ()) -> Any:
    return helper.make_graph(
        list(nodes), "inner", [info(n) for n in inputs], [info(n) for n in outputs]
    )


def uneven_branches() -> onnx.ModelProto:
    good = graph([helper.make_node("Relu", ["x"], ["a"])], "a")
    return branches(good, graph([helper.make_node("Relu", ["x"], ["b"])], "b", "b"))


def branch_with_an_input() -> onnx.ModelProto:
    good = graph([helper.make_node("Relu", ["x"], ["a"])], "a")
    return branches(good, graph([helper.make_node("Relu", ["x"], ["b"])], "b", inputs=["c"]))


def looped(inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    steps = [helper.make_node("Identity", ["go"], [name]) for name in outputs]
    body = graph(steps, *outputs, inputs=["i", "go", *inputs])
    loop = node("Loop", ["n", "", "x"], ["y"], body=body)
    return model([loop], [tensor("n", 3)])


def scanned(count: int) -> onnx.ModelProto:
    body = graph([helper.make_node("Relu", ["a"], ["b"])], "b", inputs=["a"])
    return of(node("Scan", ["x"], ["y"], body=body, num_scan_inputs=count))


def function(calls: str = "Relu", domain: str = "", copies: int = 1) -> onnx.ModelProto:
    proto = of(helper.make_node("Own", ["x"], ["y"], domain="own", name="it"))
    proto.opset_import.append(helper.make_opsetid("own", 1))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    steps = [helper.make_node(calls, ["a"], ["b"], domain=domain)]
    own = helper.make_function("own", "Own", ["a"], ["b"], steps, opsets)
    proto.functions.extend([own] * copies)
    return proto


def called_with(inputs: Sequence[str]) -> onnx.ModelProto:
    proto = function()
    proto.graph.node[0].input[:] = inputs
    return proto


def stored(kind: int = TensorProto.FLOAT, **fields: Any) -> onnx.ModelProto:
    weight = onnx.TensorProto(name="w", data_type=kind, **{"dims": [2], **fields})
    return model([node("Add", ["x", "w"], ["y"])], [weight])


EIGHT = b"\0" * 8

#: What is malformed, and what its refusal says.
MALFORMED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "empty input in the middle of Sum": (
        lambda: of(node("Sum", ["x", "", "f"], ["y"])),
        r"node 'it' \(Sum\): input 1 is empty and is not optional",
    ),
    "empty input of Einsum": (
        lambda: of(node("Einsum", ["x", ""], ["y"], equation="i,i->i")),
        r"node 'it' \(Einsum\): input 1 is empty and is not optional",
    ),
    "empty input of Conv": (
        lambda: of(node("Conv", ["x", ""], ["y"])),
        r"node 'it' \(Conv\): input 1 is empty and is not optional",
    ),
    "Split into more than it has": (
        lambda: of(node("Split", ["x"], ["y", "z"], num_outputs=3)),
        r"node 'it' \(Split\): num_outputs is 3 and it has 2 outputs",
    ),
    "Split of the old kind": (
        lambda: of(node("Split", ["x"], ["y", "z"], split=[1, 1, 1]), opset=11),
        r"node 'it' \(Split\): split has 3 parts for 2 outputs",
    ),
    "too many inputs": (
        lambda: of(node("Relu", ["x", "x"], ["y"])),
        r"node 'it' \(Relu\) has 2 inputs and its operator 1: export it again",
    ),
    "too few inputs": (
        lambda: of(node("Conv", ["x"], ["y"])),
        r"node 'it' \(Conv\) has 1 inputs and its operator 2 to 3",
    ),
    "no input at all": (
        lambda: of(node("Concat", [], ["y"], axis=0)),
        r"node 'it' \(Concat\) has 0 inputs and its operator 1 or more",
    ),
    "too many outputs": (
        lambda: of(node("Relu", ["x"], ["y", "z"])),
        r"node 'it' \(Relu\) has 2 outputs and its operator 1",
    ),
    "output without a name": (
        lambda: of(node("Relu", ["x"], [""]), helper.make_node("Relu", ["x"], ["y"])),
        r"node 'it' \(Relu\): output 0 has no name and is not optional",
    ),
    "unknown attribute": (
        lambda: of(node("Concat", ["x"], ["y"], axis=0, axes=1)),
        r"node 'it' \(Concat\) has no attribute 'axes'; did you mean 'axis'\?",
    ),
    "attribute of another type": (
        lambda: of(node("Concat", ["x"], ["y"], axis=0.5)),
        r"node 'it' \(Concat\): attribute 'axis' is of type 1 and must be 2 \(i\)",
    ),
    "attribute that is not what it says": (
        lambda: typed("Flatten", "axis", 1),
        r"node 'it' \(Flatten\): attribute 'axis' is of type 1 and holds i",
    ),
    "attribute of no type": (
        lambda: typed("Flatten", "axis", 0),
        r"attribute 'axis' is of type 0 and holds i",
    ),
    "attribute given twice": (twice, r"node 'it' \(Concat\) has two attributes 'axis'"),
    "missing attribute": (
        lambda: of(node("Concat", ["x"], ["y"])),
        r"node 'it' \(Concat\) lacks its attribute 'axis'",
    ),
    "division by a group of 0": (
        lambda: of(node("Conv", ["x", "f"], ["y"], group=0)),
        r"node 'it' \(Conv\): attribute 'group' is 0 and must be 1 or more",
    ),
    "negative stride": (
        lambda: of(node("Conv", ["x", "f"], ["y"], strides=[1, -1])),
        r"node 'it' \(Conv\): attribute 'strides' is -1 and must be 1 or more",
    ),
    "stride beyond any index": (
        lambda: of(node("Conv", ["x", "f"], ["y"], strides=[1, 2**63 - 1])),
        r"attribute 'strides' is 9223372036854775807 and must be 1 or more, and below 2\*\*31",
    ),
    "division by heads of 0": (
        lambda: of(
            node("Attention", ["x", "f", "f"], ["y"], q_num_heads=3, kv_num_heads=0), opset=23
        ),
        r"node 'it' \(Attention\): attribute 'kv_num_heads' is 0 and must be 1 or more",
    ),
    "operator of another set": (
        lambda: of(node("Gelu", ["x"], ["y"]), opset=13),
        r"node 'it' \(Gelu\): operator set 13 of ONNX has no such operator",
    ),
    "operator that was taken away": (
        lambda: of(node("Upsample", ["x", "f"], ["y"]), opset=13),
        r"node 'it' \(Upsample\): operator set 13 of ONNX has no such operator",
    ),
    "no operator set": (imports, r"node 'it' \(Relu\): the model imports no operator set ''"),
    "two operator sets": (lambda: imports(17, 18), "imports versions 17 and 18 of operator set ''"),
    "operator set 0": (lambda: imports(0), "imports operator set version 0: 1 is the first"),
    "tensor given twice": (
        lambda: of(helper.make_node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])),
        r"node 'it' \(Relu\) gives 'y', which is given already",
    ),
    "node that gives an input": (
        lambda: of(node("Relu", ["x"], ["x"])),
        r"node 'it' \(Relu\) gives 'x', which is given already",
    ),
    "cycle": (
        lambda: of(node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])),
        r"node 'it' \(Add\) reads 'b', which it or a later node gives",
    ),
    "output that nobody gives": (
        lambda: of(node("Relu", ["x"], ["z"])),
        "output 'y' of 'bomb' is given by no node",
    ),
    "two inputs of a name": (two_inputs, "graph 'bomb' has two inputs 'x'"),
    "two initializers of a name": (two_initializers, "graph 'bomb' has 2 initializers 'f'"),
    "uneven branches": (uneven_branches, "else_branch gives 2 tensors and the node 1"),
    "branch with an input": (branch_with_an_input, "else_branch has inputs, and a branch takes"),
    "loop that takes too little": (
        lambda: looped([], ["more", "b"]),
        r"node 'it' \(Loop\): its body takes 2 tensors and 3 are handed to it",
    ),
    "loop that gives too little": (
        lambda: looped(["a"], ["more"]),
        r"node 'it' \(Loop\): its body gives 1 tensors and 2 are expected",
    ),
    "scan of nothing": (
        lambda: scanned(0),
        r"node 'it' \(Scan\): num_scan_inputs is 0 and it has 1 inputs",
    ),
    "function that calls itself": (
        lambda: function("Own", "own"),
        "function 'Own' calls itself: ONNX knows no recursion",
    ),
    "function defined twice": (lambda: function(copies=2), "function 'Own' is defined 2 times"),
    "function called with too much": (
        lambda: called_with(["x", "x"]),
        r"node 'it' \(own\.Own\) has 2 inputs and 1 outputs, and its function 1 and 1",
    ),
    "unknown operator of onnxruntime": (
        lambda: of(node("Swirl", ["x"], ["y"], domain="com.microsoft")),
        r"node 'it' \(com\.microsoft\.Swirl\): the model imports no operator set 'com\.microsoft'",
    ),
    "too little data": (lambda: stored(raw_data=b"123"), "'w' .* needs 8 bytes, but holds 3"),
    "too much data": (lambda: stored(raw_data=b"1" * 9), "'w' .* needs 8 bytes, but holds 9"),
    "too few numbers": (lambda: stored(float_data=[1]), "'w' .* needs 2 numbers, but holds 1"),
    "no data": (stored, "'w' has shape .2. and so needs 2 numbers, but holds 0"),
    "negative axis": (lambda: stored(dims=[-2]), r"'w' has shape \(-2\): no axis can be negative"),
    "many axes": (lambda: stored(dims=[1] * 65), "'w' has 65 axes and 64 is the most"),
    "unknown element type": (lambda: stored(99, raw_data=EIGHT), "'w' is of element type 99"),
    "no element type": (lambda: stored(0, raw_data=EIGHT), "'w' is of element type 0"),
    "data in two places": (
        lambda: stored(raw_data=EIGHT, float_data=[1, 2]),
        "'w' holds data in two places",
    ),
    "data in a place of another type": (
        lambda: stored(int64_data=[1, 2]),
        "'w' holds data in two places, in one that its type does not use",
    ),
    "text as bytes": (lambda: stored(TensorProto.STRING, raw_data=EIGHT), "'w' holds data in two"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_malformed_is_refused_by_name(what: str) -> None:
    make, said = MALFORMED[what]
    with pytest.raises(ModelError, match=said):
        reader.read(make().SerializeToString())


def test_a_sparse_constant_is_refused() -> None:
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("p", TensorProto.INT64, [1], [11])
    sparse = helper.make_sparse_tensor(values, places, [3, 4])
    with pytest.raises(UnsupportedModelError, match=r"'it' \(Constant\) is a sparse tensor"):
        reader.read(of(node("Constant", [], ["y"], sparse_value=sparse)))


def test_an_attribute_of_a_function_is_refused_outside_of_one() -> None:
    proto = of(node("LeakyRelu", ["x"], ["y"]))
    proto.graph.node[0].attribute.add(name="alpha", type=1, ref_attr_name="it")
    with pytest.raises(ModelError, match="attribute 'alpha' stands for one of a function, and"):
        reader.read(proto)


@pytest.mark.parametrize("place", ["node", "tensor", "input", "graph"])
def test_a_name_that_no_program_could_hold_is_refused(place: str) -> None:
    long = "n" * 2049
    proto = of(node("Relu", ["x"], ["y"]))
    if place == "node":
        proto.graph.node[0].name = long
    elif place == "graph":
        proto.graph.name = long
    else:
        proto = of(helper.make_node("Relu", ["x"], [long]), node("Relu", [long], ["y"]))
    if place == "input":
        proto.graph.input.append(info(long, [2]))
    with pytest.raises(ModelError, match=r"nnn\.\.\.' of 2049 characters and 2048 are the most"):
        reader.read(proto)


@pytest.mark.parametrize(
    ("op", "weight", "groups"),
    [("Conv", (6, 2, 1, 1), 1), ("Conv", (6, 2, 1, 1), 3), ("ConvTranspose", (6, 2, 1, 1), 1)],
)
def test_a_weight_for_other_channels_is_refused_before_any_input_is_drawn(
    op: str, weight: tuple[int, ...], groups: int
) -> None:
    # onnxruntime finds out when it runs: 64 million random numbers were drawn for it.
    proto = network(
        [node(op, ["x", "w"], ["y"], group=groups)],
        {"x": [1, 4, 3, 3]},
        {"y": 4},
        {"w": np.zeros(weight, np.float32)},
    )
    takes = weight[0] if op == "ConvTranspose" else weight[1] * groups
    with pytest.raises(ModelError, match=f"input has 4 channels and its weight takes {takes};"):
        reader.read(proto)


@pytest.mark.parametrize(
    ("op", "channels", "weight"),
    [
        ("Conv", 0, (4, 0, 3, 3)),
        ("Conv", 2, (0, 2, 3, 3)),
        ("ConvTranspose", 0, (0, 4, 3, 3)),
        ("ConvTranspose", 2, (2, 0, 3, 3)),
    ],
)
def test_a_convolution_without_channels_is_refused(
    op: str, channels: int, weight: tuple[int, ...]
) -> None:
    # onnxruntime finds out when it runs.
    proto = network(
        [node(op, ["x", "w"], ["y"])],
        {"x": [1, channels, 8, 8]},
        {"y": 4},
        {"w": np.zeros(weight, np.float32)},
    )
    with pytest.raises(ModelError, match=rf"'it' \({op}\): its weight has the shape \(.*\), and"):
        reader.read(proto)


def test_a_model_without_outputs_is_refused() -> None:
    proto = of(node("Relu", ["x"], ["y"]))
    del proto.graph.output[:]
    with pytest.raises(ModelError, match="has no output: name one when you export the model"):
        reader.read(proto)


def test_constants_that_no_file_could_hold_are_told_apart_from_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(model: onnx.ModelProto) -> None:
        raise EncodeError("Failed to serialize proto")  # as it says of 2 GiB

    monkeypatch.setattr("onnx.checker.check_model", write)
    with pytest.raises(ModelError, match="2 GiB or more besides its large initializers"):
        reader.read(of(node("Relu", ["x"], ["y"])))


VALID: dict[str, onnx.ModelProto] = {
    "optional input left out in the middle": of(node("Clip", ["x", "", "f"], ["y"])),
    "optional input left out at the end": of(node("Clip", ["x", "", ""], ["y"])),
    "optional output left out": of(node("Dropout", ["x"], ["y", ""])),
    "many inputs": of(node("Sum", ["x"] * 40, ["y"])),
    "one input of many": of(node("Sum", ["x"], ["y"])),
    "attribute by default": of(node("Flatten", ["x"], ["y"])),
    "operator set 1": of(node("Relu", ["x"], ["y"], consumed_inputs=[0]), opset=1),
    "newest operator set": of(node("Relu", ["x"], ["y"]), opset=onnx.defs.onnx_opset_version()),
    "constant that is an output": model([], [tensor("y", [1.0], np.float32)]),
    "function": function(),
}


@pytest.mark.parametrize("what", VALID)
def test_what_is_valid_is_read(what: str) -> None:
    reader.read(VALID[what].SerializeToString())


def test_an_operator_of_onnxruntime_is_held_against_its_schema() -> None:
    proto = of(node("FusedMatMul", ["x"], ["y"], domain="com.microsoft"))
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ModelError, match="has 1 inputs and its operator 2: export it again"):
        reader.read(proto)
    proto.graph.node[0].op_type = "FusedMatMull"
    with pytest.raises(UnsupportedModelError, match="did you mean 'FusedMatMul'"):
        reader.read(proto)


def test_a_damaged_file_is_refused_by_the_byte() -> None:
    data = of(node("Relu", ["x"], ["y"])).SerializeToString()
    place = data.index(b"Relu")
    wrong = data[: place - 1] + b"\x7f" + data[place:]  # the length of the operator's name
    with pytest.raises(ModelError, match=rf"at byte {place - 2}: 'op_type' reaches beyond"):
        reader.read(wrong)


def test_every_cut_of_a_file_is_refused() -> None:
    data = of(node("Relu", ["x"], ["y"])).SerializeToString()
    whole = re.compile("is damaged at byte|is not an ONNX model|imports no operator set|lacks")
    for end in range(len(data)):
        with pytest.raises(ModelError, match=whole):
            reader.read(data[:end])


def test_axes_that_are_no_whole_numbers_are_an_error_of_ours() -> None:
    proto = of(node("Unsqueeze", ["x", "w"], ["y"]))
    proto.graph.initializer.append(tensor("w", [0.5, 1.5], np.float32))
    with pytest.raises(ModelError, match="Unsqueeze"):
        simplify(reader.read(proto), {})
