"""What tiles multiply by on one chip, and the noise that follows the light in them.

Phases that fluctuate from vector to vector change the matrix of a tile to ``W + dW``. To first
order in their variance, its mean is shorter than ``W``, and what is left adds noise to every sample
of ``dW x``: for inputs without a preferred direction of the variance ``A |x|^2``, with one ``A``
for each output of a tile. Both are found by drawing phases a few times. Other wavelengths, whose
splitters have another angle, are taken the same way: which vector travels on which is not kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.keyed import normal_arrays
from photonpu.mesh.values import Rows, some_rows
from photonpu.program import TileBank
from photonpu.program.programming import program
from photonpu.program.reordering import part
from photonpu.simulator import engine
from photonpu.simulator.noise import Strength
from photonpu.simulator.strengths import scaled

Floats = NDArray[np.float64]
_PAIRS, _ROWS = 6, 384  # draws: so many pairs, and more where they give fewer rows
_TOGETHER = 512  # tiles: 17 MB of each of their matrices at 64 ports
_SEED = 0x6A697474  # of the draws, the same for all chips: they measure, they are no noise
#: The way to program for the splitters of a chip that a machine's correction stands for.
CORRECTIONS = {"carried": "local", "refined": "refined"}
_SPLITTERS = (
    "splitter_in",
    "splitter_out",
    "splitter_third",
    "attenuator_splitter_in",
    "attenuator_splitter_out",
)
_JITTERED = ("theta_error", "phi_error", "psi_error", "attenuator_error")


@dataclass(frozen=True, slots=True)
class Transfer:
    """What tiles do to vectors.

    Attributes
    ----------
    matrices
        (T, N, N) in units of each tile's scale.
    share
        (T, N) variance of each output for each unit of the squared length of the tile's input;
        None where no noise follows it.
    """

    matrices: engine.Reals
    share: Floats | None


@dataclass(frozen=True, slots=True)
class Transfers:
    """What gives `Transfer` on one chip; what depends on the chip alone came once.

    Attributes
    ----------
    find
        Gives that of tiles.
    write
        Writes the rows of matrices where they should go, and gives the share.
    fluctuates
        Whether there may be a share.
    """

    find: Callable[[TileBank], Transfer]
    write: Callable[[TileBank, Rows], Floats | None]
    fluctuates: bool = False

    @classmethod
    def of(cls, find: Callable[[TileBank], Transfer], *, fluctuates: bool) -> Transfers:
        """Return what writes matrices that `find` gives of some tiles at a time."""

        def write(bank: TileBank, rows: Rows) -> Floats | None:
            found = find(bank)
            mesh.write_rows(found.matrices, bank.core, rows)
            return found.share

        return cls(find, partial(_in_parts, write), fluctuates)

    def __call__(self, bank: TileBank) -> Transfer:
        """Return what tiles do to vectors."""
        return self.find(bank)


def transfer(
    bank: TileBank, machine: Machine, chip: Chip, strengths: Mapping[str, Strength]
) -> Transfer:
    """Return what tiles do on one chip on which sources act so strongly."""
    return transferring(machine, chip, strengths)(bank)


def transferring(machine: Machine, chip: Chip, strengths: Mapping[str, Strength]) -> Transfers:
    """Return what gives what tiles do."""
    machine, chip, strengths = scaled(machine, chip, strengths)
    if _jitter_rad(machine, strengths) or _slope_per_nm(machine, strengths):
        find = partial(_fluctuating, machine=machine, chip=chip, strengths=strengths)
        return Transfers.of(find, fluctuates=True)
    tiles = engine.chip_tiles(machine, chip, frozenset(strengths))
    return Transfers(lambda bank: Transfer(tiles.matrices(bank), None), tiles.write)


def programming(machine: Machine, chip: Chip, strengths: Mapping[str, Strength]) -> Transfers:
    """Return what `transferring` does, where correction is more than each interferometer's own.

    Tiles are programmed for the splitters that act: as local correction, this knows the splitters
    of the chip and nothing else of it.
    """
    method = CORRECTIONS.get(machine.mesh.correction)
    if method is None:
        return transferring(machine, chip, strengths)
    as_programmed = machine.override({"mesh.correction": "none"})
    finish = transferring(as_programmed, chip, strengths)
    _, met, acting = scaled(machine, chip, strengths)
    if "splitter" not in acting:
        return finish
    splitters = {name: getattr(met, name) for name in _SPLITTERS}
    known = replace(Chip.ideal(machine), **splitters)

    def programmed(bank: TileBank) -> TileBank:
        return program(bank, known, as_programmed, method).tiles

    return Transfers(
        lambda bank: finish(programmed(bank)),
        partial(_in_parts, lambda bank, rows: finish.write(programmed(bank), rows)),
        finish.fluctuates,
    )


def _in_parts(
    write: Callable[[TileBank, Rows], Floats | None], bank: TileBank, rows: Rows
) -> Floats | None:
    """Write the rows of some tiles at a time, so that little beside them is in memory at once."""
    shares = np.zeros((len(bank), bank.ports))
    for first in range(0, len(bank), _TOGETHER):
        some = part(bank, slice(first, first + _TOGETHER))
        share = write(some, some_rows(rows, first, first + len(some)))
        if share is not None:
            shares[first : first + len(some)] = share
    return shares if shares.any() else None


def _fluctuating(
    bank: TileBank, machine: Machine, chip: Chip, strengths: Mapping[str, Strength]
) -> Transfer:
    """Return what tiles do where phases or wavelengths differ from vector to vector."""
    matrices = engine.chip_tiles(machine, chip, frozenset(strengths)).matrices(bank)
    matrices = matrices.astype(np.float64)
    share = np.zeros(matrices.shape[:2])
    for others in (
        _jittered(bank, machine, chip, strengths),
        _coloured(bank, machine, chip, strengths),
    ):
        shrink, scatter = _spread(matrices, others, bank)
        matrices = matrices * shrink[:, None, None]
        share += scatter
    return Transfer(matrices, share if share.any() else None)


def _spread(
    matrices: Floats, others: Iterator[engine.Reals], bank: TileBank
) -> tuple[Floats, Floats]:
    """Return by how much matrices (T) shrink on average of others, and what rows (T, N) scatter.

    Of each tile only the rows and columns in use count.
    """
    tiles, ports = matrices.shape[:2]
    index = np.arange(ports)
    used = (index < bank.rows[:, None])[:, :, None] & (index < bank.columns[:, None])[:, None, :]
    exact = np.where(used, matrices, 0.0)
    along, square, count = np.zeros((tiles, ports)), np.zeros((tiles, ports)), 0
    for other in others:
        moved = np.where(used, other, 0.0).astype(np.float64, copy=False)
        along += np.einsum("tij,tij->ti", moved, exact)
        square += np.einsum("tij,tij->ti", moved, moved)
        count += 1
    if not count:
        return np.ones(tiles), np.zeros((tiles, ports))
    lengths = np.einsum("tij,tij->ti", exact, exact)
    length = lengths.sum(axis=1)
    shrink = np.divide(along.sum(axis=1), count * length, out=np.ones(tiles), where=length > 0)
    by = shrink[:, None]
    scatter = (square - 2.0 * by * along) / count + by**2 * lengths
    return shrink, np.maximum(scatter, 0.0) / bank.columns[:, None]


def _jitter_rad(machine: Machine, strengths: Mapping[str, Strength]) -> float:
    """Return the deviation of phases from vector to vector."""
    return machine.phase.jitter_rad * float(strengths.get("jitter", 0.0))


def _slope_per_nm(machine: Machine, strengths: Mapping[str, Strength]) -> float:
    """Return the share of a splitter's angle by which wavelengths 1 nm apart differ, if any do."""
    slope = machine.mesh.splitter_dispersion_per_nm * float(strengths.get("dispersion", 0.0))
    together = machine.optics.channel_spacing_nm * (machine.wavelengths - 1)
    return slope if together else 0.0


