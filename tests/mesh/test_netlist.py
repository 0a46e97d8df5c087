"""Netlists: every waveguide connected once, and the matrix that a circuit simulator finds."""

from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.errors import InputError
from photonpu.mesh import MESHES
from photonpu.mesh.netlist import models, netlist

Complexes = NDArray[np.complex128]

every_mesh = pytest.mark.parametrize("topology", list(MESHES))


def drawn(topology: str) -> tuple[mesh.Phases, dict[str, Any]]:
    """Return phases of two meshes of 8 ports, with errors and losses."""
    unitaries = mesh.haar(8, 2, seed=1)
    if MESHES[topology].real:
        unitaries = np.linalg.qr(unitaries.real)[0]
    phases = mesh.decompose(unitaries, topology)
    rng = np.random.default_rng(0)
    errors = {name: rng.normal(0.0, 0.05, phases.theta.shape) for name in ("alpha", "beta")}
    errors["gamma"] = rng.normal(0.0, 0.05, phases.theta.shape)
    errors["loss_db"] = rng.uniform(0.0, 0.5, phases.theta.shape)
    errors["imbalance_db"] = rng.normal(0.0, 0.2, phases.theta.shape)
    return phases, errors


def solve(net: dict[str, dict[str, Any]], ports: int) -> Complexes:
    """Return the matrix of a netlist by the sparse linear equations of all its ports."""
    functions = models(np)
    wires: dict[str, int] = {}
    rows: list[tuple[str, str, complex]] = []
    source = {target: end for end, target in net["connections"].items()}
    for name, instance in net["instances"].items():
        found = functions[instance["component"]](**instance["settings"])
        for (into, out), value in found.items():
            if into.startswith("in"):
                entry = f"{name},{into}"
                rows.append((f"{name},{out}", source.get(entry, entry), value))
                wires.setdefault(f"{name},{out}", len(wires))
                wires.setdefault(source.get(entry, entry), len(wires))
    system = np.eye(len(wires), dtype=np.complex128)
    for out, into, value in rows:
        system[wires[out], wires[into]] -= value
    inverse = np.linalg.inv(system)
    outputs = [wires[net["ports"][f"out{n}"]] for n in range(ports)]
    inputs = [wires[net["ports"][f"in{n}"]] for n in range(ports)]
    return np.asarray(inverse[np.ix_(outputs, inputs)])


@every_mesh
def test_a_netlist_is_the_matrix_of_its_mesh_with_errors_and_losses(topology: str) -> None:
    phases, errors = drawn(topology)
    net = netlist(phases, topology, tile=1, **errors)
    npt.assert_allclose(solve(net, 8), mesh.matrix(phases, topology, **errors)[1], atol=1e-13)


@every_mesh
def test_every_port_of_a_netlist_is_used_once(topology: str) -> None:
    net = netlist(drawn(topology)[0], topology)
    ends = [*net["connections"], *net["connections"].values(), *net["ports"].values()]
    assert len(ends) == len(set(ends))
    assert {end.split(",")[0] for end in ends} == set(net["instances"])
    assert set(net["ports"]) == {f"{side}{n}" for side in ("in", "out") for n in range(8)}


def test_a_mesh_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="tile=2: there are 2, counted from 0"):
        netlist(drawn("clements")[0], tile=2)


@every_mesh
def test_sax_itself_finds_the_matrix(topology: str) -> None:
    jax = pytest.importorskip("jax")
    sax = pytest.importorskip("sax")
    jax.config.update("jax_enable_x64", True)
    phases, errors = drawn(topology)
    net = netlist(phases, topology, **errors)
    circuit, _ = sax.circuit(netlist=net, models=models(jax.numpy))
    found = circuit()
    matrix = [[complex(found[f"in{j}", f"out{i}"]) for j in range(8)] for i in range(8)]
    npt.assert_allclose(matrix, mesh.matrix(phases, topology, **errors)[0], atol=1e-9)
