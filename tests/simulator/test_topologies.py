"""Every topology through the whole way: from a matrix to outputs under noise, and to costs."""

import warnings
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu import Machine, PhotonicMatrix, estimate
from photonpu.errors import PhotonpuWarning
from photonpu.mesh import MESHES

WEIGHT = np.random.default_rng(1).normal(size=(11, 13))
X = np.random.default_rng(2).uniform(-1.0, 1.0, (13, 4))

universal = pytest.mark.parametrize("topology", [m.name for m in MESHES.values() if m.universal])


def machine(topology: str) -> Machine:
    return Machine.preset("mzi64-eo").override({"mesh.ports": 8, "mesh.topology": topology})


def small_network() -> onnx.ModelProto:
    """Return MatMul, Relu, MatMul."""
    rng = np.random.default_rng(0)
    weights = {"w1": rng.normal(size=(13, 9)), "w2": rng.normal(size=(9, 5))}
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("MatMul", ["r", "w2"], ["y"], "second"),
    ]
    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.FLOAT, ["batch", 13])]
    outputs = [value("y", TensorProto.FLOAT, ["batch", 5])]
    held = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@universal
def test_a_universal_mesh_multiplies_exactly_and_nearly_so_under_noise(topology: str) -> None:
    exact = PhotonicMatrix(WEIGHT, machine(topology)) @ X
    npt.assert_allclose(exact, WEIGHT @ X, atol=1e-5)
    noisy = PhotonicMatrix(WEIGHT, machine(topology), noise="full", chip=1) @ X
    error = np.linalg.norm(noisy - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < 0.3


@universal
def test_a_deeper_mesh_asks_for_more_laser_and_takes_longer_to_cross(topology: str) -> None:
    def cost(name: str) -> tuple[float, float]:
        found = estimate(PhotonicMatrix(WEIGHT, machine(name)).program)
        return found.energy_j, found.area_mm2

    energy, area = cost(topology)
    flat_energy, flat_area = cost("clements")
    deeper = MESHES[topology].counts(8).path_max > MESHES["clements"].counts(8).path_max
    larger = MESHES[topology].counts(8).mzis > MESHES["clements"].counts(8).mzis
    assert (energy > flat_energy) == deeper
    assert (area > flat_area) == larger


@pytest.mark.parametrize("topology", ["clements-symmetric", "clements-real"])
def test_a_network_runs_on_push_pull_meshes_and_its_file_gives_the_same_bits(
    topology: str, tmp_path: Path
) -> None:
    model = small_network()
    x = np.random.default_rng(3).uniform(-1.0, 1.0, (2, 13)).astype(np.float32)
    program = photonpu.compile(model, machine(topology), calibration=x)
    w1, w2 = map(numpy_helper.to_array, model.graph.initializer)
    expected = np.maximum(x @ w1, 0.0) @ w2

    (ideal,) = photonpu.Session(program, noise="ideal").run(None, {"x": x})
    npt.assert_allclose(ideal, expected, atol=1e-6 * np.abs(expected).max())

    program.save(tmp_path / "p.ppu")
    loaded = photonpu.Program.load(tmp_path / "p.ppu")
    noisy, again = (photonpu.Session(p, chip=1).run(None, {"x": x})[0] for p in (program, loaded))
    npt.assert_array_equal(noisy, again)
    assert 0.0 < np.linalg.norm(noisy - expected) < 0.3 * np.linalg.norm(expected)


def test_the_signs_of_a_real_tile_all_move_to_its_outputs() -> None:
    program = PhotonicMatrix(WEIGHT, machine("clements-real")).program
    assert not program.tiles.phi.any()
    assert not program.tiles.psi[:, 0].any()
    assert set(np.unique(program.tiles.psi[:, 1])) == {0.0, np.pi}


def test_a_mesh_of_real_matrices_costs_half_the_programming_and_less_area() -> None:
    both, real = (
        estimate(PhotonicMatrix(WEIGHT, machine(topology)).program)
        for topology in ("clements", "clements-real")
    )
    # 8 ports: 2 x 28 thetas and 8 attenuators, instead of 2 x (28 x 2 + 8) and 8.
    share = (2 * 28 + 8) / (2 * 64 + 8)
    energies = [found.energy_by_component.programming_j for found in (real, both)]
    areas = [found.area_by_component.drivers_mm2 for found in (real, both)]
    assert energies[0] / energies[1] == pytest.approx(share)
    assert areas[0] / areas[1] == pytest.approx(share)


def test_a_butterfly_says_how_far_its_tiles_are_off() -> None:
    with pytest.warns(PhotonpuWarning, match="'butterfly' is not universal: .* relative error of"):
        found = PhotonicMatrix(WEIGHT, machine("butterfly")) @ X
    assert np.isfinite(found).all()


def test_a_butterfly_of_what_it_can_do_is_exact_and_says_so() -> None:
    # Two waveguides are all of a butterfly's pairs: it is universal there.
    small = machine("butterfly").override({"mesh.ports": 2})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = PhotonicMatrix(WEIGHT, small) @ X
    error = float(str(told[0].message).split("error of ")[1].split(";")[0])
    assert error < 1e-12
    npt.assert_allclose(found, WEIGHT @ X, atol=1e-5)
