"""Phases for one measured chip: programmed for its errors, rounded for its converters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from photonpu import mesh
from photonpu.errors import InputError, MachineError
from photonpu.hardware import Chip, Machine
from photonpu.mesh import MESHES
from photonpu.mesh.reference import code_of
from photonpu.mesh.values import fixed, frozen, frozen_ints
from photonpu.mesh.variation import varied
from photonpu.program.local import (
    before_second,
    both,
    corrected,
    met,
    offsets_of,
    plan_of,
    split,
    splitters,
    stuck_of,
    with_meshes,
)
from photonpu.program.reordering import around_dead, part, reordered, unitaries
from photonpu.program.tiles import one_blas_thread
from photonpu.program.values import Floats, Ints, TileBank
from photonpu.registry import did_you_mean
from photonpu.units import db_to_field

#: What a chip is, and what its programming makes up for: it acts whatever noise is asked for.
FABRICATION = frozenset({"splitter", "phase", "loss", "dead", "imbalance"})
METHODS = {
    "nominal": "phases for a perfect chip",
    "local": "one pass: each interferometer gets its split, or the nearest; those behind make up",
    "refined": "all phases of a tile make up for what one interferometer cannot reach",
    "self-configured": "outputs are measured as phases change; nothing inside need be known",
}
ROUNDINGS = {
    "nearest": "each phase for itself",
    "absorbed": "column by column, later ones make up for what rounding did to earlier ones",
}
_SWEEPS = 10
_ROUNDS = 6
_CHUNK = 64  # tiles at a time
# Weight of a mesh's row whose singular value is 0, beside that of the largest.
_LEAST_WEIGHT = 1e-3
UNKNOWN = -1  # unreachable splits, where nobody looks inside


@dataclass(frozen=True, slots=True)
class Programmed:
    """Tiles programmed for the cores of a chip.

    Attributes
    ----------
    tiles
        With settings in place of phases.
    unreachable
        (T,) interferometers that cannot reach the split that they should have; -1 for not known.
    error
        (T,) relative error of what a tile multiplies by on its core, before any rounding but
        that which was absorbed.
    """

    tiles: TileBank
    unreachable: Ints
    error: Floats


def chip_of(chip: Chip | int | str | Path, machine: Machine) -> Chip:
    """Return a chip: itself, drawn from a seed, or read from ``.npz`` or a ``.csv`` table.

    One that was drawn has what the machine's neighbours have in common; see `varied`.

    Raises
    ------
    MachineError
        The file does not read, or the chip is of another size than the machine.
    InputError
        The seed is out of range.
    """
    if isinstance(chip, int):
        chip = Chip.draw(machine, chip)
    elif isinstance(chip, str | Path):
        from photonpu.mesh.splitter_map import read_map

        chip = read_map(chip, machine) if str(chip).endswith(".csv") else Chip.load(chip)
    found = chip.cores, chip.ports, chip.splitter_in.shape[2]
    needed = machine.cores, machine.mesh.ports, machine.mesh.mzis
    if found != needed:
        raise MachineError(
            f"chip '{chip.name}' has {found[0]} cores of {found[1]} ports and {found[2]} "
            f"interferometers a mesh, and machine '{machine.name}' {needed[0]} of {needed[1]} and "
            f"{needed[2]}: measure a chip of this machine"
        )
    return varied(chip, machine)


def check(method: str, rounding: str) -> None:
    """Refuse what is no way to program.

    Raises
    ------
    InputError
        There is no such method or rounding, or the two do not go together.
    """
    for what, name, table in (("programming", method, METHODS), ("rounding", rounding, ROUNDINGS)):
        if name not in table:
            hint = did_you_mean(name, table) or f"; there are: {', '.join(table)}"
            raise InputError(f"{what}='{name}': there is no such way{hint}")
    if rounding == "absorbed" and method not in ("local", "refined"):
        raise InputError(
            f"rounding='absorbed' with programming='{method}': it needs the splitters of the chip; "
            "use 'local' or 'refined'"
        )


def program(
    tiles: TileBank, chip: Chip, machine: Machine, method: str, rounding: str = "nearest"
) -> Programmed:
    """Program tiles for the cores of a chip that they run on.

    Parameters
    ----------
    tiles
        With the phases of a perfect chip.
    chip
        What was measured. `method` ``"self-configured"`` uses no number of it but what it makes of
        settings.
    machine
        Topology and converters.
    method, rounding
        Names in `METHODS` and `ROUNDINGS`.

    Raises
    ------
    InputError
        As `check`; or the mesh is push-pull, which takes ``"nominal"`` and ``"local"`` phases,
        rounded to the ``"nearest"``.
    """
    check(method, rounding)
    if method in ("refined", "self-configured") or rounding == "absorbed":
        what = f"programming='{method}' with rounding='{rounding}'"
        MESHES[machine.mesh.topology].require_one_arm(what)
    pieces = [
        _program(part(tiles, slice(first, first + _CHUNK)), chip, machine, method, rounding)
        for first in range(0, len(tiles), _CHUNK)
    ]
    if not pieces:
        return Programmed(tiles, np.zeros(0, np.int32), np.zeros(0))
    return Programmed(
        replace(
            tiles,
            **{
                name: np.concatenate([getattr(piece.tiles, name) for piece in pieces])
                for name in ("theta", "phi", "psi", "attenuator")
            },
        ),
        np.concatenate([piece.unreachable for piece in pieces]),
        np.concatenate([piece.error for piece in pieces]),
    )


def real_matrices(
    tiles: TileBank,
    machine: Machine,
    chip: Chip,
    sources: frozenset[str],
    *,
    programmed: bool = False,
) -> Floats:
    """Return what homodyne detection reads of tiles on a chip, in units of their scale.

    The mean loss over the paths of a mesh is calibrated out, its spread is not.

    Parameters
    ----------
    tiles, machine, chip, sources, programmed
        As for `photonpu.mesh.tile_matrices`.

    Returns
    -------
    ndarray
        (T, N, N).
    """
    real = np.empty((len(tiles), machine.mesh.ports, machine.mesh.ports))
    for first in range(0, len(tiles), _CHUNK):
        part = slice(first, first + _CHUNK)
        real[part] = mesh.tile_matrices(
            tiles.theta[part],
            tiles.phi[part],
            tiles.psi[part],
            tiles.attenuator[part],
            tiles.core[part],
            chip,
            machine,
            sources=sources,
            programmed=programmed,
        ).real
    if "loss" in sources:
        real /= _mean_loss(machine)
    return real


def errors(found: Floats, wanted: Floats) -> Floats:
    """Return the relative error (T,) of matrices (T, N, N); 0 where all is 0."""
    distance = np.linalg.norm(found - wanted, axis=(1, 2))
    size = np.linalg.norm(wanted, axis=(1, 2))
    share: Floats = np.divide(distance, size, out=np.zeros_like(size), where=size > 0)
    return share


def _mean_loss(machine: Machine) -> float:
    """Return what the field keeps on a path through a core, on average."""
    passed = 2 * (machine.mesh.ports - 1) + 1  # MZIs that a path meets on average
    return float(db_to_field(machine.mesh.mzi_loss_db * passed))


def _program(
    tiles: TileBank, chip: Chip, machine: Machine, method: str, rounding: str
) -> Programmed:
    """Program a few tiles."""
    wanted = real_matrices(tiles, machine, Chip.ideal(machine), frozenset())
    unreachable = np.full(len(tiles), UNKNOWN, np.int32)
    if method == "self-configured":
        tiles = _self_configured(tiles, wanted, chip, machine)
    else:
        if method != "nominal":
            tiles = reordered(tiles, chip, machine)
            tiles = around_dead(tiles, chip, machine, partial(_local_error, chip, machine))
        start, unreachable = corrected(tiles, chip, machine, rounds=rounding == "absorbed")
        if method == "refined" or rounding == "absorbed":
            sweeps = _SWEEPS if method == "refined" else 0
            tiles = _settled(tiles, start, chip, machine, sweeps, rounding == "absorbed")
        elif method == "local":
            tiles = start
    found = real_matrices(tiles, machine, chip, FABRICATION, programmed=True)
    return Programmed(tiles, unreachable, errors(found, wanted))


def _local_error(chip: Chip, machine: Machine, tiles: TileBank) -> Floats:
    """Return how far tiles are off after local correction."""
    wanted = real_matrices(tiles, machine, Chip.ideal(machine), frozenset())
    made, _ = corrected(tiles, chip, machine)
    return errors(real_matrices(made, machine, chip, FABRICATION, programmed=True), wanted)


def _settled(
    nominal: TileBank, start: TileBank, chip: Chip, machine: Machine, sweeps: int, rounds: bool
) -> TileBank:
    """Settle both meshes: that of U makes up for what is left of the one before it.

    Rows of ``V^H`` count by their singular value.
    """
    from photonpu.mesh import kernels_settle

    topology, core = machine.mesh.topology, nominal.core
    plan = plan_of(machine, rounds)
    layout = MESHES[topology].layout(machine.mesh.ports)
    starts = np.searchsorted(layout.column, np.arange(layout.depth + 1))
    columns = frozen_ints(starts if rounds else np.zeros(0))
    first, second = unitaries(nominal, topology)
    values = np.sin(nominal.attenuator / 2.0)
    goal = (values**2 + _LEAST_WEIGHT)[:, :, None] * first
    statics, stuck, settings = offsets_of(chip)[core], stuck_of(chip)[core], both(start)
    for m in range(2):
        offset, dead = statics[:, m], stuck[:, m]
        found = kernels_settle.settle(
            fixed(goal),
            frozen(met(settings[:, m], dead, plan) + offset),
            frozen(offset),
            fixed(dead <= 0.0),
            plan,
            *splitters(chip, core, m),
            columns,
            sweeps,
        )
        settings[:, m] = code_of(found - offset, plan)
        if m == 0:
            done = with_meshes(start, settings)
            before = before_second(done, chip, machine)
            goal = second * values[:, None, :] @ first @ before.conj().swapaxes(1, 2)
    return with_meshes(start, settings)


def _self_configured(tiles: TileBank, wanted: Floats, chip: Chip, machine: Machine) -> TileBank:
    """Let each tile find its settings by measurements of its outputs."""
    from photonpu.mesh.selfconfiguration import configure

    mzis, ports = tiles.theta.shape[2], tiles.ports
    size = 2 * mzis + ports
    settings = np.concatenate([both(tiles).reshape(len(tiles), -1), tiles.attenuator], axis=1)
    for t in range(len(tiles)):
        rows, columns = int(tiles.rows[t]), int(tiles.columns[t])
        read = _measurement(chip, machine, int(tiles.core[t]), mzis, rows, columns)
        with one_blas_thread():
            goal = wanted[t, :rows, :columns]
            settings[t] = configure(read, goal, settings[t], ports, _ROUNDS)[0]
    meshes = settings[:, : 2 * size].reshape(len(tiles), 2, size)
    return replace(with_meshes(tiles, meshes), attenuator=settings[:, 2 * size :])


def _measurement(
    chip: Chip, machine: Machine, core: int, mzis: int, rows: int, columns: int
) -> Callable[[Floats], Floats]:
    """Return the function that sets one core of a chip and reads its detectors."""
    size = 2 * mzis + machine.mesh.ports

    def read(settings: Floats) -> Floats:
        meshes = settings[:, : 2 * size].reshape(len(settings), 2, size)
        field = mesh.tile_matrices(
            *split(meshes, mzis),
            settings[:, 2 * size :],
            np.full(len(settings), core, np.int32),
            chip,
            machine,
            sources=FABRICATION,
            programmed=True,
        )
        return np.ascontiguousarray(field[:, :rows, :columns].real) / _mean_loss(machine)

    return read
