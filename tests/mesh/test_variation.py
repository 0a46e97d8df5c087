"""Errors that neighbours have in common: their law, their region, and what they leave alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.testing as npt
import pytest

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.mesh import variation

MACHINE = Machine.preset("mzi64-eo").override(
    {"mesh.ports": 8, "cores": 2, "mesh.mzi_length_um": 100.0, "mesh.mzi_width_um": 40.0}
)
NAMES = SOURCES["splitter"] + SOURCES["phase"]


def test_the_floor_plan_of_two_ports_and_two_cores_is_drawn_by_hand() -> None:
    machine = MACHINE.override({"mesh.ports": 2})

    where = variation.places(machine)

    # A mesh is one interferometer: splitters at 12.5, 50, 100 um, phi, theta, psi at 25, 75, 125.
    # The attenuators' column begins at 200 um, the second mesh at 300; a core is 80 um wide.
    npt.assert_array_equal(where["splitter_in"][:, :, 0, 0], [[50, 350], [50, 350]])
    npt.assert_array_equal(where["splitter_out"][:, :, 0, 0], [[100, 400], [100, 400]])
    npt.assert_array_equal(where["splitter_third"][:, :, 0, 0], [[12.5, 312.5], [12.5, 312.5]])
    npt.assert_array_equal(where["phi_error"][0, :, 0], [[25, 0], [325, 0]])
    npt.assert_array_equal(where["theta_error"][1, :, 0], [[75, 80], [375, 80]])
    npt.assert_array_equal(where["psi_error"][1, 1], [[425, 80], [425, 120]])
    npt.assert_array_equal(where["attenuator_splitter_in"][1], [[250, 80], [250, 120]])
    npt.assert_array_equal(where["attenuator_error"][0], [[275, 0], [275, 40]])


@pytest.mark.parametrize("topology", list(mesh.MESHES))
def test_every_splitter_and_phase_of_any_mesh_has_its_own_place(topology: str) -> None:
    machine = MACHINE.override({"mesh.topology": topology})
    chip = Chip.draw(machine, 0)

    where = variation.places(machine)

    assert set(where) == set(NAMES)
    for name, place in where.items():
        assert place.shape == (*getattr(chip, name).shape, 2)
        assert len(np.unique(place.reshape(-1, 2), axis=0)) == place.size // 2


def test_alike_errors_have_the_correlation_of_their_distance_and_keep_their_deviation() -> None:
    machine = MACHINE.override(
        {"mesh.correlation_um": 300.0, "mesh.splitter_error_rad": 0.05, "phase.error_rad": 0.01}
    )
    chips = 1500
    drawn = [variation.correlated(Chip.draw(machine, seed), machine) for seed in range(chips)]
    where = variation.places(machine)
    first = np.s_[0, 0, 0]
    for name, other, sigma, places in (
        ("splitter_in", "splitter_out", 0.05, [(0, 0, 0), (0, 0, 3), (0, 0, 27), (1, 0, 0)]),
        ("theta_error", "phi_error", 0.01, [(0, 0, 0), (0, 0, 5), (0, 1, 0), (1, 1, 9)]),
    ):
        one = np.array([getattr(chip, name)[first] for chip in drawn])
        assert abs(one.mean()) < 3 * sigma / math.sqrt(chips)
        assert abs(one.var() / sigma**2 - 1) < 3 * math.sqrt(2 / chips)
        for place in places:
            two = np.array([getattr(chip, other)[place] for chip in drawn])
            law = math.exp(-math.dist(where[name][first], where[other][place]) / 300.0)
            found = (one * two).mean() / sigma**2
            # The product of two normal numbers of this correlation has the variance 1 + law^2.
            assert abs(found - law) < 3 * math.sqrt((1 + law**2) / chips)
        between = np.array([chip.attenuator_error[0, 0] for chip in drawn])
        if name == "splitter_in":
            assert abs(np.corrcoef(one, between)[0, 1]) < 4 / math.sqrt(chips)


def test_one_chip_far_longer_than_the_correlation_follows_the_law_within_itself() -> None:
    machine = MACHINE.override(
        {"mesh.ports": 64, "cores": 4, "mesh.mzi_length_um": 500.0, "mesh.correlation_um": 400.0}
    )
    errors = variation.correlated(Chip.draw(machine, 3), machine).splitter_in
    where = variation.places(machine)["splitter_in"]

    # Clements: every second interferometer of a column, 80 um apart; columns are 500 um apart.
    assert errors.std() == pytest.approx(0.02, rel=0.1)
    for shift, law in ((1, math.exp(-80 / 400)), (5, math.exp(-400 / 400))):
        left, right = errors[..., :-shift], errors[..., shift:]
        apart = np.hypot(*np.moveaxis(where[..., shift:, :] - where[..., :-shift, :], -1, 0))
        alike = np.abs(apart - 80 * shift) < 1
        found = (left * right)[alike].mean() / (errors**2).mean()
        assert found == pytest.approx(law, abs=0.12)


def test_without_a_length_or_a_seed_nothing_is_made_alike() -> None:
    machine = MACHINE.override({"mesh.correlation_um": 300.0})
    chip = Chip.draw(machine, 1)
    measured = Chip("measured", None, **chip.arrays)

    assert variation.correlated(chip, MACHINE) is chip
    assert variation.correlated(measured, machine) is measured
    assert variation.varied(chip, MACHINE) is chip
    assert variation.varied(measured, machine) is measured


@pytest.mark.parametrize("topology", ["clements", "clements-real"])
def test_what_a_mesh_does_not_have_gets_no_error(topology: str) -> None:
    machine = MACHINE.override(
        {
            "mesh.topology": topology,
            "mesh.correlation_um": 300.0,
            "mesh.region_factor": 2.0,
            "mesh.region_radius_um": 1e6,
        }
    )
    plain = Chip.draw(machine, 1)

    chip = variation.varied(plain, machine)

    assert not chip.splitter_third.any()
    for name in NAMES:
        assert getattr(chip, name).any() == getattr(plain, name).any()
    npt.assert_array_equal(chip.mzi_loss_db, plain.mzi_loss_db)


REGION: dict[str, object] = {
    "mesh.ports": 64,
    "mesh.region_factor": 3.0,
    "mesh.region_radius_um": 1000.0,
    "mesh.region_x_um": 2000.0,
    "mesh.region_y_um": 1500.0,
}


def test_errors_in_a_region_are_as_many_times_as_large() -> None:
    machine = MACHINE.override(REGION)
    plain = [Chip.draw(machine, seed) for seed in range(20)]

    chips = [variation.varied(chip, machine) for chip in plain]

    where = variation.places(machine)
    for name, sigma in (("splitter_in", 0.02), ("phi_error", 0.002)):
        x, y = np.moveaxis(where[name], -1, 0)
        inside = np.hypot(x - 2000.0, y - 1500.0) <= 1000.0
        here = np.concatenate([getattr(chip, name)[inside] for chip in chips])
        assert here.size > 3000
        assert abs(here.mean()) < 3 * 3 * sigma / math.sqrt(here.size)
        assert abs(here.var() / (3 * sigma) ** 2 - 1) < 3 * math.sqrt(2 / here.size)
        for chip, before in zip(chips, plain, strict=True):
            npt.assert_array_equal(getattr(chip, name)[~inside], getattr(before, name)[~inside])


def test_where_no_centre_is_given_each_chip_has_its_own_anywhere() -> None:
    machine = MACHINE.override(
        REGION | {"mesh.region_x_um": "none", "mesh.region_y_um": "none", "cores": 1}
    )
    x, y = np.moveaxis(variation.places(machine)["theta_error"], -1, 0)
    centres = []
    for seed in range(200):
        found = variation.regional(machine, Chip.draw(machine, seed))["theta_error"] != 0.0
        assert 0 < found.sum() < found.size / 2
        centres.append((x[found].mean(), y[found].mean()))

    # A disc of 1 mm on 13 mm x 2.5 mm is cut at the edges: only along the light, in the middle.
    along = np.array(centres)[:, 0]
    assert along.mean() == pytest.approx(x.max() / 2, abs=4 * x.max() / math.sqrt(12 * 200))
    assert along.std() == pytest.approx(x.max() / math.sqrt(12), rel=0.15)


@pytest.mark.parametrize(
    "off", [{"mesh.region_factor": 1.0}, {"mesh.region_radius_um": 0.0}], ids=["factor", "radius"]
)
def test_a_region_of_no_size_or_no_more_error_is_none(off: dict[str, object]) -> None:
    machine = MACHINE.override(REGION | off)

    assert variation.regional(machine, Chip.draw(machine, 0)) == {}


def test_neighbouring_chips_have_nothing_in_common() -> None:
    machine = MACHINE.override(REGION | {"mesh.region_radius_um": 1e6, "mesh.correlation_um": 50.0})

    one, two = (variation.varied(Chip.draw(machine, seed), machine) for seed in (4, 5))

    for name in ("splitter_out", "theta_error"):
        pair = getattr(one, name).ravel(), getattr(two, name).ravel()
        # 256 waves carry the smooth part.
        assert abs(np.corrcoef(*pair)[0, 1]) < 4 / math.sqrt(256)
    again = variation.varied(Chip.draw(machine, 4), machine)
    assert again.digest == one.digest != two.digest
