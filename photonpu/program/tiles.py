"""Tiles of a matrix that become phases: their singular values, and the meshes of U and V^H."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from photonpu import mesh
from photonpu.errors import PhotonpuWarning
from photonpu.mesh.values import fixed
from photonpu.program.cutting import Block, Reals
from photonpu.program.values import Floats, Ints, TileBank

_LARGEST = 128  # ports: above, LAPACK's blocks pay
_SVD_THREADS = 2
_SVD_CHUNK = 16
_PHASE_CHUNK = 256
_CHUNK = 16  # tiles that a thread factors at a time: their factors stay in the cache's reach
_LEAST, _MOST = 32, 256  # of all threads together
_SIDE = 64  # ports of these tiles; of smaller ones there are more

Angles = tuple[Floats, Floats, Floats]


def one_blas_thread() -> AbstractContextManager[object]:
    """Hold BLAS to one thread, so that the last bits of its sums do not depend on their number."""
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@functools.cache
def _libraries() -> ThreadpoolController:
    """Find the BLAS libraries that are loaded, once: SciPy's, which Numba calls, among them."""
    import scipy.linalg.cython_blas  # noqa: F401

    return ThreadpoolController()


def singular_values(tiles: Floats) -> tuple[Floats, Floats]:
    """Factor each tile as ``U diag(s) V^H``, with bits that depend on nothing but the tile.

    Up to `_LARGEST` ports our own iteration is the faster one, eight tiles at a time; LAPACK does
    the larger tiles, and those for which the iteration does not end.

    Parameters
    ----------
    tiles
        (T, N, N).

    Returns
    -------
    factors, values
        (T, 2, N, N) V^H and U; (T, N) s, descending.
    """
    if tiles.shape[1] <= _LARGEST:
        factors, values, found = mesh.factor(tiles)
    else:
        factors, values = np.empty((len(tiles), 2, *tiles.shape[1:])), np.empty(tiles.shape[:2])
        found = np.zeros(len(tiles), np.bool_)
    rest = np.flatnonzero(~found)
    pieces = [rest[i : i + _SVD_CHUNK] for i in range(0, len(rest), _SVD_CHUNK)]
    if pieces:
        with one_blas_thread(), ThreadPoolExecutor(_SVD_THREADS) as pool:
            done = pool.map(lambda piece: np.linalg.svd(tiles[piece]), pieces)
            for piece, (u, s, vh) in zip(pieces, done, strict=True):
                factors[piece, 1], values[piece], factors[piece, 0] = u, s, vh
    return factors, values


def bank(places: tuple[Block, ...], tiles: Reals, topology: str, cores: int) -> TileBank:
    """Turn the tiles of one stream into phases; see `bank_all`.

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
    """
    return bank_all([(places, tiles)], tiles.shape[1], topology, cores)


def bank_all(
    streams: Sequence[tuple[tuple[Block, ...], Reals]], ports: int, topology: str, cores: int
) -> TileBank:
    """Turn tiles into phases (Miller, Photonics Research 1, 1, 2013: mesh, attenuators, mesh).

    The tiles of a stream go to the cores in turn and stay there while all its vectors pass
    (weight-stationary).

    Parameters
    ----------
    streams
        Of each the blocks of its matrix, and their zero-padded numbers (T, N, N).
    ports
        Size N of a tile.
    topology
        Name in `photonpu.mesh.MESHES`.
    cores
        Number of cores.

    Returns
    -------
    TileBank
        Stream after stream, with ADCs that no output can overrun as long as inputs stay within
        their range; calibration narrows them.

    Warns
    -----
    PhotonpuWarning
        The topology is not universal: tiles are fitted, with the error that is told.
    """
    return Banking(streams, ports, topology, cores).bank()


