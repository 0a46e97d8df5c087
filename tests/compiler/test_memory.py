"""Compiling and saving take little more memory than the weights and the program."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy.testing as npt
import onnx
import pytest
from onnx import helper

import photonpu
from photonpu.compiler import placement, profiler
from photonpu.errors import InputError
from tests.compiler.networks import network, numbers

#: Compiles one network for what that loads, then another, and tells the memory that this took.
_MEASURED = """
import dataclasses, re, sys
import photonpu

def read(key):
    with open("/proc/self/status") as file:
        return int(re.search(key + r":\\s+(\\d+)", file.read()).group(1)) * 1024

small, large, path = sys.argv[1:]
photonpu.compile(small).save(path)
before = read("VmRSS")
program = photonpu.compile(large)
program.save(path)
tiles = program.tiles
held = sum(getattr(tiles, field.name).nbytes for field in dataclasses.fields(tiles))
grown = read("VmHWM") - before
print(grown / held)

from photonpu.errors import InputError
photonpu.compile(large, memory_limit_mb=1.5 * grown / 1e6)
try:
    photonpu.compile(large, memory_limit_mb=0.9 * grown / 1e6)
except InputError as error:
    print(error)
"""


def layers(count: int, width: int = 1024) -> onnx.ModelProto:
    """Build a network of dense layers."""
    return network(
        [
            node
            for i in range(count)
            for node in (
                helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"y{i}"]),
                helper.make_node("Relu", [f"y{i}"], [f"x{i + 1}"]),
            )
        ],
        {"x0": (1, width)},
        {f"x{count}": 2},
        {f"w{i}": numbers(width, width, seed=i) for i in range(count)},
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_compiling_and_saving_take_less_than_two_and_a_half_programs_as_is_foretold(
    tmp_path: Path,
) -> None:
    onnx.save(layers(1), tmp_path / "small.onnx")
    onnx.save(layers(8), tmp_path / "large.onnx")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _MEASURED, "small.onnx", "large.onnx", "out.ppu"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    share, refusal = done.stdout.splitlines()
    # 1.8 of them; 3.5 when the file was put together in memory and each stage kept its weights.
    assert float(share) < 2.5
    # What is foretold is no less than what was taken, and no more than half as much again.
    assert refusal.startswith("memory_limit_mb=")
    assert "to compile this model takes about" in refusal


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ceiling_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(InputError, match=r"memory_limit_mb=.*: give megabytes, 1 or more"):
        photonpu.compile(layers(1, 8), memory_limit_mb=limit)


def test_below_a_ceiling_tensors_go_one_by_one_and_the_program_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lean = []

    class Watched(profiler.Profiler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            lean.append(self.lean)

    monkeypatch.setattr(placement, "Profiler", Watched)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["y"]),
    ]
    weights = {"w": numbers(8, 1, 3, 3), "v": numbers(2, 8, 1, 1)}
    model = network(nodes, {"x": (1, 1, 128, 128)}, {"y": 4}, weights)
    x = numbers(1, 1, 128, 128)

    free = photonpu.compile(model, calibration=x)
    bounded = photonpu.compile(model, calibration=x, memory_limit_mb=4)  # 1.2 MB of tensors

    assert lean == [False, True]
    assert [step.input_range for step in free.photonic_steps] == [
        step.input_range for step in bounded.photonic_steps
    ]
    for field in dataclasses.fields(free.tiles):
        npt.assert_array_equal(getattr(free.tiles, field.name), getattr(bounded.tiles, field.name))
