"""What the tests of the command line share: a way to call it, and a small network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner, Result

from photonpu.cli.app import app


class CommandLine:
    """Runs command lines in this process; a bug shows its traceback, as it would for a user."""

    def __call__(self, *words: object) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *words: object) -> Any:
        """Return what ``--json`` writes on stdout; NaN would not parse."""
        result = self(*words, "--json")
        assert result.exit_code == 0, result.stderr

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        return json.loads(result.stdout, parse_constant=refuse)


@pytest.fixture
def photonpu() -> CommandLine:
    """Return a function that runs a command line."""
    return CommandLine()


def network(weight: float = 1.0, op: str = "Sigmoid", domain: str = "") -> onnx.ModelProto:
    """Return a network of one 3x3 convolution and `op` on images of one channel, 8x8."""
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1, 1] = weight
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["sum"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node(op, ["sum"], ["mask"], name="last", domain=domain),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    opsets = [helper.make_opsetid("", 17)] + [helper.make_opsetid(domain, 1)] * bool(domain)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return the file of a small network."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(network().SerializeToString())
    return path


@pytest.fixture
def nan_network(tmp_path: Path) -> Path:
    """Return the file of a network whose kernel holds NaN."""
    path = tmp_path / "nan.onnx"
    path.write_bytes(network(float("nan")).SerializeToString())
    return path


@pytest.fixture
def strange_network(tmp_path: Path) -> Path:
    """Return the file of a network with an operator that nobody knows."""
    path = tmp_path / "strange.onnx"
    path.write_bytes(network(op="Entangle", domain="org.example").SerializeToString())
    return path


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Return a dataset of four noisy squares that the network finds: bright is positive."""
    draw = np.random.default_rng(0)
    masks = np.zeros((4, 8, 8), np.uint8)
    masks[:, 2:6, 2:6] = 1
    images = np.where(masks == 1, 2.0, -2.0) + 0.1 * draw.standard_normal(masks.shape)
    path = tmp_path / "squares.npz"
    np.savez(path, image=images[:, None].astype(np.float32), mask=masks)
    return path
