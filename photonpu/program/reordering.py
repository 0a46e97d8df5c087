"""Singular values in the order that suits the attenuators and the dead shifters of a chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.mesh.values import wrap
from photonpu.program.local import stuck_of
from photonpu.program.tiles import phases_of
from photonpu.program.values import Floats, TileBank


def reordered(tiles: TileBank, chip: Chip, machine: Machine) -> TileBank:
    """Give stuck attenuators the singular values that come nearest to what they pass.

    The order of the singular values is free: with them the rows of ``V^H`` and the columns of U
    change places.

    Parameters
    ----------
    tiles
        With the phases of a perfect chip.
    chip, machine
        Which attenuators are stuck, and how the meshes are laid out.
    """
    from scipy.optimize import linear_sum_assignment

    stuck = chip.attenuator_stuck[tiles.core]
    which = np.flatnonzero((stuck > 0.0).any(axis=1))
    if not len(which):
        return tiles
    some, core = part(tiles, which), tiles.core[which]
    passed = np.abs(
        mesh.attenuation(
            wrap(stuck[which]) + chip.attenuator_error[core],
            chip.attenuator_splitter_in[core],
            chip.attenuator_splitter_out[core],
        )
    )
    values = np.sin(some.attenuator / 2.0)
    distance = (values[:, None, :] - passed[:, :, None]) ** 2 * (stuck[which] > 0.0)[:, :, None]
    order = np.stack([linear_sum_assignment(each)[1] for each in distance])
    return _placed(tiles, which, _ordered(some, order, machine.mesh.topology))


def around_dead(
    tiles: TileBank, chip: Chip, machine: Machine, error: Callable[[TileBank], Floats]
) -> TileBank:
    """Give tiles on cores with dead shifters that order of their singular values that suits best.

    The order decides which light meets what is dead. Four are tried for each tile: descending,
    ascending, the largest in the middle, and the largest at the edges.

    Parameters
    ----------
    tiles
        With the phases of a perfect chip.
    chip, machine
        Which shifters are dead, and how the meshes are laid out. Where attenuators are stuck,
        `reordered` has settled the order.
    error
        From tiles to how far each is off, (T,).
    """
    dead = stuck_of(chip).max(axis=(1, 2)) > 0.0
    settled = chip.attenuator_stuck.max(axis=1) > 0.0
    which = np.flatnonzero((dead & ~settled)[tiles.core])
    if not len(which):
        return tiles
    some = best = part(tiles, which)
    least = error(some)
    for order in _orders(tiles.ports):
        each = np.broadcast_to(order, some.attenuator.shape)
        tried = _ordered(some, each, machine.mesh.topology)
        found = error(tried)
        better = np.flatnonzero(found < least)
        best = _placed(best, better, part(tried, better))
        least = np.minimum(found, least)
    return _placed(tiles, which, best)


def _orders(ports: int) -> list[NDArray[np.intp]]:
    """Return which singular value each attenuator gets, in ways that differ much."""
    outwards = np.abs(np.arange(ports) - (ports - 1) / 2.0)
    places = outwards.argsort(kind="stable"), (-outwards).argsort(kind="stable")
    return [np.arange(ports)[::-1], *(place.argsort(kind="stable") for place in places)]


def _ordered(tiles: TileBank, order: NDArray[np.intp], topology: str) -> TileBank:
    """Return tiles whose singular values are in another order, (T, N) of the old places."""
    row = np.arange(len(tiles))[:, None]
    first, second = unitaries(tiles, topology)
    turned = second.swapaxes(1, 2)[row, order].swapaxes(1, 2)
    theta, phi, psi = phases_of(np.stack([first[row, order], turned], axis=1), topology)
    return replace(tiles, theta=theta, phi=phi, psi=psi, attenuator=tiles.attenuator[row, order])


def _placed(tiles: TileBank, which: NDArray[np.intp], some: TileBank) -> TileBank:
    """Return tiles of which some have the phases of others."""
    names = "theta", "phi", "psi", "attenuator"
    changed = {name: getattr(tiles, name).copy() for name in names}
    for name, phases in changed.items():
        phases[which] = getattr(some, name)
    return replace(tiles, **changed)


def unitaries(tiles: TileBank, topology: str) -> list[NDArray[np.complex128]]:
    """Return ``V^H`` and ``U`` of tiles as decomposed, (T, N, N) each."""
    return [
        mesh.matrix(mesh.Phases(tiles.theta[:, m], tiles.phi[:, m], tiles.psi[:, m]), topology)
        for m in range(2)
    ]


def part(tiles: TileBank, which: slice | NDArray[np.intp]) -> TileBank:
    """Return some tiles of a bank."""
    return TileBank(**{name: getattr(tiles, name)[which] for name in TileBank.__dataclass_fields__})
