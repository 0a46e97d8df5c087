"""Tiles corrected locally for one measured chip, in the order of the light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.mesh import MESHES
from photonpu.mesh.reference import code_of
from photonpu.mesh.values import Plan, fixed, frozen, wrap
from photonpu.program.values import Floats, Ints, TileBank

Complexes = NDArray[np.complex128]
# Least weight of a row of V^H in what U is corrected for, beside that of the largest.
_LEAST_VALUE = 1e-3


def corrected(
    tiles: TileBank, chip: Chip, machine: Machine, *, rounds: bool = False
) -> tuple[TileBank, Ints]:
    """Correct tiles for splitters, static phases and dead shifters, in one pass of the light.

    What the mesh of ``V^H`` and the attenuators leave over, that of U takes on; see
    `photonpu.mesh.reference_carry`. In real meshes nothing makes up for splitters: their theta
    are freed of static errors, as far as half a turn to both sides lets them, and that is all.

    Parameters
    ----------
    tiles
        With the phases of a perfect chip.
    chip, machine
        What was measured, and of which machine.
    rounds
        Whether attenuators are set to what converters reach.

    Returns
    -------
    TileBank
        With settings in place of phases.
    ndarray
        (T,) interferometers that cannot reach the split that they should have, or are dead.
    """
    from photonpu.mesh import kernels_carry

    topology, core = machine.mesh.topology, tiles.core
    wanted, offsets, stuck = both(tiles), offsets_of(chip)[core], stuck_of(chip)[core]
    plan, mzis = MESHES[topology].plan(tiles.ports), tiles.theta.shape[2]
    values = np.sin(tiles.attenuator / 2.0)
    tiles = replace(tiles, attenuator=_attenuators(tiles, chip, plan_of(machine, rounds)))
    if plan.real:
        theta = np.clip((wanted - offsets)[:, :, :mzis], -np.pi, np.pi)
        return replace(tiles, theta=theta), _out_of_reach(tiles, chip)
    settings, unreachable = np.empty_like(wanted), np.zeros(len(tiles), np.int32)
    ideal = real = np.tile(np.eye(tiles.ports, dtype=np.complex128), (len(tiles), 1, 1))
    for m in range(2):
        offset, dead = offsets[:, m], stuck[:, m]
        found, clipped = kernels_carry.carry(
            frozen(wanted[:, m]),
            frozen(met(wanted[:, m], dead, plan) + offset),
            frozen(offset),
            fixed(dead <= 0.0),
            fixed(ideal),
            fixed(real),
            plan,
            *splitters(chip, core, m),
        )
        settings[:, m] = coded(found - offset, plan)
        unreachable += clipped
        if m == 0:
            first = mesh.matrix(mesh.Phases(*split(wanted[:, 0], mzis)), topology)
            ideal = np.maximum(values, _LEAST_VALUE)[:, :, None] * first
            real = before_second(with_meshes(tiles, settings), chip, machine, _LEAST_VALUE)
    return with_meshes(tiles, settings), unreachable


def _attenuators(tiles: TileBank, chip: Chip, plan: Plan) -> Floats:
    """Return the settings (T, N) of attenuators, corrected for splitters and static phases."""
    a, b = chip.attenuator_splitter_in[tiles.core], chip.attenuator_splitter_out[tiles.core]
    lowest, highest = np.sin(a + b) ** 2, np.cos(a - b) ** 2
    share = (np.sin(tiles.attenuator / 2.0) ** 2 - lowest) / (highest - lowest)
    wanted = 2.0 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))
    return code_of(wanted - chip.attenuator_error[tiles.core], plan)


def _out_of_reach(tiles: TileBank, chip: Chip) -> Ints:
    """Return (T,) how many splits of meshes that nothing corrects are out of reach, or dead."""
    core, split = tiles.core, np.sin(tiles.theta / 2.0) ** 2
    alpha, beta = chip.splitter_in[core], chip.splitter_out[core]
    out = (split < np.sin(alpha + beta) ** 2) | (split > np.cos(alpha - beta) ** 2)
    missed = out | (chip.theta_stuck[core] > 0.0)
    return np.asarray(np.count_nonzero(missed, axis=(1, 2)), np.int32)


def before_second(tiles: TileBank, chip: Chip, machine: Machine, least: float = 0.0) -> Complexes:
    """Return the field behind the attenuators, (T, N, N), as programmed.

    Parameters
    ----------
    tiles
        With settings.
    chip, machine
        What they run on.
    least
        What attenuators let through at least; they pass it with the phase that they have.
    """
    core, plan = tiles.core, MESHES[machine.mesh.topology].plan(tiles.ports)
    settings = met(both(tiles)[:, 0], stuck_of(chip)[core, 0], plan)
    alpha, beta, gamma = splitters(chip, core, 0)
    found = mesh.matrix(
        mesh.Phases(*split(settings + offsets_of(chip)[core, 0], tiles.theta.shape[2])),
        machine.mesh.topology,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        loss_db=chip.mzi_loss_db[core, 0],
        imbalance_db=chip.mzi_imbalance_db[core, 0],
    )
    stuck = chip.attenuator_stuck[core]
    phase = np.where(stuck > 0.0, wrap(stuck), tiles.attenuator) + chip.attenuator_error[core]
    passed = mesh.attenuation(
        phase, chip.attenuator_splitter_in[core], chip.attenuator_splitter_out[core]
    )
    size = np.abs(passed)
    turned = np.divide(passed, size, out=np.ones_like(passed), where=size > 0.0)
    return np.asarray((np.maximum(size, least) * turned)[:, :, None] * found)


def plan_of(machine: Machine, rounds: bool) -> Plan:
    """Return the layout of a machine's meshes, and the resolution if it is to be met."""
    step = machine.phase.phase_step * rounds
    unit = machine.phase.voltage_step_phase * rounds
    return MESHES[machine.mesh.topology].plan(machine.mesh.ports, step, unit)


