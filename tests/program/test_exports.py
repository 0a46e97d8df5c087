"""Exports: what a reader who knows only the file would compute is the tile."""

import csv
import io
import json

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu import PhotonicMatrix
from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.mesh.mzi import splitter
from photonpu.mesh.netlist import models
from photonpu.program import Program
from photonpu.program.exports import FORMATS, export

Complexes = NDArray[np.complex128]
WEIGHT = np.random.default_rng(0).normal(size=(5, 4))


def program(topology: str = "clements", weight: NDArray[np.float64] = WEIGHT) -> Program:
    machine = Machine.preset("ideal").override({"mesh.ports": 6, "mesh.topology": topology})
    return PhotonicMatrix(weight, machine).program


def padded() -> Complexes:
    tile = np.zeros((6, 6), np.complex128)
    tile[:5, :4] = WEIGHT
    return tile


def block(theta: float, phi: float, topology: str) -> Complexes:
    """Multiply out what the file's convention says."""
    half, inner, outer = splitter(np.pi / 4), np.exp(1j * theta), np.exp(1j * phi)
    found = half @ np.diag([inner, 1]) @ half @ np.diag([outer, 1])
    found = -1j * np.exp(-0.5j * theta) * found if topology in PUSH else found
    return np.asarray(found @ half if topology == "clements-3" else found)


PUSH = ("clements-symmetric", "clements-real")


@pytest.mark.parametrize("topology", ["clements", "reck", "clements-3", "diamond", *PUSH])
def test_json_says_enough_to_compute_the_tile(topology: str) -> None:
    told = json.loads(export(program(topology), "json"))
    assert told["topology"] == topology
    assert ("third splitter" in told["convention"]) == (topology == "clements-3")
    assert ("push-pull" in told["convention"]) == (topology in PUSH)
    assert ("There is no phi" in told["convention"]) == (topology == "clements-real")
    (tile,) = told["tiles"]
    places = list(zip(told["layout"]["row"], told["layout"]["partner"], strict=True))
    meshes = []
    for part in ("vh", "u"):
        field = np.eye(max(6, 1 + max(map(max, places))), dtype=np.complex128)
        phases = zip(tile[part]["theta"], tile[part]["phi"], strict=True)
        for (row, partner), (theta, phi) in zip(places, phases, strict=True):
            arms = [row, partner]
            field[arms] = block(theta, phi, topology) @ field[arms]
        meshes.append(np.diag(np.exp(1j * np.array(tile[part]["psi"]))) @ field[:6, :6])
    amplitudes = np.diag(np.sin(np.array(tile["attenuator"]) / 2))
    npt.assert_allclose(tile["scale"] * meshes[1] @ amplitudes @ meshes[0], padded(), atol=1e-12)


def test_csv_has_a_line_for_each_shifter_and_its_convention() -> None:
    text = export(program(), "csv")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert any(line.startswith("# convention: T = S(pi/4)") for line in text.splitlines())
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    parts = [row["part"] for row in rows]
    counts = {name: parts.count(name) for name in sorted(set(parts))}
    assert counts == {"attenuator": 6, "u": 15, "u-psi": 6, "vh": 15, "vh-psi": 6}
    bank = program().tiles
    assert [float(row["theta"]) for row in rows if row["part"] == "u"] == list(bank.theta[0, 1])


def test_netlists_of_both_meshes_are_in_the_sax_file() -> None:
    told = json.loads(export(program(), "sax"))
    assert len(told["attenuation"]) == 6
    for part in ("vh", "u"):
        used = {item["component"] for item in told[part]["instances"].values()}
        assert used <= set(models(np))
        assert len(told[part]["instances"]) == 15 + 6


@pytest.mark.parametrize(
    ("form", "pair", "single", "loss"),
    [
        ("strawberryfields", "MZgate", "Rgate", "LossChannel"),
        ("perceval", "mzi phase first", "PS", "LC"),
    ],
)
def test_lists_of_gates_multiply_to_the_tile(form: str, pair: str, single: str, loss: str) -> None:
    told = json.loads(export(program(), form))
    field = np.eye(6, dtype=np.complex128)
    for gate in told["gates"]:
        modes, values = gate["modes"], gate["parameters"]
        if gate["gate"] == pair:
            inner, outer = values if form == "strawberryfields" else values[::-1]
            field[modes] = block(inner, outer, "clements") @ field[modes]
        elif gate["gate"] == single:
            field[modes] *= np.exp(1j * values[0])
        else:
            assert gate["gate"] == loss
            kept = values[0] if form == "strawberryfields" else 1.0 - values[0]
            field[modes] *= np.sqrt(max(kept, 0.0))
    npt.assert_allclose(told["scale"] * field, padded(), atol=1e-7)


@pytest.mark.parametrize("form", ["sax", "perceval", "strawberryfields"])
def test_a_format_of_one_tile_refuses_more(form: str) -> None:
    many = program(weight=np.ones((6, 20)))
    with pytest.raises(InputError, match=f"format '{form}' takes one tile, not 4: choose it by"):
        export(many, form)
    assert export(many, form, [3])


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="tile 1: the program has 1, counted from 0"):
        export(program(), "json", [1])
    with pytest.raises(InputError, match=f"format 'xml': there are {', '.join(FORMATS)}"):
        export(program(), "xml")
