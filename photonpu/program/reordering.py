"""Singular values in the order that suits the attenuators of a chip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonpu import mesh
from photonpu.hardware import Chip, Machine
from photonpu.mesh.values import wrap
from photonpu.program.tiles import phases_of
from photonpu.program.values import TileBank


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
    topology = machine.mesh.topology
    first, second = unitaries(some, topology)
    row = np.arange(len(which))[:, None]
    both = np.stack([first[row, order], second.swapaxes(1, 2)[row, order].swapaxes(1, 2)], axis=1)
    theta, phi, psi = phases_of(both, topology)
    changed = replace(
        tiles,
        theta=tiles.theta.copy(),
        phi=tiles.phi.copy(),
        psi=tiles.psi.copy(),
        attenuator=tiles.attenuator.copy(),
    )
    changed.theta[which] = theta
    changed.phi[which] = phi
    changed.psi[which] = psi
    changed.attenuator[which] = some.attenuator[row, order]
    return changed


def unitaries(tiles: TileBank, topology: str) -> list[NDArray[np.complex128]]:
    """Return ``V^H`` and ``U`` of tiles as decomposed, (T, N, N) each."""
    return [
        mesh.matrix(mesh.Phases(tiles.theta[:, m], tiles.phi[:, m], tiles.psi[:, m]), topology)
        for m in range(2)
    ]


def part(tiles: TileBank, which: slice | NDArray[np.intp]) -> TileBank:
    """Return some tiles of a bank."""
    return TileBank(**{name: getattr(tiles, name)[which] for name in TileBank.__dataclass_fields__})
