"""What a chip makes of a program's tiles: the matrices they multiply by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.mesh.values import Rows, some_rows
from photonpu.program import Program, TileBank
from photonpu.program.reordering import part
from photonpu.units import db_to_field

Floats = NDArray[np.float64]
Reals = Floats | NDArray[np.float32]

_CHIP_SOURCES = frozenset(
    {"splitter", "phase", "loss", "dac", "crosstalk", "dead", "imbalance", "heater"}
)
_CHUNK = 64  # tiles whose complex fields are in memory at once


def tile_matrices(
    program: Program, machine: Machine, chip: Chip, sources: frozenset[str]
) -> NDArray[np.float64]:
    """Return `bank_matrices` of all tiles of a program."""
    return bank_matrices(program.tiles, machine, chip, sources)


def bank_matrices(
    bank: TileBank,
    machine: Machine,
    chip: Chip,
    sources: frozenset[str],
    detuning: float = 0.0,
) -> NDArray[np.float64]:
    """Return what tiles multiply by on one chip, in units of their scale.

    Homodyne detection reads the field's component in phase with the local oscillator: the real
    part. The mean loss over the paths of a mesh is calibrated out, its spread is not. Splitters
    differ by the angle `detuning` from what they are programmed for.

    Returns
    -------
    ndarray
        (T, N, N).
    """
    real = np.empty((len(bank), machine.mesh.ports, machine.mesh.ports))
    for first in range(0, len(bank), _CHUNK):
        some = part(bank, slice(first, first + _CHUNK))
        real[first : first + _CHUNK] = mesh.tile_matrices(
            *_phases(some),
            some.core,
            chip,
            machine,
            sources=sources & _CHIP_SOURCES,
            detuning=detuning,
        ).real
    return real * _recovered(machine, sources)


class ChipTiles(NamedTuple):
    """What a chip makes of tiles; see `bank_matrices`.

    Attributes
    ----------
    matrices
        Gives those of tiles.
    write
        Writes their rows where they should go.
    """

    matrices: Callable[[TileBank], Reals]
    write: Callable[[TileBank, Rows], None]


def chip_tiles(
    machine: Machine, chip: Chip, sources: frozenset[str], detuning: float = 0.0
) -> ChipTiles:
    """Return functions that give `bank_matrices` on one chip, fast.

    Where any of the chip's errors act they are in single precision, within about 1e-6; else tiles
    are exact. What depends on the chip alone is computed once.
    """
    acting = sources & _CHIP_SOURCES
    if not acting and not detuning:

        def exact(bank: TileBank) -> Reals:
            return bank_matrices(bank, machine, chip, acting)

        return ChipTiles(exact, partial(_write, exact))
    scale = _recovered(machine, sources)
    made = mesh.single_tiles(chip, machine, sources=acting, detuning=detuning, scale=scale)
    return ChipTiles(
        lambda bank: made.matrices(_phases(bank), bank.core),
        lambda bank, rows: made.write(_phases(bank), bank.core, rows),
    )


def _write(matrices: Callable[[TileBank], Reals], bank: TileBank, rows: Rows) -> None:
    """Write the rows of tiles, of which `matrices` gives some at a time."""
    for first in range(0, len(bank), _CHUNK):
        some = part(bank, slice(first, first + _CHUNK))
        mesh.write_rows(matrices(some), some.core, some_rows(rows, first, first + len(some)))


def _phases(bank: TileBank) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the phases of tiles."""
    return bank.theta, bank.phi, bank.psi, bank.attenuator


def _recovered(machine: Machine, sources: frozenset[str]) -> float:
    """Return the gain that makes up for the mean loss of a path."""
    if "loss" not in sources:
        return 1.0
    passed = 2 * (machine.mesh.ports - 1) + 1  # MZIs that a path meets on average
    return float(1.0 / db_to_field(machine.mesh.mzi_loss_db * passed))
