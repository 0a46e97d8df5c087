"""A matrix as tiles: blocks of the mesh's size, their singular values, their phases."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from photonpu import mesh
from photonpu.hardware import Machine
from photonpu.program.values import Floats, Ints, TileBank

_SVD_THREADS = 2
_SVD_CHUNK = 32
_PHASE_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of a matrix that one tile multiplies by."""

    row: int
    column: int
    rows: int
    columns: int


def blocks(groups: int, rows: int, columns: int, ports: int) -> tuple[Block, ...]:
    """Cut a block-diagonal matrix into rectangles of at most ``ports x ports``.

    Parameters
    ----------
    groups
        Blocks on the diagonal; 1 for a dense matrix.
    rows, columns
        Size of one block of the diagonal.
    ports
        Size of a tile.

    Returns
    -------
    tuple of Block
        Column of blocks by column of blocks. As many whole groups as fit share a tile, which
        is what makes depthwise convolutions affordable.
    """
    packed = max(1, min(groups, ports // rows, ports // columns))
    found = []
    for first in range(0, groups, packed):
        count = min(packed, groups - first)
        top, left = first * rows, first * columns
        for column, width in _spans(count * columns, ports):
            for row, height in _spans(count * rows, ports):
                found.append(Block(top + row, left + column, height, width))
    return tuple(found)


def _spans(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of the pieces of at most `size` that make up `length`."""
    for start in range(0, length, size):
        yield start, min(size, length - start)


def cut(weight: NDArray[np.floating], ports: int) -> tuple[tuple[Block, ...], Floats]:
    """Cut a matrix into zero-padded tiles.

    Parameters
    ----------
    weight
        (G, R, C): G blocks on a diagonal, R rows and C columns each.
    ports
        N, size of a tile.

    Returns
    -------
    tuple of Block, ndarray
        T places, and the (T, N, N) matrices that go there.
    """
    groups, rows, columns = weight.shape
    places = blocks(groups, rows, columns, ports)
    tiles = np.zeros((len(places), ports, ports))
    for tile, place in zip(tiles, places, strict=True):
        for group in range(place.row // rows, -(-(place.row + place.rows) // rows)):
            _copy_group(weight[group], group * rows, group * columns, place, tile)
    return places, tiles


def _copy_group(
    block: NDArray[np.floating], top: int, left: int, place: Block, tile: Floats
) -> None:
    """Copy into `tile` what `place` holds of the diagonal block that begins at (top, left)."""
    row = max(place.row, top)
    row_end = min(place.row + place.rows, top + block.shape[0])
    column = max(place.column, left)
    column_end = min(place.column + place.columns, left + block.shape[1])
    if row < row_end and column < column_end:
        tile[
            row - place.row : row_end - place.row,
            column - place.column : column_end - place.column,
        ] = block[row - top : row_end - top, column - left : column_end - left]


def one_blas_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread, so that the last bits of its sums do not depend on their number."""
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@functools.cache
def _libraries() -> ThreadpoolController:
    """Find the BLAS libraries that are loaded, once: SciPy's, which Numba calls, among them."""
    import scipy.linalg.cython_blas  # noqa: F401

    return ThreadpoolController()


def singular_values(tiles: Floats) -> tuple[Floats, Floats, Floats]:
    """Factor each tile as ``U diag(s) V^H``, on two threads, with bits that do not depend on it.

    Parameters
    ----------
    tiles
        (T, N, N).

    Returns
    -------
    u, s, vh
        (T, N, N), (T, N) descending, (T, N, N).
    """
    starts = range(0, len(tiles), _SVD_CHUNK)
    with one_blas_thread(), ThreadPoolExecutor(_SVD_THREADS) as pool:
        parts = list(pool.map(lambda i: np.linalg.svd(tiles[i : i + _SVD_CHUNK]), starts))
    u, s, vh = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return u, s, vh


def bank(places: tuple[Block, ...], tiles: Floats, topology: str, cores: int) -> TileBank:
    """Turn tiles into phases (Miller, Photonics Research 1, 1, 2013: mesh, attenuators, mesh).

    Tiles go to the cores in turn and stay there while all vectors of their stream pass
    (weight-stationary).

    Parameters
    ----------
    places
        T blocks of the matrix.
    tiles
        (T, N, N) their zero-padded numbers.
    topology
        Name in `photonpu.mesh.MESHES`.
    cores
        Number of cores.

    Returns
    -------
    TileBank
        With ADCs that no output can overrun as long as inputs stay within their range;
        calibration narrows them.
    """
    u, s, vh = singular_values(tiles)
    scale = s[:, 0].copy()
    relative = np.divide(s, scale[:, None], out=np.zeros_like(s), where=scale[:, None] > 0)
    left, right = mesh.decompose(u, topology), mesh.decompose(vh, topology)
    largest = np.abs(tiles).sum(axis=2).max(axis=1)
    order = np.arange(len(places), dtype=np.int32)
    return TileBank(
        theta=np.stack([right.theta, left.theta], axis=1),
        phi=np.stack([right.phi, left.phi], axis=1),
        psi=np.stack([right.psi, left.psi], axis=1),
        attenuator=2 * np.arcsin(np.clip(relative, 0.0, 1.0)),
        scale=scale,
        row=_ints(place.row for place in places),
        column=_ints(place.column for place in places),
        rows=_ints(place.rows for place in places),
        columns=_ints(place.columns for place in places),
        core=order % np.int32(cores),
        turn=order // np.int32(cores),
        adc_range=np.divide(largest, scale, out=np.ones_like(scale), where=scale > 0),
    )


def _ints(numbers: Iterator[int]) -> Ints:
    """Collect whole numbers as int32."""
    return np.fromiter(numbers, np.int32)


def held_phases(tiles: TileBank) -> Floats:
    """Return the sum of the wrapped phases of each tile, (T,), in units of pi.

    A heater's power grows with its phase, which it holds modulo 2 pi.
    """
    sums = np.zeros(len(tiles))
    for first in range(0, len(tiles), _PHASE_CHUNK):
        block = slice(first, first + _PHASE_CHUNK)
        for phases in (tiles.theta, tiles.phi, tiles.psi, tiles.attenuator):
            wrapped = np.mod(phases[block], 2.0 * np.pi)
            sums[block] += wrapped.reshape(len(wrapped), -1).sum(axis=1)
    return sums / np.pi


def join(banks: Sequence[TileBank], machine: Machine) -> TileBank:
    """Put the tiles of several banks one behind the other; none make a bank of no tiles."""
    return TileBank(
        **{
            name: np.concatenate([getattr(part, name) for part in (_none(machine), *banks)])
            for name in TileBank.__dataclass_fields__
        }
    )


def _none(machine: Machine) -> TileBank:
    """Return a bank of no tiles."""
    ports, mzis = machine.mesh.ports, machine.mesh.mzis
    numbers, integers = np.zeros(0), np.zeros(0, np.int32)
    phases, outputs = np.zeros((0, 2, mzis)), np.zeros((0, 2, ports))
    return TileBank(
        theta=phases,
        phi=phases,
        psi=outputs,
        attenuator=np.zeros((0, ports)),
        scale=numbers,
        row=integers,
        column=integers,
        rows=integers,
        columns=integers,
        core=integers,
        turn=integers,
        adc_range=numbers,
    )
