"""What programmed tiles do to light on a fabricated chip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.mesh import crosstalk
from photonpu.mesh.topologies import MESHES
from photonpu.mesh.values import (
    Couplings,
    Errors,
    Plan,
    Rows,
    Splitters,
    fixed,
    frozen,
    frozen_ints,
    no_rows,
    some_rows,
)

if TYPE_CHECKING:
    from photonpu.hardware import Chip, Machine

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Phases = tuple[Floats, Floats, Floats, Floats]
_LARGEST = 1e20  # factor that single precision leaves room for
_PART = 64  # tiles whose complex fields are in memory at once
TOGETHER = 8  # tiles, as lanes of `photonpu.simd.DOUBLES`


def tile_matrices(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    attenuator: Floats,
    core: Ints,
    chip: Chip,
    machine: Machine,
    *,
    sources: frozenset[str] = frozenset(),
    programmed: bool = False,
    detuning: float = 0.0,
) -> Complexes:
    """Return the field transfer of tiles ``U diag(a) V^H``, as programmed on a chip.

    Where the machine corrects, phases are first corrected for the chip's splitter errors, each
    interferometer for itself, unless they were programmed for the chip. Then they are wrapped to
    [0, 2 pi) and rounded (source ``"dac"``), those of dead shifters are stuck (``"dead"``), and all
    are moved by thermal crosstalk (``"crosstalk"``) and by static errors (``"phase"``), where
    shifters respond more or less than they should (``"heater"``); light meets the actual splitters
    (``"splitter"``), losses (``"loss"``) and arms that lose differently (``"imbalance"``). With no
    source the product is exact.

    Parameters
    ----------
    theta, phi
        (T, 2, K) internal and external phases of the meshes of ``V^H`` (0) and ``U`` (1), rad.
    psi
        (T, 2, N) output phases, rad.
    attenuator
        (T, N) internal phases of the attenuators, rad; the amplitude is ``sin(phase / 2)``.
    core
        (T,) the core each tile runs on.
    chip
        The fabricated instance: errors of the splitters and phases, losses.
    machine
        Topology, resolution, crosstalk, floor plan and correction.
    sources
        Names of what acts; names of other sources are passed over.
    programmed
        Whether the phases are for this chip already: then nothing corrects them again.
    detuning
        By how much every splitter's angle differs from the one that correction knows, rad: that
        of another wavelength does.

    Returns
    -------
    NDArray[np.complex128]
        (T, N, N) field at the outputs (rows) for unit fields at the inputs (columns); the same
        bits for any number of threads and any order of the tiles.

    Raises
    ------
    InputError
        If the arrays do not fit each other, or the tiles the chip.
    """
    from photonpu.mesh import kernels

    _check(theta, phi, psi, attenuator, core, chip)
    actual, known = _splitters(chip, machine, sources, detuning)
    result: Complexes = kernels.tile_matrices(
        frozen(theta),
        frozen(phi),
        frozen(psi),
        frozen(attenuator),
        frozen_ints(core),
        known,
        actual,
        _errors(chip, sources, MESHES[machine.mesh.topology].real),
        _plan(chip.ports, machine, sources, programmed or machine.mesh.correction == "none"),
        *_couplings(chip.ports, machine, sources),
    )
    return result


def _check(
    theta: Floats, phi: Floats, psi: Floats, attenuator: Floats, core: Ints, chip: Chip
) -> None:
    """Raise `InputError` if arrays do not fit each other or a chip."""
    tiles, mzis, ports = len(core), chip.theta_error.shape[2], chip.psi_error.shape[2]
    if psi.shape[2:] != (ports,) or theta.shape[2:] != (mzis,):
        raise InputError(
            f"tiles of {psi.shape[-1]} ports and {theta.shape[-1]} interferometers a mesh do not "
            f"fit chip '{chip.name}' of {ports} and {mzis}: compile for its machine"
        )
    needed = {
        "theta": (theta, (tiles, 2, mzis)),
        "phi": (phi, (tiles, 2, mzis)),
        "psi": (psi, (tiles, 2, ports)),
        "attenuator": (attenuator, (tiles, ports)),
    }
    for name, (array, shape) in needed.items():
        if array.shape != shape:
            raise InputError(f"{name} of shape {array.shape}: {tiles} tiles need {shape}")
    if tiles and not 0 <= core.min() <= core.max() < len(chip.theta_error):
        raise InputError(
            f"tiles run on cores {core.min()} to {core.max()}, and chip '{chip.name}' has "
            f"{len(chip.theta_error)}: compile for its machine"
        )


def _splitters(
    chip: Chip, machine: Machine, sources: frozenset[str], detuning: float
) -> tuple[Splitters, Splitters]:
    """Return the splitter errors that act, and those that a correction knows: less `detuning`."""
    drawn = Splitters(
        frozen(chip.splitter_in),
        frozen(chip.splitter_out),
        frozen(chip.splitter_third),
        frozen(chip.attenuator_splitter_in),
        frozen(chip.attenuator_splitter_out),
    )
    none = Splitters(*(frozen(np.zeros_like(errors)) for errors in drawn))
    actual = drawn if "splitter" in sources else none
    known = none if machine.mesh.correction == "none" else actual
    if detuning:
        actual = Splitters(*(frozen(errors + detuning) for errors in actual))
    return actual, known


def _errors(chip: Chip, sources: frozenset[str], real: bool) -> Errors:
    """Return the phase errors, losses and dead shifters that act: of a real mesh only theta's."""
    phase, loss, dead, heater, imbalance = (
        float(source in sources) for source in ("phase", "loss", "dead", "heater", "imbalance")
    )
    mesh = np.concatenate([chip.theta_error, chip.phi_error, chip.psi_error], axis=2)
    stuck = np.concatenate([chip.theta_stuck, chip.phi_stuck, chip.psi_stuck], axis=2)
    response = np.concatenate([chip.theta_response, chip.phi_response, chip.psi_response], axis=2)
    if real:
        mzis = chip.theta_error.shape[2]
        mesh[:, :, mzis:] = stuck[:, :, mzis:] = response[:, :, mzis:] = 0.0
    return Errors(
        frozen(mesh * phase),
        frozen(chip.attenuator_error * phase),
        frozen(10.0 ** (-chip.mzi_loss_db * loss / 20.0)),
        frozen(10.0 ** (-chip.attenuator_loss_db * loss / 20.0)),
        frozen(stuck * dead),
        frozen(chip.attenuator_stuck * dead),
        frozen(10.0 ** (-chip.mzi_imbalance_db * imbalance / 20.0)),
        frozen(10.0 ** (-chip.attenuator_imbalance_db * imbalance / 20.0)),
        frozen(1.0 + response * heater),
        frozen(1.0 + chip.attenuator_response * heater),
    )


