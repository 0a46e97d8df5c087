"""The examples run as they stand, and print what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    root = str(EXAMPLES.parent)
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": root}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


def test_a_small_phase_error_makes_an_error_in_proportion(tmp_path: Path) -> None:
    found = re.findall(r"relative error (\S+)", run("one_matrix.py", tmp_path))
    none, small, medium, large = (float(text) for text in found)
    assert none < 1e-5
    # One chip has one draw, which the phase error scales: to first order the product follows.
    assert medium / small == pytest.approx(10 / 3, rel=0.2)
    assert large > medium


@pytest.mark.slow
def test_the_quickstart_runs_a_slice_and_knows_its_cost(tmp_path: Path) -> None:
    text = run("quickstart.py", tmp_path)
    assert "tiles of 64 ports" in text
    assert "µJ a slice" in text


@pytest.mark.slow
def test_larger_meshes_take_fewer_tiles(tmp_path: Path) -> None:
    text = run("sweep_ports.py", tmp_path)
    tiles = [int(line.split()[-1]) for line in text.split("\n")[2:5]]
    assert tiles == sorted(tiles, reverse=True)


def test_every_example_is_run_here() -> None:
    tested = re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text())
    assert sorted(tested) == sorted(path.name for path in EXAMPLES.glob("*.py"))
