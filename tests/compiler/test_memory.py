"""Compiling and saving take little more memory than the weights and the program."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

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
print((read("VmHWM") - before) / held)
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
def test_compiling_and_saving_take_less_than_two_and_a_half_programs(tmp_path: Path) -> None:
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

    # 1.8 of them; 3.5 when the file was put together in memory and each stage kept its weights.
    assert float(done.stdout) < 2.5
