"""Choosing lanes by hand on the command line, and the annotated model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.cli.conftest import CommandLine
from tests.compiler.networks import network, numbers

PORTS = ("--set", "mesh.ports=8")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Write a model of one constant product and one of two activations, and return its path."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first/product"),
        helper.make_node("Transpose", ["a"], ["t"], name="turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["a", "t"], ["y"], name="scores"),
    ]
    model = network(nodes, {"x": ["batch", 3, 4]}, {"y": 3}, {"w": numbers(4, 6)})
    path = tmp_path / "it.onnx"
    path.write_bytes(model.SerializeToString())
    return str(path)


def test_check_shows_what_is_kept_digital(photonpu: CommandLine, file: str) -> None:
    result = photonpu("check", file, *PORTS, "--keep-digital", "first/*")

    assert result.exit_code == 0
    assert "first/product (MatMul, 72.0 MACs): it is kept digital by hand" in result.stdout


def test_check_puts_products_of_two_activations_on_the_mesh(
    photonpu: CommandLine, file: str
) -> None:
    options = ("--only", "scores", "--activation-products", "mesh")
    result = photonpu("check", file, *PORTS, *options, "--json")

    found = json.loads(result.stdout)
    assert [product["name"] for product in found["on_mesh"]] == ["scores"]
    assert found["on_mesh"][0]["reprogrammed"]


@pytest.mark.parametrize("verb", ["check", "compile", "estimate"])
def test_a_name_that_matches_nothing_is_an_error(
    photonpu: CommandLine, file: str, verb: str
) -> None:
    result = photonpu(verb, file, *PORTS, "--keep-digital", "first/produkt")

    assert result.exit_code == 1
    assert "keep_digital='first/produkt'" in result.stderr
    assert "did you mean 'first/product'?" in result.stderr


def test_estimate_and_simulate_take_the_options_too(
    photonpu: CommandLine, file: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", x=numbers(2, 3, 4))
    mesh = ("--activation-products", "mesh")

    cost = json.loads(photonpu("estimate", file, *PORTS, *mesh, "--json").stdout)
    names = [layer["name"] for layer in cost["layers"]]
    assert "scores (programming)" in names
    result = photonpu("simulate", file, *PORTS, *mesh, "--input", str(tmp_path / "x.npz"))
    assert result.exit_code == 0, result.stderr


def test_a_program_has_its_lanes_already(photonpu: CommandLine, file: str, tmp_path: Path) -> None:
    program = str(tmp_path / "it.ppu")
    photonpu("compile", file, *PORTS, "--output", program, "--activation-products", "mesh")

    result = photonpu("estimate", program, "--keep-digital", "scores")

    assert result.exit_code == 1
    assert "was compiled already: --keep-digital, --only and --activation-products" in result.stderr


def test_compile_writes_an_annotated_model(
    photonpu: CommandLine, file: str, tmp_path: Path
) -> None:
    program, model = str(tmp_path / "it.ppu"), str(tmp_path / "costs.onnx")

    result = photonpu("compile", file, *PORTS, "--output", program, "--annotate", model)

    assert result.exit_code == 0, result.stderr
    assert f"the model with its costs to {model}" in result.stdout
    node = onnx.load(model).graph.node[0]
    assert {entry.key for entry in node.metadata_props} > {"photonpu.lane", "photonpu.energy_pj"}


def test_no_model_is_annotated_when_compiling_stops(photonpu: CommandLine, file: str) -> None:
    result = photonpu("compile", file, "--stop-after", "lower", "--annotate", "a.onnx")

    assert result.exit_code == 2
    assert "--annotate" in result.stderr
