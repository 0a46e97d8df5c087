"""Annotated models: valid, the same function, with the numbers of the inspection and estimate."""

from __future__ import annotations

import math
from pathlib import Path

import numpy.testing as npt
import onnx
import pytest
from onnx import helper

import photonpu
from photonpu.compiler.inspection import inspect
from photonpu.errors import StorageError
from photonpu.hardware import Machine
from photonpu.report.annotate import annotated, save
from photonpu.simulator import Estimate
from tests.compiler.networks import network, numbers, run

SMALL = Machine.preset("mzi64-eo").override({"mesh.ports": 8})


def model() -> onnx.ModelProto:
    """Return Conv and BatchNormalization, that become one layer, a Relu, and scores of it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], name="norm"),
        helper.make_node("Relu", ["n"], ["r"], name="re\x1b[2Jlu"),
        helper.make_node("Transpose", ["r"], ["t"], name="turn", perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["r", "t"], ["y"], name="scores"),
        helper.make_node("Neg", ["x"], ["unused"], name="dead"),
    ]
    constants = {name: abs(numbers(3)) + 1 for name in "sbmv"} | {"w": numbers(3, 2, 3, 3)}
    return network(nodes, {"x": [1, 2, 6, 6]}, {"y": 4}, constants)


def entries(node: onnx.NodeProto | onnx.ModelProto) -> dict[str, str]:
    return {entry.key.removeprefix("photonpu."): entry.value for entry in node.metadata_props}


def made(*, mesh: bool = False) -> tuple[onnx.ModelProto, Estimate]:
    lane = "mesh" if mesh else "digital"
    x = numbers(1, 2, 6, 6)
    program = photonpu.compile(model(), SMALL, calibration=x, activation_products=lane)
    cost = photonpu.estimate(program)
    return annotated(inspect(model(), SMALL, activation_products=lane), cost), cost


@pytest.mark.parametrize("mesh", [False, True])
def test_an_annotated_model_is_valid_and_computes_the_same(mesh: bool) -> None:
    found, _ = made(mesh=mesh)
    x = {"x": numbers(1, 2, 6, 6)}

    onnx.checker.check_model(found, full_check=True)
    assert found.ir_version >= 10
    npt.assert_array_equal(run(found, x)[0], run(model(), x)[0])


def test_each_node_says_where_it_runs_and_what_it_takes() -> None:
    found, cost = made()
    conv, norm, relu, turn, scores, dead = map(entries, found.graph.node)
    layers = {layer.name: layer for layer in cost.layers}

    assert conv["lane"] == norm["lane"] == "mesh"
    assert (conv["tiles"], conv["macs"]) == ("3", str(16 * 3 * 18))
    assert conv["cycles"] == str(layers["conv"].cycles)
    assert float(conv["latency_ns"]) == pytest.approx(1e9 * layers["conv"].latency_s, rel=1e-5)
    assert float(conv["energy_pj"]) == pytest.approx(1e12 * layers["conv"].energy_j, rel=1e-5)
    assert norm == {"lane": "mesh", "part_of": "conv"}
    assert (relu["lane"], relu["operations"]) == ("digital", "48")
    assert "reason" not in relu
    assert turn["operations"] == "0"
    assert "are both computed at run time" in scores["reason"]
    assert scores["what_to_change"].startswith("for two activations")
    assert dead["lane"] == "folded"


def test_the_nodes_share_the_cost_of_the_whole() -> None:
    found, cost = made(mesh=True)
    shares = [float(entries(n)["energy_pj"]) for n in found.graph.node if "energy_pj" in entries(n)]

    transfer = 1e12 * cost.layers[-1].energy_j
    assert math.fsum(shares) + transfer == pytest.approx(1e12 * cost.energy_j, rel=1e-4)
    assert float(entries(found)["energy_pj"]) == pytest.approx(1e12 * cost.energy_j, rel=1e-5)
    assert entries(found)["mac_share_on_mesh"] == "1"
    scores = entries(found.graph.node[4])
    assert scores["lane"] == "mesh"
    assert scores["reprogrammed"].startswith("for each sample, with '")


def test_names_from_the_file_are_escaped() -> None:
    found, _ = made()

    assert entries(found.graph.node[2])["layer"] == "re\\x1b[2Jlu"


def test_annotating_again_replaces_what_was_there() -> None:
    found, cost = made()
    found.graph.node[0].metadata_props.add(key="mine", value="stays")

    again = annotated(inspect(found, SMALL), cost)

    keys = [entry.key for entry in again.graph.node[0].metadata_props]
    assert len(keys) == len(set(keys))
    assert "mine" in keys


def test_without_an_estimate_there_are_lanes_and_counts_only() -> None:
    found = annotated(inspect(model(), SMALL))

    assert entries(found.graph.node[0])["tiles"] == "3"
    assert not any("energy_pj" in entries(node) for node in found.graph.node)


def test_it_is_written_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    found, _ = made()

    save(found, tmp_path / "it.onnx")

    assert onnx.load(tmp_path / "it.onnx") == found
    with pytest.raises(StorageError, match="missing"):
        save(found, tmp_path / "missing" / "it.onnx")
