"""Bombs: files of a few bytes that ask for terabytes are refused by name, in little memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from photonpu.compiler import reader
from photonpu.compiler.untrusted.limits import Limits
from photonpu.errors import ModelError, UnsupportedModelError
from tests.compiler import bombs
from tests.compiler.bombs import BOMBS, info, model, node, tensor

ROOT = Path(__file__).resolve().parents[2]

#: Bytes of memory in which all must be refused, Python and all libraries included.
LARGEST_MB = 300


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_is_refused_by_name(bomb: Callable[[], onnx.ModelProto]) -> None:
    with pytest.raises(ModelError, match=BOMBS[bomb]):
        reader.read(bomb().SerializeToString())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_bombs_take_little_memory(tmp_path: Path) -> None:
    for bomb in BOMBS:
        (tmp_path / f"{bomb.__name__}.onnx").write_bytes(bomb().SerializeToString())
    command = [sys.executable, "-m", "tests.compiler.bombs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == len(BOMBS)
    assert max(int(peak) for _, _, peak, _ in lines) < LARGEST_MB


def test_a_bomb_in_memory_is_refused_too() -> None:
    with pytest.raises(ModelError, match="is inside 16 others and 16 is the limit for depth"):
        reader.read(bombs.nested(25))


def test_limits_can_be_raised() -> None:
    big = model([node("Tile", ["x", "n"])], [tensor("n", [1, 1, 10**4, 10**4])])
    with pytest.raises(ModelError, match="6400000000 elements and 1073741824 is the limit"):
        reader.read(big)
    reader.read(big, limits=Limits(elements=10**10))


def test_limits_can_be_lowered() -> None:
    relus = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    with pytest.raises(ModelError, match="more than 1 nodes.* and 1 is the limit for nodes"):
        reader.read(model(relus).SerializeToString(), limits=Limits(nodes=1))
    with pytest.raises(ModelError, match="has 2 nodes or more, and 1 is the limit for nodes"):
        reader.read(model(relus), limits=Limits(nodes=1))
    with pytest.raises(ModelError, match=r"'y' \(Relu\): .* take 512 bytes and 511 is the limit"):
        reader.read(model([*relus]), limits=Limits(total_bytes=511))


def test_a_loop_that_data_end_is_no_bomb() -> None:
    """What exporters write for ``while``: the most iterations there are, and a condition."""
    steps = [
        helper.make_node("Relu", ["a"], ["a2"]),
        helper.make_node("ReduceMax", ["a2"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "one"], ["go_on"]),
    ]
    body = helper.make_graph(
        steps,
        "body",
        [info("i", [], bombs.INT64), info("go", [], bombs.BOOL), info("a")],
        [info("go_on", [], bombs.BOOL), info("a2")],
    )
    constants = [
        tensor("trips", 2**63 - 1),
        tensor("true", True, np.bool_),
        tensor("one", 1.0, np.float32),
    ]
    reader.read(model([node("Loop", ["trips", "true", "x"], body=body)], constants))


def test_a_loop_that_grows_by_a_row_is_no_bomb() -> None:
    row = tensor("row", [[[[1.0] * 8]]], np.float32)
    step = helper.make_node("Concat", ["a", "row"], ["b"], axis=2)
    looped = bombs.loop(500, [step], growing=True)
    looped.graph.initializer.append(row)
    reader.read(looped)


def test_shapes_computed_from_a_free_batch_are_no_bomb() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    reader.read(model(nodes, [tensor("zero", [0]), tensor("rest", [-1])], ["N", 3, 8, 8]))


def test_a_size_that_nobody_can_follow_is_refused_when_it_is_folded() -> None:
    nodes = [
        helper.make_node("Exp", ["f"], ["e"], name="exp"),
        helper.make_node("Cast", ["e"], ["n"], to=bombs.INT64),
        node("ConstantOfShape", ["n"]),
    ]
    with pytest.raises(UnsupportedModelError, match="follows from its input 0, which constants"):
        reader.read(model(nodes, [helper.make_tensor("f", bombs.FLOAT, [1], [25.0])]))


def test_integers_overflow_as_they_do_in_onnxruntime() -> None:
    """2^62 times 4 is 0 in 64 bits, so nothing large is asked for."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["n"]),
        helper.make_node("ConstantOfShape", ["n"], ["y"]),
    ]
    reader.read(model(nodes, [tensor("a", [2**62]), tensor("b", [4])]))
    with pytest.raises(ModelError, match="has 4611686018427387904 elements"):
        reader.read(model(nodes, [tensor("a", [2**62]), tensor("b", [1])]))


@pytest.mark.parametrize("op", ["Div", "Mod"])
def test_the_division_that_ends_onnxruntime_is_refused(op: str) -> None:
    nodes = [node(op, ["a", "b"], "q"), helper.make_node("Cast", ["q"], ["y"], to=bombs.FLOAT)]
    with pytest.raises(ModelError, match=rf"node 'bang' \({op}\) divides the least int64 by -1"):
        reader.read(model(nodes, [tensor("a", [-(2**63)]), tensor("b", [-1])]))
