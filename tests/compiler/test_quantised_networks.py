"""Networks that onnxruntime quantised, on ideal meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime import quantization

import photonpu
from photonpu.compiler.inspection import inspect
from tests.compiler.integers import MACHINE, model_of
from tests.compiler.networks import Array, run


def small_network() -> onnx.ModelProto:
    """Return a network with a residual connection, a pool, an up-convolution and a dense layer."""
    draw = np.random.default_rng(0)
    constants = {
        "w1": draw.standard_normal((6, 3, 3, 3)) * 0.3,
        "b1": draw.standard_normal(6),
        "w2": draw.standard_normal((6, 6, 2, 2)) * 0.3,
        "w3": draw.standard_normal((6 * 4 * 4, 5)) * 0.2,
        "b3": draw.standard_normal(5),
        "w4": draw.standard_normal((5, 4)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "w2"], ["t"], strides=[2, 2]),
        helper.make_node("MaxPool", ["t"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["m", "r"], ["a"]),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["g"]),
        helper.make_node("MatMul", ["g", "w4"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["y"]),
    ]
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}/{index}"
    floats = {name: value.astype(np.float32) for name, value in constants.items()}
    x = np.zeros((1, 3, 8, 8), np.float32)
    model = model_of(nodes, {"x": x}, floats, np.float32)
    del model.opset_import[1:]
    return model


def samples(count: int) -> Array:
    return np.random.default_rng(1).standard_normal((count, 1, 3, 8, 8)).astype(np.float32)


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hand the samples to onnxruntime's own quantisation."""

    def __init__(self) -> None:
        self._samples = iter(samples(8))

    def get_next(self) -> dict[str, Array] | None:
        x = next(self._samples, None)
        return None if x is None else {"x": x}


FLOWS: dict[str, dict[str, Any]] = {
    "static, converters around float operators": {"quant_format": "QDQ"},
    "static, integer operators": {"quant_format": "QOperator"},
    "static, asymmetric": {"quant_format": "QDQ", "activation_type": "QUInt8"},
    "static, unsigned integer operators": {
        "quant_format": "QOperator",
        "activation_type": "QUInt8",
        "reduce_range": True,
    },
    "dynamic": {"weight_type": "QInt8", "reduce_range": True},
    "dynamic, unsigned weights": {"weight_type": "QUInt8"},
}


def quantised(flow: str, per_channel: bool, folder: Path) -> Path:
    """Write the network as one of the flows quantises it."""
    source, target = folder / "float.onnx", folder / "quantised.onnx"
    onnx.save(small_network(), source)
    tables = {"quant_format": quantization.QuantFormat}
    options: dict[str, Any] = {
        key: tables.get(key, quantization.QuantType)[value] if isinstance(value, str) else value
        for key, value in FLOWS[flow].items()
    }
    if flow.startswith("dynamic"):
        quantization.quantize_dynamic(source, target, per_channel=per_channel, **options)
    else:
        quantization.quantize_static(source, target, Reader(), per_channel=per_channel, **options)
    return target


def check(path: Path) -> None:
    """See all products on the mesh, and outputs within one step of 8 bits of onnxruntime's."""
    assert inspect(path, MACHINE).mac_share == 1
    program = photonpu.compile(path, MACHINE, calibration=np.concatenate(samples(8)))
    session = photonpu.Session(program, noise="ideal")
    for x in samples(3):
        (expected,) = run(onnx.load(path), {"x": x})
        npt.assert_allclose(session.run(None, {"x": x})[0], expected, atol=1.01 / 255)


@pytest.mark.filterwarnings("ignore")  # onnxruntime's own, while it quantises
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("flow", FLOWS)
def test_what_onnxruntime_quantises_runs_on_the_mesh_as_it_means_it(
    flow: str, per_channel: bool, tmp_path: Path
) -> None:
    check(quantised(flow, per_channel, tmp_path))


@pytest.mark.filterwarnings("ignore")  # as above
@pytest.mark.parametrize("flow", ["static, unsigned integer operators", "dynamic"])
def test_what_onnxruntime_fused_for_the_processor_and_saved_runs_on_the_mesh(
    flow: str, tmp_path: Path
) -> None:
    path = tmp_path / "fused.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        quantised(flow, False, tmp_path), options, providers=["CPUExecutionProvider"]
    )
    assert any(node.domain == "com.microsoft" for node in onnx.load(path).graph.node)
    check(path)
