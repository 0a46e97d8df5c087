"""Errors that neighbours have in common: correlated over a distance, or worse in one region.

The floor plan of a chip: that of `photonpu.mesh.crosstalk.floor_plan` for each mesh. The mesh of
``V^H`` comes first along the light, then the attenuators in a column of their own, then the mesh
of ``U``; cores stand side by side across the light.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.keyed import normal_array
from photonpu.mesh.crosstalk import floor_plan
from photonpu.mesh.topologies import MESHES

Floats = NDArray[np.float64]

_WAVES = 256  # of which a smooth error is made
_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
# Streams of random numbers of a chip's seed; those of `photonpu.hardware.chip` begin at 1, those of
# the detectors at 100.
_SMOOTH = {"splitter": 200, "phase": 210}
_CENTRE, _REGIONAL = 220, 230
_VARYING = SOURCES["splitter"] + SOURCES["phase"]


def places(machine: Machine) -> dict[str, Floats]:
    """Return where splitters and phase shifters of a chip are, um.

    Returns
    -------
    dict
        By the name of the array of `Chip` that holds their errors: its shape and an axis more, of
        positions along and across the light.
    """
    mesh, cores = machine.mesh, machine.cores
    layout = MESHES[mesh.topology].layout(mesh.ports)
    size = np.array([mesh.mzi_length_um, mesh.mzi_width_um])
    corner = np.stack([layout.column, layout.height], axis=1) * size
    shifters = floor_plan(mesh.topology, mesh.ports, *size.tolist())
    theta, phi, psi = np.split(shifters, [layout.mzis, 2 * layout.mzis])
    half = np.array([0.5 * mesh.mzi_length_um, 0.0])
    of_a_mesh = {
        "splitter_in": corner + half,
        "splitter_out": corner + 2.0 * half,
        "splitter_third": corner + 0.25 * half,
        "theta_error": theta,
        "phi_error": phi,
        "psi_error": psi,
    }
    column = np.stack([np.full(mesh.ports, layout.depth + 1), np.arange(mesh.ports)], axis=1) * size
    of_the_attenuators = {
        "attenuator_splitter_in": column + half,
        "attenuator_splitter_out": column + 2.0 * half,
        "attenuator_error": column + 1.5 * half,
    }
    second = np.array([[0.0, 0.0], [(layout.depth + 2) * mesh.mzi_length_um, 0.0]])
    waveguides = max(mesh.ports, int(np.ptp(layout.height)) + 2)
    across = mesh.mzi_width_um * waveguides
    core = np.stack([np.zeros(cores), across * np.arange(cores)], axis=1)
    return {
        name: core[:, None, None] + second[:, None] + place for name, place in of_a_mesh.items()
    } | {name: core[:, None] + place for name, place in of_the_attenuators.items()}


def correlated(chip: Chip, machine: Machine) -> Chip:
    """Return a drawn chip on which the errors of neighbours are alike.

    Errors of splitters keep the standard deviation ``mesh.splitter_error_rad``, and those of
    phases ``phase.error_rad``, but two of a kind at the distance d have the correlation
    ``exp(-d / mesh.correlation_um)``, whichever mesh and core they are in. Splitters and phases
    are independent of each other. A measured chip, which has no seed, stays as it is.

    Such a field is a sum of waves: of exponential correlation in the plane is what has the
    density ``(1 + (L k)^2)^(-3/2)`` of wave vectors k (Rasmussen and Williams, "Gaussian Processes
    for Machine Learning" (2006), sect. 4.2, Matern's of order 1/2). Their amplitudes are normal,
    so that each error is exactly normal; the correlation holds on average over chips, and on one
    within some hundredths.
    """
    length = machine.mesh.correlation_um
    if chip.seed is None or length == 0.0:
        return chip
    where, arrays = places(machine), dict[str, Any]()
    deviations = {
        "splitter": machine.mesh.splitter_error_rad,
        "phase": machine.phase.error_rad,
    }
    for source, deviation in deviations.items():
        if deviation == 0.0:
            continue
        names = [name for name in SOURCES[source] if getattr(chip, name).any()]
        points = [where[name].reshape(-1, 2) for name in names]
        counts = np.cumsum([0, *map(len, points)])
        field = deviation * _smooth(np.concatenate(points), length, chip.seed, _SMOOTH[source])
        for name, first, last in zip(names, counts, counts[1:], strict=False):
            arrays[name] = field[first:last].reshape(where[name].shape[:-1])
    return replace(chip, **arrays)


def _smooth(points: Floats, length: float, seed: int, stream: int) -> Floats:
    """Return a normal number for each of (P, 2) `points`, alike at distances below `length`."""
    from scipy.special import ndtr

    shift, turn = ndtr(normal_array(seed, stream, shape=(2,)))
    amplitude = normal_array(seed, stream + 1, shape=(_WAVES, 2)) / math.sqrt(_WAVES)
    # Of a share u of all waves the wave number is below k, where u = 1 - (1 + (L k)^2)^(-1/2).
    share = (np.arange(_WAVES) + shift) / _WAVES
    number = np.sqrt(1.0 / (1.0 - share) ** 2 - 1.0) / length
    angle = 2.0 * math.pi * turn + _GOLDEN_ANGLE * np.arange(_WAVES)
    # Points share few coordinates: a wave is the product of one along and one across the light.
    (along, column), (across, row) = (
        np.unique(axis, return_inverse=True) for axis in np.moveaxis(points, -1, 0)
    )
    field = np.zeros((len(along), len(across)))
    for k, direction, (even, odd) in zip(number, angle, amplitude, strict=True):
        x, y = k * math.cos(direction) * along, k * math.sin(direction) * across
        field += np.multiply.outer(even * np.cos(x) + odd * np.sin(x), np.cos(y))
        field += np.multiply.outer(odd * np.cos(x) - even * np.sin(x), np.sin(y))
    return np.asarray(field[column, row])


def regional(machine: Machine, chip: Chip) -> dict[str, Floats]:
    """Return what errors of a drawn chip are larger by in one region of it.

    Within ``mesh.region_radius_um`` of a place every splitter and phase has a further error, so
    that all together have ``mesh.region_factor`` times the standard deviation of those elsewhere.
    Where the place is not given each chip has its own. A measured chip, which has no seed, has
    none.

    Returns
    -------
    dict
        By the name of an array of `Chip`; only those with errors.
    """
    mesh = machine.mesh
    if chip.seed is None or mesh.region_factor == 1.0 or mesh.region_radius_um == 0.0:
        return {}
    where = places(machine)
    centre = _centre(machine, chip.seed, where)
    more = math.sqrt(mesh.region_factor**2 - 1.0)
    deviations = dict.fromkeys(SOURCES["splitter"], mesh.splitter_error_rad)
    deviations |= dict.fromkeys(SOURCES["phase"], machine.phase.error_rad)
    found = {}
    for number, name in enumerate(_VARYING):
        if deviations[name] and getattr(chip, name).any():
            inside = np.hypot(*np.moveaxis(where[name] - centre, -1, 0)) <= mesh.region_radius_um
            drawn = normal_array(chip.seed, _REGIONAL + number, shape=inside.shape)
            found[name] = np.where(inside, more * deviations[name] * drawn, 0.0)
    return found


def _centre(machine: Machine, seed: int, where: Mapping[str, Floats]) -> Floats:
    """Return the centre of the region of one chip."""
    from scipy.special import ndtr

    points = np.concatenate([place.reshape(-1, 2) for place in where.values()])
    lowest, highest = points.min(axis=0), points.max(axis=0)
    drawn = lowest + ndtr(normal_array(seed, _CENTRE, shape=(2,))) * (highest - lowest)
    given = machine.mesh.region_x_um, machine.mesh.region_y_um
    return np.array([at if at is not None else d for at, d in zip(given, drawn, strict=True)])


def varied(chip: Chip, machine: Machine) -> Chip:
    """Return a drawn chip with all that neighbours have in common, as one that was measured.

    It has no seed then, so that nothing lays the same over it again. The chip itself, where the
    machine says that errors are independent.
    """
    found = correlated(chip, machine)
    more = regional(machine, chip)
    if found is chip and not more:
        return chip
    arrays = {name: getattr(found, name) + error for name, error in more.items()}
    return replace(found, seed=None, **arrays)