def _plan(ports: int, machine: Machine, sources: frozenset[str], programmed: bool) -> Plan:
    """Return layout and resolution of a machine's meshes."""
    phase, rounds = machine.phase, float("dac" in sources)
    return MESHES[machine.mesh.topology].plan(
        ports, phase.phase_step * rounds, phase.voltage_step_phase * rounds, programmed
    )


def _couplings(
    ports: int, machine: Machine, sources: frozenset[str]
) -> tuple[Couplings, Couplings]:
    """Return the crosstalk within one mesh, and between the attenuators."""
    mesh = machine.mesh
    strength = machine.phase.crosstalk if "crosstalk" in sources else 0.0
    if strength == 0.0:
        mzis = MESHES[mesh.topology].layout(ports).mzis
        return crosstalk.no_couplings(2 * mzis + ports), crosstalk.no_couplings(ports)
    within = crosstalk.mesh_couplings(mesh.topology, ports, mesh.mzi_length_um, mesh.mzi_width_um)
    line = crosstalk.line_couplings(ports, mesh.mzi_width_um)
    return (
        within._replace(strength=frozen(within.strength * strength)),
        line._replace(strength=frozen(line.strength * strength)),
    )


class SingleTiles(NamedTuple):
    """What makes tiles in single precision; the same bits for any number of threads.

    Attributes
    ----------
    matrices
        Takes (theta, phi, psi, attenuator), and core, of `tile_matrices`; gives (T, N, N).
    write
        Takes the same and `Rows`, to which it writes.
    """

    matrices: Callable[[Phases, Ints], Singles]
    write: Callable[[Phases, Ints, Rows], None]