class Banking:
    """Tiles that become phases chunk by chunk; see `bank_all`, whose arguments it takes.

    Each chunk is made once, whoever asks for it; its bits depend on its tiles alone.
    """

    def __init__(
        self,
        streams: Sequence[tuple[tuple[Block, ...], Reals]],
        ports: int,
        topology: str,
        cores: int,
    ) -> None:
        places = [place for part, _ in streams for place in part]
        count, mzis = len(places), mesh.MESHES[topology].layout(ports).mzis
        self._topology, self._cores = topology, cores
        self._places = np.fromiter(chain.from_iterable(places), np.int32, 4 * count).reshape(-1, 4)
        counts = [_count(part) for part, _ in streams]
        self._order = np.concatenate([np.zeros(0, np.int32), *counts])
        self._angles = _places(count, mzis, ports)
        self._attenuator = np.empty((count, ports))
        self._scale, self._widest = np.empty(count), np.empty(count)
        self._missed = np.zeros(2)
        self._chunks = _chunks([numbers for _, numbers in streams], _together(ports))

    def step(self) -> bool:
        """Make the phases of the next chunk; return whether there was one."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        part, tiles = chunk
        theta, phi, psi = self._angles
        angles = theta[part], phi[part], psi[part]
        factors, values = singular_values(tiles)
        phases_of(factors, self._topology, angles)
        if not mesh.MESHES[self._topology].universal:
            self._missed += _missed(tiles, angles, values, self._topology)
        self._scale[part] = size = values[:, 0]
        relative = np.divide(values, size[:, None], out=np.zeros_like(values), where=values > 0)
        self._attenuator[part] = 2 * np.arcsin(np.clip(relative, 0.0, 1.0))
        largest = np.abs(tiles).sum(axis=2).max(axis=1)
        self._widest[part] = np.divide(largest, size, out=np.ones_like(size), where=size > 0)
        return True

    def bank(self) -> TileBank:
        """Make what is left, and return all."""
        while self.step():
            pass
        if not mesh.MESHES[self._topology].universal:
            _tell_fit(self._missed, self._topology)
        theta, phi, psi = self._angles
        row, column, rows, columns = (np.ascontiguousarray(part) for part in self._places.T)
        return TileBank(
            theta=theta,
            phi=phi,
            psi=psi,
            attenuator=self._attenuator,
            scale=self._scale,
            row=row,
            column=column,
            rows=rows,
            columns=columns,
            core=self._order % np.int32(self._cores),
            turn=self._order // np.int32(self._cores),
            adc_range=self._widest,
        )


def _together(ports: int) -> int:
    """Return how many tiles all threads make at a time."""
    import numba

    most = min(max(_LEAST, _CHUNK * int(numba.get_num_threads())), _MOST)
    return max(most, most * _SIDE**2 // ports**2)


def _chunks(parts: Sequence[Reals], most: int) -> Iterator[tuple[slice, Floats]]:
    """Yield some matrices of all parts at a time in double precision, and their numbers.

    What is made of so few lies in memory that the next ones use again.
    """
    held: list[Reals] = []
    first = waiting = 0
    for part in parts:
        for begin in range(0, len(part), most):
            held.append(part[begin : begin + most])
            waiting += len(held[-1])
            if waiting >= most:
                together = np.concatenate(held, dtype=np.float64)
                held, waiting = [together[most:]], waiting - most
                yield slice(first, first + most), together[:most]
                first += most
    if waiting:
        yield slice(first, first + waiting), np.concatenate(held, dtype=np.float64)


def _places(tiles: int, mzis: int, ports: int) -> Angles:
    """Return arrays for theta, phi and psi of both meshes of tiles."""
    from photonpu.mesh import kernels_elimination

    theta, phi, psi = kernels_elimination.places(2 * tiles, mzis, ports)
    return theta.reshape(tiles, 2, mzis), phi.reshape(tiles, 2, mzis), psi.reshape(tiles, 2, ports)


def phases_of(
    factors: Floats | NDArray[np.complex128], topology: str, into: Angles | None = None
) -> Angles:
    """Return theta, phi and psi of (T, 2, N, N) factors: V^H and U, real for a real mesh.

    They are (T, 2, K) and (T, 2, N), contiguous, those of `into` if it is given.
    """
    tiles, _, ports, _ = factors.shape
    found = into or _places(tiles, mesh.MESHES[topology].layout(ports).mzis, ports)
    if mesh.MESHES[topology].real:
        _fill_real_phases(np.real(factors), topology, found)
    else:
        theta, phi, psi = (angles.reshape(2 * tiles, angles.shape[2]) for angles in found)
        together, wanted = fixed(factors.reshape(-1, ports, ports)), mesh.Phases(theta, phi, psi)
        made = mesh.MESHES[topology].decompose(together, wanted)
        if made is not wanted:
            theta[...], phi[...], psi[...] = made.theta, made.phi, made.psi
    return found


def _fill_real_phases(factors: Floats, topology: str, into: Angles) -> None:
    """Fill in phases of (T, 2, N, N) real factors; only those of U leave signs to their outputs.

    ``U diag(s) D V' = (U D) diag(s) V'``: signs D that the mesh of V^H cannot give move on.
    """
    first = mesh.decompose(factors[:, 0], topology)
    second = mesh.decompose(factors[:, 1] * np.cos(first.psi)[:, None, :], topology)
    theta, phi, psi = into
    theta[:, 0], phi[:, 0], psi[:, 0] = first.theta, first.phi, 0.0
    theta[:, 1], phi[:, 1], psi[:, 1] = second.theta, second.phi, second.psi


def _missed(
    tiles: Floats, phases: tuple[Floats, Floats, Floats], values: Floats, topology: str
) -> Floats:
    """Return the squared size of how far fitted tiles are from `tiles`, and that of `tiles`."""
    first, second = (
        mesh.matrix(mesh.Phases(*(angles[:, side] for angles in phases)), topology)
        for side in range(2)
    )
    wrong = (second * values[:, None, :]) @ first - tiles
    return np.array([np.linalg.norm(wrong) ** 2, np.linalg.norm(tiles) ** 2])


def _tell_fit(missed: Floats, topology: str) -> None:
    """Warn of how far the tiles that a mesh was fitted to are from those that were asked for."""
    error = np.sqrt(missed[0] / missed[1]) if missed[1] else 0.0
    warnings.warn(
        f"topology '{topology}' is not universal: tiles are fitted, with a relative error of "
        f"{error:.3g}; set mesh.topology to 'clements' for exact ones",
        PhotonpuWarning,
        stacklevel=3,
    )


def _count(places: Sequence[Block]) -> Ints:
    """Return the number of each tile in its stream."""
    return np.arange(len(places), dtype=np.int32)


def held_phases(tiles: TileBank, topology: str = "clements") -> Floats:
    """Return the sum of the wrapped phases of each tile, (T,), in units of pi.

    A heater's power grows with its phase, which it holds modulo 2 pi. Push-pull heaters stand at
    ``(pi +- theta) / 2``, together pi for any theta; signs of outputs are digital, and cost none.
    """
    kind = mesh.MESHES[topology]
    sums = np.zeros(len(tiles))
    if kind.push:
        sums += np.pi * tiles.theta.shape[1] * tiles.theta.shape[2]
    held = [tiles.attenuator]
    held += [] if kind.push else [tiles.theta]
    held += [] if kind.real else [tiles.phi, tiles.psi]
    for first in range(0, len(tiles), _PHASE_CHUNK):
        block = slice(first, first + _PHASE_CHUNK)
        for phases in held:
            wrapped = np.mod(phases[block], 2.0 * np.pi)
            sums[block] += wrapped.reshape(len(wrapped), -1).sum(axis=1)
    return sums / np.pi
