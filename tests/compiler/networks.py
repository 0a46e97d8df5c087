"""Small ONNX models to compile, and onnxruntime to say what they compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from photonpu.compiler import segments
from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.lowerings import MatrixProduct, lower
from photonpu.program import windows

Array = NDArray[Any]


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def network(
    nodes: Iterable[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, int],
    constants: Mapping[str, Array] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """Build a float32 model; `outputs` gives the number of axes of each."""
    graph = helper.make_graph(
        list(nodes),
        "drawn",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * rank)
            for n, rank in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def single(
    op: str, x: Array, constants: Mapping[str, Array], rank: int, **attributes: Any
) -> onnx.ModelProto:
    """Build a model of one operator: ``y = op(x, *constants)``."""
    node = helper.make_node(op, ["x", *constants], ["y"], name="it", **attributes)
    return network([node], {"x": x.shape}, {"y": rank}, constants)


def run(model: onnx.ModelProto | bytes, feeds: Mapping[str, Array]) -> list[Array]:
    """Run a model in onnxruntime as it is."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def products(graph: Graph) -> dict[str, MatrixProduct]:
    """Lower every node that can be."""
    lowered = {node.name: lower(node, graph) for node in graph.nodes}
    return {name: value for name, value in lowered.items() if isinstance(value, MatrixProduct)}


def execute(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """Run a cut graph: exact products on the mesh, segments in onnxruntime."""
    lowered = products(graph)
    values = dict(feeds)
    for step in segments.cut(graph, lowered):
        if isinstance(step, Node):
            product = lowered[step.name]
            values[step.outputs[0]] = windows.multiply(
                values[product.input], product.geometry, product.weights, product.bias
            )
            continue
        dtypes = {name: values[name].dtype for name in step.inputs}
        model = segments.model(graph, step.nodes, step.inputs, step.outputs, dtypes)
        results = run(model, {name: values[name] for name in step.inputs})
        values.update(zip(step.outputs, results, strict=True))
    return [values[info.name] for info in graph.outputs]