def _jittered(
    bank: TileBank, machine: Machine, chip: Chip, strengths: Mapping[str, Strength]
) -> Iterator[engine.Reals]:
    """Yield the matrices of tiles whose phases have moved by chance, and by the opposite.

    What is linear in the phases cancels in the mean of such a pair.
    """
    sigma = _jitter_rad(machine, strengths)
    if sigma == 0.0:
        return
    sources = frozenset(strengths) | {"phase"}
    pairs = max(_PAIRS, _ROWS // machine.mesh.ports)
    still = 1.0 if "phase" in strengths else 0.0
    errors = {name: getattr(chip, name) for name in _JITTERED}
    numbers = {
        name: normal_arrays(_SEED, *((draw, i) for draw in range(pairs)), shape=errors[name].shape)
        for i, name in enumerate(_JITTERED)
    }
    for draw, sign in itertools.product(range(pairs), (1.0, -1.0)):
        moved = {
            name: still * error + sign * sigma * numbers[name][draw]
            for name, error in errors.items()
        }
        yield engine.chip_tiles(machine, replace(chip, **moved), sources).matrices(bank)


def _coloured(
    bank: TileBank, machine: Machine, chip: Chip, strengths: Mapping[str, Strength]
) -> Iterator[engine.Reals]:
    """Yield the matrices of tiles at each wavelength, programmed for the one in the middle."""
    slope = _slope_per_nm(machine, strengths)
    spacing, channels = machine.optics.channel_spacing_nm, machine.wavelengths
    if slope == 0.0:
        return
    for channel in range(channels):
        away_nm = (channel - (channels - 1) / 2.0) * spacing
        detuning = np.pi / 4.0 * slope * away_nm
        yield engine.chip_tiles(machine, chip, frozenset(strengths), detuning).matrices(bank)
