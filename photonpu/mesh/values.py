"""What `tile_matrices` hands its kernel: the errors of the cores, and how phases are programmed.

Named tuples, since compiled code takes them as they are. C cores, K interferometers a mesh in
the order of the layout, N ports; the second axis is the mesh, 0 for ``V^H`` and 1 for ``U``.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Kept = TypeVar("Kept", bound=NDArray[Any])


def frozen(numbers: ArrayLike) -> Floats:
    """Return `numbers` as a contiguous, read-only array: what kernels are compiled for.

    Arrays that can be written to are another type to Numba, and would be compiled for again.
    """
    view = np.ascontiguousarray(numbers, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def frozen_ints(numbers: ArrayLike) -> Ints:
    """Return `numbers` as a contiguous, read-only array of 32-bit integers; see `frozen`."""
    view = np.ascontiguousarray(numbers, dtype=np.int32).view()
    view.flags.writeable = False
    return view


def fixed(numbers: Kept) -> Kept:
    """Return `numbers` contiguous and read-only, of the type that they have; see `frozen`."""
    view = np.ascontiguousarray(numbers).view()
    view.flags.writeable = False
    return cast("Kept", view)


def wrap(phase: Floats) -> Floats:
    """Return `phase` in [0, 2 pi); less than 1e-12 below a whole turn is 0.

    Rounding alone separates the two, and a heater would have to hold the difference.
    """
    wrapped = np.mod(phase, 2.0 * np.pi)
    return np.where(wrapped < 2.0 * np.pi - 1e-12, wrapped, 0.0)


class Splitters(NamedTuple):
    """Errors of the angles of all splitters, rad.

    Attributes
    ----------
    into, out
        (C, 2, K) input and output side of the interferometers.
    third
        (C, 2, K) of splitters before the interferometers, where the mesh has any.
    attenuator_into, attenuator_out
        (C, N) input and output side of the attenuators.
    """

    into: Floats
    out: Floats
    third: Floats
    attenuator_into: Floats
    attenuator_out: Floats


class Errors(NamedTuple):
    """Errors of the phases, rad, and what is left of the field after each interferometer.

    Attributes
    ----------
    mesh
        (C, 2, 2 K + N) phases of a mesh: all theta, all phi, all psi.
    attenuator
        (C, N) internal phases of the attenuators.
    gain
        (C, 2, K) field behind an interferometer for a unit field before it.
    attenuator_gain
        (C, N) the same for the attenuators.
    stuck
        (C, 2, 2 K + N) settings in (0, 2 pi] of dead phase shifters; 0 for those that work.
    attenuator_stuck
        (C, N) the same for the attenuators.
    skew
        (C, 2, K) field behind the upper arm of an interferometer for a unit field behind its
        lower one; 1 where both lose as much. `gain` is their geometric mean.
    attenuator_skew
        (C, N) the same for the attenuators.
    response
        (C, 2, 2 K + N) phase for each radian of a setting; 1 for a shifter as it should be.
    attenuator_response
        (C, N) the same for the attenuators.
    """

    mesh: Floats
    attenuator: Floats
    gain: Floats
    attenuator_gain: Floats
    stuck: Floats
    attenuator_stuck: Floats
    skew: Floats
    attenuator_skew: Floats
    response: Floats
    attenuator_response: Floats


class Couplings(NamedTuple):
    """Which phase shifters heat which, as a sparse matrix in rows.

    Attributes
    ----------
    first
        (M + 1,) where the neighbours of each of M shifters begin.
    neighbour
        Indices of the shifters that heat it.
    strength
        Phase that it gains for each radian of the neighbour's.
    """

    first: Ints
    neighbour: Ints
    strength: Floats


class Plan(NamedTuple):
    """How a mesh is laid out and programmed.

    Attributes
    ----------
    row, partner
        (K,) waveguides at the upper and lower arm of each interferometer, in the order of
        propagation.
    waveguides
        How many there are, those without signals behind the others.
    third
        Whether an even splitter stands before each interferometer.
    step
        Distance of two phases that the converters can set, rad; 0 for any phase.
    unit
        Where converters set voltages in even steps, the phase of the first, rad; that of step n
        is its n^2. 0 otherwise.
    programmed
        Whether phases are as programmed, and no correction is to change them.
    push
        Whether theta is push-pull, in [-pi, pi], and leaves no common phase.
    real
        Whether interferometers have no phi and outputs no psi; psi is then a sign, 0 or pi.
    """

    row: Ints
    partner: Ints
    waveguides: int
    third: bool
    step: float
    unit: float = 0.0
    programmed: bool = False
    push: bool = False
    real: bool = False


class Rows(NamedTuple):
    """Where rows of T tiles go, and what they are multiplied by on their way.

    `LANES` rows lie side by side, column by column: what a product of vectors reads.

    Attributes
    ----------
    gain
        (C, N) of each row of a tile, by the core that it runs on.
    factor
        (T,) of all rows of a tile.
    first
        (T + 1,) which pieces are those of each tile.
    piece
        (P, 6 or more) rows of one tile that lie together: its number, the first of them, how many
        there are, how wide the tile is; which of the rows there the first one becomes, and where
        these begin.
    weights
        What they go to.
    """

    gain: Floats
    factor: Floats
    first: Longs
    piece: Longs
    weights: Singles


def no_rows(cores: int, ports: int, tiles: int) -> Rows:
    """Return that no row of tiles goes anywhere."""
    return Rows(
        frozen(np.ones((cores, ports))),
        frozen(np.ones(tiles)),
        fixed(np.zeros(tiles + 1, np.int64)),
        fixed(np.zeros((0, 7), np.int64)),
        np.zeros(0, np.float32),
    )


def some_rows(rows: Rows, first: int, last: int) -> Rows:
    """Return `rows` of the tiles from the first to the last + 1."""
    return rows._replace(
        factor=fixed(rows.factor[first:last]), first=fixed(rows.first[first : last + 1])
    )
