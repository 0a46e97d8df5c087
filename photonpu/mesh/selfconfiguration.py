"""Programming a chip of which nothing is known but what it does: measure, set, measure again.

The field of a tile is ``A + e^{i x} B`` in each of the phases x of its meshes, whatever splitters,
offsets and losses are. Two measurements half a turn apart therefore give the exact derivative
(the parameter shift of Mitarai et al. 2018, Phys. Rev. A 98, 032309), and those of all shifters
the step of Levenberg (1944) and Marquardt (1963). Only outputs are measured, as in the
self-configuration of Miller (2013, Opt. Express 21, 6360) and of Hamerly, Bandyopadhyay and
Englund (2022, Phys. Rev. Appl. 18, 024019), whose nulling sets one interferometer at a time. A
tile has ``2 N^2`` phases and homodyne detection reads ``N^2`` numbers: what one part cannot reach,
others make up for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.mesh.values import wrap

Floats = NDArray[np.float64]
#: From settings of all shifters (S, P) to what homodyne detection reads (S, R, C), for unit
#: fields at the C inputs that are used, at the R outputs that are used.
Measure = Callable[[Floats], Floats]

_AT_ONCE = 256  # settings that are measured in one call
_NUDGE = 0.01  # rad, for the derivative in an attenuator's phase
_FIRST_DAMPING = 1e-2
_LEAST_DAMPING = 1e-9
_TRIES = 8  # dampings for one derivative


def configure(
    measure: Measure, goal: Floats, settings: Floats, attenuators: int, rounds: int
) -> tuple[Floats, Floats]:
    """Bring a tile nearer to its goal by measuring its outputs alone.

    A round measures the tile at two settings for each shifter, and a few more. Dead shifters need
    not be known: nothing changes with them, and they are left alone.

    Parameters
    ----------
    measure
        The tile on its chip.
    goal
        (R, C) what it should read.
    settings
        (P,) where to start, rad; attenuators last.
    attenuators
        How many of the shifters belong to attenuators, whose field follows half the phase.
    rounds
        How often the derivatives are measured.

    Returns
    -------
    settings
        (P,) the best that were found, in [0, 2 pi).
    error
        (rounds + 1,) relative error before, and after each round; it never rises.

    Raises
    ------
    InputError
        If `rounds` is negative, or there are more attenuators than shifters.
    """
    if rounds < 0 or not 0 <= attenuators <= len(settings):
        raise InputError(
            f"rounds={rounds}, attenuators={attenuators} of {len(settings)} shifters: 0 rounds or "
            "more are needed, and no more attenuators than shifters"
        )
    now = wrap(settings)
    rest = measure(now[None])[0] - goal
    size = float(np.linalg.norm(goal)) or 1.0
    errors, damping = [float(np.linalg.norm(rest)) / size], _FIRST_DAMPING
    for _ in range(rounds):
        slopes = _slopes(measure, now, rest + goal, attenuators)
        for _ in range(_TRIES):
            tried = _moved(now, _step(slopes, rest.ravel(), damping), attenuators)
            found = measure(tried[None])[0] - goal
            if np.linalg.norm(found) < np.linalg.norm(rest):
                now, rest = tried, found
                damping = max(damping / 8.0, _LEAST_DAMPING)
                break
            damping *= 8.0
        errors.append(float(np.linalg.norm(rest)) / size)
    return now, np.array(errors)


def _slopes(measure: Measure, now: Floats, read: Floats, attenuators: int) -> Floats:
    """Return the derivatives (R C, P) of what is read in every setting.

    In a phase x of a mesh they are the change of what is read a quarter of a turn to both sides,
    halved: of ``Re(A + e^{i x} B)`` it is ``Re(i e^{i x} B)``. One of an attenuator is nudged.
    """
    meshes = len(now) - attenuators
    slopes = np.empty((read.size, len(now)))
    for first in range(0, len(now), _AT_ONCE):
        which = np.arange(first, min(first + _AT_ONCE, len(now)))
        shift = np.where(which < meshes, np.pi / 2.0, _NUDGE)
        shift = np.where((which >= meshes) & (now[which] > np.pi), -_NUDGE, shift)
        tried = np.repeat(now[None], len(which), axis=0)
        places = np.arange(len(which))
        tried[places, which] = wrap(now[which] + shift)
        ahead = measure(tried).reshape(len(which), -1)
        turned = which < meshes
        behind = np.repeat(read.reshape(1, -1), len(which), axis=0)
        if turned.any():
            tried[places, which] = wrap(now[which] - shift)
            behind[turned] = measure(tried[turned]).reshape(int(turned.sum()), -1)
        width = np.where(turned, 2.0, shift)
        slopes[:, which] = ((ahead - behind) / width[:, None]).T
    return slopes


def _step(slopes: Floats, rest: Floats, damping: float) -> Floats:
    """Return the smallest change of the settings that takes `rest` away, as far as damped."""
    normal = slopes @ slopes.T
    strength = np.trace(normal) / len(normal)
    normal[np.diag_indices_from(normal)] += max(damping * strength, 1e-300)
    change: Floats = -slopes.T @ np.linalg.solve(normal, rest)
    return change


def _moved(now: Floats, change: Floats, attenuators: int) -> Floats:
    """Return settings after a change; those of attenuators stop at the ends of their range."""
    meshes = len(now) - attenuators
    moved = now + change
    ends = np.clip(moved[meshes:], 0.0, 2.0 * np.pi - 1e-6)
    return np.concatenate([wrap(moved[:meshes]), ends])
