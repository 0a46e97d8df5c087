"""Thermal crosstalk: how far heat reaches, and where the heaters are."""

import numpy as np
import numpy.testing as npt
import pytest

from photonpu import mesh
from photonpu.mesh.crosstalk import couplings, floor_plan, kappa, mesh_couplings


@pytest.mark.parametrize(
    ("distance_um", "expected", "digit"),
    [
        # The published fit, in the digits that it is quoted with.
        (10.0, 0.101, 1e-3),
        (15.0, 0.039, 1e-3),
        (20.0, 0.0156, 1e-4),
        (25.0, 0.009, 1e-3),
        (30.0, 4.7e-3, 1e-4),
        (40.0, 1.3e-3, 1e-4),
        (50.0, 3.7e-4, 1e-5),
        (100.0, 6e-7, 1e-7),
    ],
)
def test_kappa_is_the_published_fit(distance_um: float, expected: float, digit: float) -> None:
    npt.assert_allclose(kappa(distance_um), expected, atol=digit / 2)


@pytest.mark.parametrize(
    ("distance_um", "measured"), [(8.0, 0.168), (10.0, 0.100), (12.0, 0.067), (18.0, 0.023)]
)
def test_kappa_is_near_the_table_of_the_same_device(distance_um: float, measured: float) -> None:
    # The fit is not the table: it is within a tenth of it.
    npt.assert_allclose(kappa(distance_um), measured, rtol=0.15)


def test_kappa_is_one_at_the_heater_itself_and_falls_from_there() -> None:
    # The two pieces of the fit do not meet: there is a small step at 23 um.
    for values in (kappa(np.linspace(0.0, 21.0, 400)), kappa(np.linspace(23.0, 200.0, 400))):
        assert (values > 0.0).all()
        assert (np.diff(values) < 0.0).all()
    assert kappa(0.0) == 1.0


@pytest.mark.parametrize("topology", list(mesh.MESHES))
def test_no_two_shifters_of_a_floor_plan_share_a_place(topology: str) -> None:
    places = floor_plan(topology, 8, 180.0, 100.0)
    assert places.shape == (2 * mesh.MESHES[topology].layout(8).mzis + 8, 2)
    assert len(np.unique(places, axis=0)) == len(places)


def test_the_floor_plan_of_three_ports_is_the_drawn_one() -> None:
    # Interferometers at (column, row) (0, 0), (1, 1), (2, 0), each 40 um long and 10 um wide.
    npt.assert_array_equal(
        floor_plan("clements", 3, 40.0, 10.0),
        [
            *([30.0, 0.0], [70.0, 10.0], [110.0, 0.0]),
            *([10.0, 0.0], [50.0, 10.0], [90.0, 0.0]),
            *([130.0, 0.0], [130.0, 10.0], [130.0, 20.0]),
        ],
    )


def test_couplings_are_kappa_between_all_pairs_but_the_negligible() -> None:
    places = np.random.default_rng(0).uniform(0.0, 150.0, (40, 2))
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    expected = np.where(kappa(distance) >= 1e-6, kappa(distance), 0.0)
    np.fill_diagonal(expected, 0.0)
    found = np.zeros((40, 40))
    sparse = couplings(places)
    for i, (start, stop) in enumerate(zip(sparse.first, sparse.first[1:], strict=False)):
        found[i, sparse.neighbour[start:stop]] = sparse.strength[start:stop]
    npt.assert_allclose(found, expected, rtol=1e-12)


def test_shifters_out_of_reach_have_no_neighbours() -> None:
    sparse = mesh_couplings("clements", 4, 5000.0, 500.0)
    npt.assert_array_equal(sparse.first, np.zeros(2 * 6 + 4 + 1))
