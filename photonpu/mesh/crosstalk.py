"""Thermal crosstalk: where the heaters of a mesh are, and how much each warms its neighbours.

The floor plan: interferometer of column x and height y has its corner at ``(x length, y width)``;
its phi shifter is a quarter and its theta shifter three quarters of the length further, on the
upper waveguide. Output phases stand where the phi shifters of one more column would. Attenuators
stand alone, one to a waveguide.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.mesh.topologies import MESHES
from photonpu.mesh.values import Couplings, frozen, frozen_ints

Floats = NDArray[np.float64]

# Below this a neighbour does not count; kappa falls to it near 97 um.
_NEGLIGIBLE = 1e-6
_REACH_UM = 100.0


def kappa(distance_um: ArrayLike) -> Floats:
    """Return the share of a heater's phase that appears in a waveguide nearby.

    Polynomial below 23 um, exponential of length 7.84 um from there: the fit in the public code
    (`CrosstalkScheduler`) of Yin et al., "SCATTER" (2024, arXiv:2407.05510). Heat only ever adds.

    Parameters
    ----------
    distance_um
        Centre to centre.

    Returns
    -------
    NDArray[np.float64]
        Radians for each radian of the heater's own phase.
    """
    d = np.asarray(distance_um, dtype=np.float64)
    near = np.polyval(
        (3.55117528e-7, -1.55789201e-5, -8.29631681e-6, 9.89616761e-3, -0.176013871, 1.0), d
    )
    return np.asarray(np.where(d < 23.0, near, 0.2167267 * np.exp(-0.12747211 * d)))


def floor_plan(topology: str, ports: int, length_um: float, width_um: float) -> Floats:
    """Return where the shifters of a mesh are: all theta, all phi, all psi.

    Parameters
    ----------
    topology
        A name in `MESHES`.
    ports
        Waveguides N; K interferometers.
    length_um, width_um
        Size of an interferometer along and across the light.

    Returns
    -------
    NDArray[np.float64]
        (2 K + N, 2) positions along and across the light, um.
    """
    layout = MESHES[topology].layout(ports)
    theta = np.stack([layout.column + 0.75, layout.height.astype(np.float64)], axis=1)
    phi = np.stack([layout.column + 0.25, layout.height.astype(np.float64)], axis=1)
    psi = np.stack([np.full(ports, layout.depth + 0.25), np.arange(ports)], axis=1)
    return np.concatenate([theta, phi, psi]) * (length_um, width_um)


@lru_cache(maxsize=16)
def mesh_couplings(topology: str, ports: int, length_um: float, width_um: float) -> Couplings:
    """Return the crosstalk within one mesh; parameters as those of `floor_plan`.

    What a push-pull shifter gains is what its upper arm gains and its lower arm does not; what
    its own two heaters give is half of theta, once added and once taken away. The heat of their
    bias is always the same, and calibrated away.
    """
    kind = MESHES[topology]
    places = floor_plan(topology, ports, length_um, width_um)
    if not kind.push:
        return couplings(places)
    from scipy import sparse

    mzis = kind.layout(ports).mzis
    others = len(places) - mzis
    lower = places[:mzis] + np.array([0.0, width_um])
    each = couplings(np.concatenate([places[:mzis], lower, places[mzis:]]))
    size = len(places) + mzis
    heat = sparse.csr_array((each.strength, each.neighbour, each.first), shape=(size, size))
    pair, rest = sparse.eye_array(mzis), sparse.eye_array(others) * (0.0 if kind.real else 1.0)
    gains = sparse.block_diag([sparse.hstack([pair, -pair]), rest])
    gives = sparse.block_diag([sparse.vstack([pair, -pair]) / 2.0, rest])
    found = sparse.coo_array(gains @ heat @ gives)
    kept = (np.abs(found.data) >= _NEGLIGIBLE) & (found.coords[0] != found.coords[1])
    rows, columns = (axis[kept] for axis in found.coords)
    order = np.lexsort((columns, rows))
    counts = np.bincount(rows, minlength=len(places))
    return Couplings(
        frozen_ints(np.concatenate([[0], np.cumsum(counts)])),
        frozen_ints(columns[order]),
        frozen(found.data[kept][order]),
    )


@lru_cache(maxsize=16)
def line_couplings(ports: int, width_um: float) -> Couplings:
    """Return the crosstalk between attenuators that stand `width_um` apart in a line."""
    return couplings(np.stack([np.zeros(ports), np.arange(ports) * width_um], axis=1))


def no_couplings(shifters: int) -> Couplings:
    """Return the crosstalk of shifters that do not heat each other."""
    return Couplings(
        frozen_ints(np.zeros(shifters + 1)), frozen_ints(np.zeros(0)), frozen(np.zeros(0))
    )


def couplings(positions: Floats) -> Couplings:
    """Return how shifters heat each other, those of less than 1e-6 left out.

    Parameters
    ----------
    positions
        (M, 2) places of the shifters, um.
    """
    from scipy.spatial import cKDTree

    pairs = cKDTree(positions).query_pairs(_REACH_UM, output_type="ndarray")
    both = np.concatenate([pairs, pairs[:, ::-1]])
    strength = kappa(np.hypot(*(positions[both[:, 0]] - positions[both[:, 1]]).T))
    both, strength = both[strength >= _NEGLIGIBLE], strength[strength >= _NEGLIGIBLE]
    order = np.lexsort((both[:, 1], both[:, 0]))
    counts = np.bincount(both[:, 0], minlength=len(positions))
    return Couplings(
        frozen_ints(np.concatenate([[0], np.cumsum(counts)])),
        frozen_ints(both[order, 1]),
        frozen(strength[order]),
    )
