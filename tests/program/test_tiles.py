"""A matrix as tiles: every number lands once, and the phases give it back."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.program.tiles import Block, bank, bank_all, blocks, cut, singular_values
from photonpu.program.values import TileBank

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(2, 6))


def block_diagonal(weight: np.ndarray) -> np.ndarray:
    """Write a (G, R, C) block-diagonal matrix out."""
    groups, rows, columns = weight.shape
    whole = np.zeros((groups * rows, groups * columns))
    for g in range(groups):
        whole[g * rows : (g + 1) * rows, g * columns : (g + 1) * columns] = weight[g]
    return whole


@given(SIZES, st.integers(0, 2**32 - 1))
def test_tiles_laid_in_their_places_are_the_matrix(
    size: tuple[int, int, int, int], seed: int
) -> None:
    groups, rows, columns, ports = size
    weight = np.random.default_rng(seed).standard_normal((groups, rows, columns))

    places, tiles = cut(weight, ports)

    whole = np.zeros((groups * rows, groups * columns))
    for place, tile in zip(places, tiles, strict=True):
        inside = tile[: place.rows, : place.columns]
        whole[place.row : place.row + place.rows, place.column : place.column + place.columns] += (
            inside
        )
        assert np.count_nonzero(tile) == np.count_nonzero(inside)
    npt.assert_array_equal(whole, block_diagonal(weight))


def test_depthwise_filters_share_tiles() -> None:
    # Nine inputs and one output a channel: 64 channels have 576 inputs, which are 9 times 64. The
    # eighth channel is the sum of two tiles; whole channels, seven a tile, would take ten.
    places = blocks(groups=64, rows=1, columns=9, ports=64)
    assert len(places) == 9
    assert places[:2] == (Block(0, 0, 8, 64), Block(7, 64, 8, 64))


def test_groups_that_fit_tiles_as_a_whole_are_not_split() -> None:
    # Sixteen outputs and four inputs a group: four groups fill the 64 outputs of a tile.
    places = blocks(groups=8, rows=16, columns=4, ports=64)
    assert places == (Block(0, 0, 64, 16), Block(64, 16, 64, 16))


def test_groups_wider_than_a_tile_share_what_is_left_of_their_last() -> None:
    # 64 groups of 1 x 65: 4,160 inputs in 65 tiles; a tile and its rest for each would be 128.
    assert len(blocks(groups=64, rows=1, columns=65, ports=64)) == 65


def test_a_stack_of_matrices_is_packed_like_groups() -> None:
    # Eight heads of 8 x 8 on 64 ports: one tile.
    assert blocks(groups=8, rows=8, columns=8, ports=64) == (Block(0, 0, 64, 64),)


@given(SIZES)
def test_tiles_that_begin_at_one_column_are_equally_wide(size: tuple[int, int, int, int]) -> None:
    widths: dict[int, set[int]] = {}
    for place in blocks(*size):
        widths.setdefault(place.column, set()).add(place.columns)
    assert all(len(found) == 1 for found in widths.values())


def test_a_dense_matrix_is_cut_into_the_least_number_of_tiles() -> None:
    # 100 x 130 on 64 ports: 2 x 3.
    assert len(blocks(groups=1, rows=100, columns=130, ports=64)) == 6


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
