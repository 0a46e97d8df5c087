"""Every topology through the whole way: from a matrix to outputs under noise, and to costs."""

import warnings

import numpy as np
import numpy.testing as npt
import pytest

from photonpu import Machine, PhotonicMatrix, estimate
from photonpu.errors import PhotonpuWarning
from photonpu.mesh import MESHES

WEIGHT = np.random.default_rng(1).normal(size=(11, 13))
X = np.random.default_rng(2).uniform(-1.0, 1.0, (13, 4))

universal = pytest.mark.parametrize("topology", [m.name for m in MESHES.values() if m.universal])


def machine(topology: str) -> Machine:
    return Machine.preset("mzi64-eo").override({"mesh.ports": 8, "mesh.topology": topology})


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
