"""Decibels and photons."""

from __future__ import annotations

import math

import pytest

from photonpu import units


@pytest.mark.parametrize(
    ("loss_db", "share"), [(0.0, 1.0), (10.0, 0.1), (20.0, 0.01), (3.0103, 0.5)]
)
def test_a_loss_in_decibels_is_a_share_of_the_power(loss_db: float, share: float) -> None:
    assert units.db_to_power(loss_db) == pytest.approx(share, rel=1e-6)
    assert units.power_to_db(share) == pytest.approx(loss_db, abs=1e-5)


def test_the_field_falls_by_the_square_root_of_the_power() -> None:
    assert units.db_to_field(0.99) == pytest.approx(math.sqrt(units.db_to_power(0.99)))


@pytest.mark.parametrize(("dbm", "watts"), [(0.0, 1e-3), (30.0, 1.0), (-25.0, 3.1623e-6)])
def test_dbm_counts_from_one_milliwatt(dbm: float, watts: float) -> None:
    assert units.dbm_to_w(dbm) == pytest.approx(watts, rel=1e-4)


def test_a_photon_at_1550_nm_has_an_energy_of_0_8_electron_volt() -> None:
    energy = units.photon_energy_j(1550.0)

    assert energy == pytest.approx(1.2816e-19, rel=1e-4)
    assert energy / units.ELECTRON_C == pytest.approx(0.8, rel=1e-3)