def single_tiles(
    chip: Chip,
    machine: Machine,
    *,
    sources: frozenset[str] = frozenset(),
    programmed: bool = False,
    detuning: float = 0.0,
    scale: float = 1.0,
) -> SingleTiles:
    """Return functions that give the real part of `tile_matrices`, in single precision.

    What depends on the chip alone is computed once. Phases are corrected and rounded as there;
    what comes after is within about 1e-6. Whatever tiles are made together, the bits are the same.

    Parameters
    ----------
    chip, machine, sources, programmed, detuning
        As for `tile_matrices`.
    scale
        A factor of all results.
    """
    from photonpu.mesh import kernels_lanes, kernels_rows, kernels_singles

    actual, known = _splitters(chip, machine, sources, detuning)
    errors = _errors(chip, sources, MESHES[machine.mesh.topology].real)
    cores = kernels_lanes.cores(known, actual, errors)
    plan = _plan(chip.ports, machine, sources, programmed or machine.mesh.correction == "none")
    couplings = _couplings(chip.ports, machine, sources)
    chained = kernels_singles.chains_of(plan, chip.ports, errors.gain)

    def fill(phases: Phases, core: Ints, rows: Rows, result: Singles) -> None:
        _check(*phases, core, chip)
        theta, phi, psi, attenuator = map(frozen, phases)
        kernels_singles.tile_singles(
            theta,
            phi,
            psi,
            attenuator,
            *groups_of(core),
            frozen_ints(core),
            cores,
            errors,
            plan,
            chained,
            *couplings,
            scale,
            rows,
            result,
        )

    def make(phases: Phases, core: Ints) -> Singles:
        result = kernels_rows.room(len(core) * chip.ports**2).reshape(-1, chip.ports, chip.ports)
        fill(phases, core, no_rows(chip.cores, chip.ports, len(core)), result)
        return result

    def write(phases: Phases, core: Ints, rows: Rows) -> None:
        fill(phases, core, rows, np.empty((0, chip.ports, chip.ports), np.float32))

    def make_double(phases: Phases, core: Ints) -> Singles:
        exact = tile_matrices(
            *phases,
            core,
            chip,
            machine,
            sources=sources,
            programmed=programmed,
            detuning=detuning,
        )
        return (scale * exact.real).astype(np.float32)

    def write_double(phases: Phases, core: Ints, rows: Rows) -> None:
        for first in range(0, len(core), _PART):
            part = slice(first, first + _PART)
            theta, phi, psi, attenuator = (array[part] for array in phases)
            made = make_double((theta, phi, psi, attenuator), core[part])
            write_rows(made, core[part], some_rows(rows, first, first + len(made)))

    balanced = bool((errors.skew == 1.0).all() and (errors.attenuator_skew == 1.0).all())
    plain = balanced and not plan.third and not plan.push and scale < _LARGEST
    return SingleTiles(make, write) if plain else SingleTiles(make_double, write_double)


def write_rows(matrices: Floats | Singles, core: Ints, rows: Rows) -> None:
    """Write the rows of (T, N, N) tiles, which run on (T,) cores, where `rows` says.

    Raises
    ------
    InputError
        If they are not as many.
    """
    from photonpu.mesh import kernels_rows

    if not len(matrices) == len(core) == len(rows.factor):
        raise InputError(f"{len(matrices)} matrices, {len(core)} cores, rows of {len(rows.factor)}")
    kernels_rows.write_rows(fixed(matrices), frozen_ints(core), rows)


def groups_of(core: Ints) -> tuple[Longs, Longs]:
    """Return (G, 8) tiles of one core each, and how many of them count: the last is repeated."""
    groups, counts = [np.empty((0, TOGETHER), np.int64)], [np.empty(0, np.int64)]
    for number in np.unique(core):
        tiles = np.flatnonzero(core == number)
        count = -(-len(tiles) // TOGETHER)
        places = np.minimum(np.arange(TOGETHER * count), len(tiles) - 1)
        groups.append(tiles[places].reshape(-1, TOGETHER))
        counts.append(np.minimum(len(tiles) - TOGETHER * np.arange(count), TOGETHER))
    return np.concatenate(groups), np.concatenate(counts)