def splitters(chip: Chip, core: Ints, m: int) -> tuple[Floats, Floats, Floats]:
    """Return alpha, beta and gamma of one mesh of each core, as kernels take them."""
    return (
        frozen(chip.splitter_in[core, m]),
        frozen(chip.splitter_out[core, m]),
        frozen(chip.splitter_third[core, m]),
    )


def met(settings: Floats, stuck: Floats, plan: Plan) -> Floats:
    """Return settings (..., 2 K + N), but those of dead shifters as they are."""
    return np.where(stuck > 0.0, coded(stuck, plan), settings)


def coded(settings: Floats, plan: Plan) -> Floats:
    """Return settings (..., 2 K + N) in the range of their shifters: theta may be push-pull."""
    wrapped = wrap(settings)
    signed = (np.arange(settings.shape[-1]) < len(plan.row)) & plan.push
    return np.where(signed & (wrapped > np.pi), wrapped - 2.0 * np.pi, wrapped)


def both(tiles: TileBank) -> Floats:
    """Return all theta, phi and psi of both meshes, (T, 2, 2 K + N)."""
    return np.concatenate([tiles.theta, tiles.phi, tiles.psi], axis=2)


def split(phases: Floats, mzis: int) -> tuple[Floats, Floats, Floats]:
    """Return theta, phi and psi from an axis that holds all three."""
    theta, phi, psi = np.split(phases, [mzis, 2 * mzis], axis=-1)
    return theta, phi, psi


def with_meshes(tiles: TileBank, settings: Floats) -> TileBank:
    """Return tiles with other settings of their meshes, (T, 2, 2 K + N)."""
    theta, phi, psi = split(settings, tiles.theta.shape[2])
    return replace(tiles, theta=theta, phi=phi, psi=psi)


def offsets_of(chip: Chip) -> Floats:
    """Return what light meets beyond the settings of both meshes, (C, 2, 2 K + N)."""
    return np.concatenate([chip.theta_error, chip.phi_error, chip.psi_error], axis=2)


def stuck_of(chip: Chip) -> Floats:
    """Return where dead shifters of both meshes are stuck, (C, 2, 2 K + N); 0 for the others."""
    return np.concatenate([chip.theta_stuck, chip.phi_stuck, chip.psi_stuck], axis=2)
