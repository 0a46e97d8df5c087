"""A matrix as blocks: every number lands once, in as few tiles as can be."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from photonpu.program.cutting import Block, blocks, cut

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(2, 6))


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
    npt.assert_array_equal(whole, linalg.block_diag(*weight))


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
