"""Tiles that become phases, which give them back."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.program.cutting import cut
from photonpu.program.tiles import bank, bank_all, singular_values
from photonpu.program.values import TileBank


@given(st.integers(2, 7), st.integers(1, 3), st.sampled_from(["clements", "reck"]))
def test_phases_give_the_tiles_back(ports: int, cores: int, topology: str) -> None:
    rng = np.random.default_rng(ports)
    places, tiles = cut(rng.standard_normal((1, 2 * ports + 1, ports + 1)), ports)
    machine = Machine.preset("ideal").override(
        {"mesh.ports": ports, "mesh.topology": topology, "cores": cores}
    )

    phases = bank(places, tiles, topology, cores)

    field = mesh.tile_matrices(
        phases.theta,
        phases.phi,
        phases.psi,
        phases.attenuator,
        phases.core,
        Chip.ideal(machine),
        machine,
        sources=frozenset(),
    )
    npt.assert_allclose(phases.scale[:, None, None] * field, tiles, atol=1e-11)


def test_a_tile_of_zeros_has_scale_zero_and_finite_phases() -> None:
    phases = bank(*cut(np.zeros((1, 4, 4)), 4), "clements", 1)

    npt.assert_array_equal(phases.scale, [0.0])
    assert all(np.isfinite(getattr(phases, name)).all() for name in ("theta", "phi", "attenuator"))
    npt.assert_array_equal(phases.adc_range, [1.0])


def test_tiles_take_turns_on_the_cores() -> None:
    phases = bank(*cut(np.ones((1, 10, 2)), 2), "clements", 2)

    npt.assert_array_equal(phases.core, [0, 1, 0, 1, 0])
    npt.assert_array_equal(phases.turn, [0, 0, 1, 1, 2])


def test_the_adc_of_a_tile_holds_the_largest_output_that_full_scale_inputs_can_give() -> None:
    # Rows (3, 4) and (0, 1): at |x| <= 1 the largest output is 7.
    phases = bank(*cut(np.array([[[3.0, 4.0], [0.0, 1.0]]]), 2), "clements", 1)

    npt.assert_allclose(phases.adc_range * phases.scale, [7.0])


def test_the_tiles_of_several_streams_are_those_of_each_one_behind_the_other() -> None:
    rng = np.random.default_rng(4)
    streams = [cut(rng.standard_normal((1, 5, size)), 2) for size in (2, 3)]

    both = bank_all(streams, 2, "clements", 2)

    one, two = (bank(*stream, "clements", 2) for stream in streams)
    for name in TileBank.__dataclass_fields__:
        expected = np.concatenate([getattr(one, name), getattr(two, name)])
        npt.assert_array_equal(getattr(both, name), expected)


def test_no_streams_make_a_bank_of_no_tiles() -> None:
    none = bank_all([], 4, "clements", 1)

    assert len(none) == 0
    assert none.theta.shape == (0, 2, 6)
    assert none.core.dtype == np.int32


@pytest.mark.parametrize("ports", [3, 130])
def test_lapack_factors_what_the_iteration_does_not(
    ports: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = np.random.default_rng(0).standard_normal((3, ports, ports))

    ours = mesh.factor

    def one_without_end(tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        factors, values, _ = ours(tiles)
        factors[1] = np.nan
        return factors, values, np.array([True, False, True])

    monkeypatch.setattr(mesh, "factor", one_without_end)
    factors, values = singular_values(tiles)

    npt.assert_allclose(factors[:, 1] * values[:, None, :] @ factors[:, 0], tiles, atol=1e-12)
