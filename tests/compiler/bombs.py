"""Small files that ask for a great deal; run as a script it reads those of a folder."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from photonpu.errors import ModelError

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def tensor(name: str, values: Any, kind: type[np.generic] = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, kind), name)


def info(
    name: str, shape: Sequence[int | str | None] = (None,), kind: int = FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto] = (),
    shape: Sequence[int | str] = (1, 1, 8, 8),
    opset: int = 18,
) -> onnx.ModelProto:
    """Return a model from ``x`` to ``y``, which the last node gives."""
    graph = helper.make_graph(
        list(nodes), "bomb", [info("x", shape)], [info("y")], initializer=list(constants)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, list(outputs) or ["y"], name="bang", **attributes)


def constant_of_shape() -> onnx.ModelProto:
    return model([node("ConstantOfShape", ["n"])], [tensor("n", [10**11])])


def expand() -> onnx.ModelProto:
    return model([node("Expand", ["x", "n"])], [tensor("n", [10**6, 1, 10**3, 8, 8])])


def expand_what_is_computed() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Mul", ["n", "n"], ["nn"], name="square"),
        helper.make_node("Concat", ["nn", "one"], ["shape"], name="shape", axis=0),
        node("Expand", ["one_f", "shape"]),
    ]
    constants = [tensor("n", [10**6]), tensor("one", [1]), tensor("one_f", [1.0], np.float32)]
    return model(nodes, constants)


def expand_text() -> onnx.ModelProto:
    text = onnx.TensorProto(name="text", data_type=TensorProto.STRING, dims=[1])
    text.string_data.append(b"a" * 10_000)
    nodes = [
        node("Expand", ["text", "n"], "texts"),
        helper.make_node("StringNormalizer", ["texts"], ["y"]),
    ]
    return model(nodes, [text, tensor("n", [10**7])])


def resize() -> onnx.ModelProto:
    scales = tensor("scales", [1, 1, 1e5, 1e5], np.float32)
    return model([node("Resize", ["x", "", "scales"])], [scales])


def upsample() -> onnx.ModelProto:
    scales = tensor("scales", [1, 1, 1e5, 1e5], np.float32)
    return model([node("Upsample", ["x", "scales"])], [scales], opset=9)


def pad() -> onnx.ModelProto:
    return model([node("Pad", ["x", "p"])], [tensor("p", [0, 0, 10**6, 10**6] * 2)])


def convolution_pads() -> onnx.ModelProto:
    weight = tensor("w", np.ones((1, 1, 3, 3)), np.float32)
    return model([node("Conv", ["x", "w"], pads=[10**6] * 4)], [weight])


def convolution_pads_of_free_axes() -> onnx.ModelProto:
    bomb = convolution_pads()
    for axis in bomb.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_param = "size"
    return bomb


def transposed_strides() -> onnx.ModelProto:
    weight = tensor("w", np.ones((1, 1, 3, 3)), np.float32)
    return model([node("ConvTranspose", ["x", "w"], strides=[10**5, 10**5])], [weight])


def tile_chain() -> onnx.ModelProto:
    nodes = [
        node("Tile", [f"t{i}" if i else "x", "n"], f"t{i + 1}" if i < 11 else "y")
        for i in range(12)
    ]
    return model(nodes, [tensor("n", [1, 1, 10, 10])])


def concat_chain() -> onnx.ModelProto:
    names = ["x", *(f"c{i}" for i in range(59)), "y"]
    nodes = [node("Concat", [a, a], b, axis=0) for a, b in itertools.pairwise(names)]
    return model(nodes)


def sequence_chain() -> onnx.ModelProto:
    names = ["x", *(f"c{i}" for i in range(59)), "y"]
    nodes = []
    for a, b in itertools.pairwise(names):
        nodes.append(helper.make_node("SequenceConstruct", [a, a], [f"{a}{a}"]))
        nodes.append(node("ConcatFromSequence", [f"{a}{a}"], b, axis=0))
    return model(nodes)


def folded_many() -> onnx.ModelProto:
    nodes = [node("ConstantOfShape", ["n"], f"c{i}") for i in range(99)]
    nodes.append(helper.make_node("Max", [f"c{i}" for i in range(99)], ["y"]))
    return model(nodes, [tensor("n", [10**8])])


def range_of() -> onnx.ModelProto:
    ends = [tensor("a", 0), tensor("b", 10**10), tensor("c", 1)]
    return model([node("Range", ["a", "b", "c"])], ends)


def outer_product() -> onnx.ModelProto:
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["column"]),
        helper.make_node("ConstantOfShape", ["m"], ["row"]),
        node("MatMul", ["column", "row"]),
    ]
    return model(nodes, [tensor("n", [10**6, 1]), tensor("m", [1, 10**6])])


def stretched() -> onnx.ModelProto:
    bomb = outer_product()
    bomb.graph.node[2].op_type = "Add"
    return bomb


def one_hot() -> onnx.ModelProto:
    depth = [tensor("d", 10**11), tensor("v", [0, 1], np.float32), tensor("i", [1, 2, 3])]
    return model([node("OneHot", ["i", "d", "v"])], depth)


def gather() -> onnx.ModelProto:
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["i"], value=tensor("zero", [0])),
        node("Gather", ["w", "i"]),
    ]
    return model(nodes, [tensor("n", [10**7]), tensor("w", np.ones((2, 10**4)), np.float32)])


def random_shape() -> onnx.ModelProto:
    return model([node("RandomNormal", [], shape=[10**6, 10**6])])


def product_of_unnamed_axes() -> onnx.ModelProto:
    names = ["f", *(f"e{i}" for i in range(5)), "y"]
    nodes = [
        node("Einsum", [a, a], b, equation="...i,...j->...ij") for a, b in itertools.pairwise(names)
    ]
    return model(nodes, [tensor("f", np.ones(1000), np.float32)])


def window() -> onnx.ModelProto:
    return model([node("HannWindow", ["n"])], [tensor("n", 10**11)])


def sparse() -> onnx.ModelProto:
    values = helper.make_tensor("v", FLOAT, [1], [1.0])
    places = helper.make_tensor("p", INT64, [1, 2], [0, 0])
    big = helper.make_sparse_tensor(values, places, [10**6, 10**6])
    return model([node("Constant", [], sparse_value=big)])


def overflow() -> onnx.ModelProto:
    return model([node("Tile", ["x", "n"])], [tensor("n", [1, 1, 2**33, 2**33])])


def axes_without_end() -> onnx.ModelProto:
    bomb = model([node("Reshape", ["x", "shape"])])
    bomb.graph.input.append(info("shape", [2**28], INT64))
    return bomb


def weight_without_data() -> onnx.ModelProto:
    big = onnx.TensorProto(name="w", data_type=FLOAT, dims=[10**6, 10**6])
    return model([node("MatMul", ["x", "w"])], [big])


def weight_hidden_by_an_empty_axis() -> onnx.ModelProto:
    big = onnx.TensorProto(name="w", data_type=FLOAT, dims=[0, 65536, 65536, 65536, 65536])
    return model([node("Identity", ["w"])], [big])


def input_of_terabytes() -> onnx.ModelProto:
    return model([node("Relu", ["x"])], shape=("batch", 10**6, 10**6))


def nodes_without_end() -> onnx.ModelProto:
    names = ["x", *(f"t{i}" for i in range(99_999)), "y"]
    nodes = [
        onnx.NodeProto(op_type="Relu", input=[a], output=[b]) for a, b in itertools.pairwise(names)
    ]
    return model(nodes)


def loop(
    trips: int | None, body: Sequence[onnx.NodeProto], growing: bool = False
) -> onnx.ModelProto:
    """Return a Loop that carries ``x``, or counts and keeps what each iteration gives."""
    inputs = [info("i", [], INT64), info("go", [], BOOL), info("a")]
    graph = helper.make_graph(
        [*body, helper.make_node("Identity", ["go"], ["go_on"])],
        "body",
        inputs,
        [info("go_on", [], BOOL), info("b" if growing else "a2")],
    )
    names = ["trips" if trips is not None else "", "true", "x"]
    constants = [tensor("trips", trips or 0), tensor("true", True, np.bool_)]
    return model([node("Loop", names, body=graph)], constants)


def loop_of_iterations() -> onnx.ModelProto:
    return loop(2**62, [helper.make_node("Relu", ["a"], ["a2"])])


def loop_without_end() -> onnx.ModelProto:
    return loop(None, [helper.make_node("Relu", ["a"], ["a2"])])


def loop_that_doubles() -> onnx.ModelProto:
    return loop(60, [helper.make_node("Concat", ["a", "a"], ["b"], axis=0, name="bang")], True)


def loops_within_a_loop() -> onnx.ModelProto:
    inner = loop(50_000, [helper.make_node("Relu", ["a"], ["a2"])])
    (bang,) = inner.graph.node
    bang.input[2], bang.output[0] = "a", "a3"
    copied = [helper.make_node("Identity", ["a3"], ["a2"])]
    return loop(50_000, [bang, *copied])


def branch() -> onnx.ModelProto:
    nodes = [node("ConstantOfShape", ["n"], "z")]
    branches = {
        f"{name}_branch": helper.make_graph(nodes, name, [], [info("z")])
        for name in ("then", "else")
    }
    choice = helper.make_node("If", ["true"], ["y"], **branches)
    return model([choice], [tensor("n", [10**11]), tensor("true", True, np.bool_)])


def nested(depth: int) -> onnx.ModelProto:
    """Return branches within branches; protocol buffers write no more than 30."""
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y0"])], "g", [], [info("y0")])
    for level in range(1, depth):
        choice = helper.make_node(
            "If", ["true"], [f"y{level}"], then_branch=graph, else_branch=onnx.GraphProto()
        )
        graph = helper.make_graph([choice], "g", [], [info(f"y{level}")])
    return model(list(graph.node), [tensor("true", True, np.bool_)])


def nested_branches() -> onnx.ModelProto:
    return nested(25)


def functions_of_functions() -> onnx.ModelProto:
    bomb = model([node("F29", ["x"])], opset=18)
    bomb.graph.node[0].domain = "own"
    bomb.opset_import.append(helper.make_opsetid("own", 1))
    for level in range(30):
        calls = [("F" + str(level - 1), "own") if level else ("Relu", "")] * 2
        steps = [
            helper.make_node(calls[0][0], ["a"], ["b"], domain=calls[0][1]),
            helper.make_node(calls[1][0], ["b"], ["c"], domain=calls[1][1]),
        ]
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        function = helper.make_function("own", f"F{level}", ["a"], ["c"], steps, opsets)
        bomb.functions.append(function)
    return bomb


def functions_that_double() -> onnx.ModelProto:
    bomb = functions_of_functions()
    del bomb.functions[15:]
    for function in bomb.functions:
        function.node.extend([function.node[0]] * 7)
        for index, step in enumerate(function.node):
            step.input[0], step.output[0] = ("a" if not index else f"s{index}"), f"s{index + 1}"
        function.node[-1].output[0] = "c"
    bomb.graph.node[0].op_type = "F14"
    return bomb


#: Each bomb with what its refusal says.
BOMBS: dict[Callable[[], onnx.ModelProto], str] = {
    constant_of_shape: r"node 'bang' \(ConstantOfShape\): .* has 100000000000 elements",
    expand: r"node 'bang' \(Expand\): .* has 64000000000 elements",
    expand_what_is_computed: r"node 'bang' \(Expand\): .* has 1000000000000 elements",
    expand_text: r"node 'bang' \(Expand\): .* is the limit for folded_bytes",
    resize: r"node 'bang' \(Resize\): .* has 640000000000 elements",
    upsample: r"node 'bang' \(Upsample\): .* has 640000000000 elements",
    pad: r"node 'bang' \(Pad\): .* has 4000032000064 elements",
    convolution_pads: r"node 'bang' \(Conv\): .* has 4000024000036 elements",
    convolution_pads_of_free_axes: r"node 'bang' \(Conv\): .* is the limit for elements",
    transposed_strides: r"node 'bang' \(ConvTranspose\): .* has 490004200009 elements",
    tile_chain: r"node 'bang' \(Tile\): .* has 6400000000 elements",
    concat_chain: r"node 'bang' \(Concat\): .* is the limit for elements",
    sequence_chain: r"node 'bang' \(ConcatFromSequence\): .* is the limit for elements",
    folded_many: r"node 'bang' \(ConstantOfShape\): .* is the limit for folded_bytes",
    range_of: r"node 'bang' \(Range\): .* has 10000000000 elements",
    outer_product: r"node 'bang' \(MatMul\): .* has 1000000000000 elements",
    stretched: r"node 'bang' \(Add\): .* has 1000000000000 elements",
    one_hot: r"node 'bang' \(OneHot\): .* has 300000000000 elements",
    gather: r"node 'bang' \(Gather\): .* has 100000000000 elements",
    random_shape: r"node 'bang' \(RandomNormal\): .* has 1000000000000 elements",
    product_of_unnamed_axes: r"node 'bang' \(Einsum\): the size of its output follows from",
    window: r"node 'bang' \(HannWindow\): .* has 100000000000 elements",
    sparse: r"node 'bang' \(Constant\) is a sparse tensor",
    overflow: r"node 'bang' \(Tile\): .* is the limit for elements",
    axes_without_end: r"node 'bang' \(Reshape\): its input 1 has 268435456 numbers for the axes",
    weight_without_data: r"initializer 'w' of shape .* has 1000000000000 elements",
    weight_hidden_by_an_empty_axis: r"initializer 'w' of shape .* is the limit for elements",
    input_of_terabytes: r"input 'x' of shape .* has 1000000000000 elements",
    nodes_without_end: r"more than 50000 nodes.* by byte \d+",
    loop_of_iterations: r"node 'bang' \(Loop\) runs 4611686018427387904 iterations",
    loop_without_end: r"node 'bang' \(Loop\) never ends",
    loop_that_doubles: r"node 'bang' \(Concat\): .* is the limit for elements",
    loops_within_a_loop: r"node 'bang' \(Loop\) runs 2500000000 iterations",
    branch: r"node 'bang' \(ConstantOfShape\): .* has 100000000000 elements",
    nested_branches: r"graph 'g' is inside 16 others and 16 is the limit for depth",
    functions_of_functions: r"functions call each other 16 deep",
    functions_that_double: r"has 5\d{4} nodes or more, and 50000 is the limit for nodes",
}


def peak_mb() -> int:
    """Return the most memory that this process ever had; rusage would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) // 1024


def main(folder: Path) -> None:
    """Read each bomb; print its name, the seconds, the peak of memory in MB, and what is said."""
    from photonpu.compiler import reader

    paths = sorted(folder.glob("*.onnx"))
    reader.read(model([helper.make_node("Relu", ["x"], ["y"])]))  # all is imported now
    for path in paths:
        start = time.perf_counter()
        try:
            reader.read(path)
            said = "it was read"
        except ModelError as error:
            said = str(error)
        seconds = time.perf_counter() - start
        print(f"{path.stem}\t{seconds:.3f}\t{peak_mb()}\t{said}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
