"""The modulators: from numbers to fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.simulator import kernels_layout

Singles = NDArray[np.float32]


def driven(values: Singles, full_scale: float, levels: float, response: str) -> Singles:
    """Return the fields that modulators make of numbers, in units of full scale.

    The field of an interferometer in push-pull is the sine of its drive. Driven by the number
    itself it makes ``sin(pi x / 2)`` of ``x``; predistorted, the DAC gives ``(2 / pi) asin(x)``,
    and only its levels are uneven.

    Parameters
    ----------
    values
        Any shape.
    full_scale
        Largest value that is represented; what is larger is clipped to it.
    levels
        Levels of the DAC on each side of zero; 0 for none.
    response
        ``"sine"`` or ``"predistorted"``.

    Returns
    -------
    ndarray
        Same shape, in single precision.
    """
    relative = np.clip(values / np.float64(full_scale), -1.0, 1.0)
    drive = 2.0 / np.pi * np.arcsin(relative) if response == "predistorted" else relative
    if levels > 0.0:
        drive = np.rint(drive * levels) / levels
    return np.asarray(np.sin(np.pi / 2.0 * drive), np.float32)


def encoded(values: Singles, full_scale: float, levels: float, response: str) -> Singles:
    """Return the fields of vectors: those of `driven`, or proportional to the DAC's codes."""
    if response == "linear":
        return kernels_layout.quantise(values, full_scale, levels)
    return driven(values, full_scale, levels, response)
