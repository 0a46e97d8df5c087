"""What has happened to a chip since it was calibrated: time has passed, and it is warmer or colder.

Each function takes the machine and the chip, and returns what is added to arrays of the chip.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.keyed import normal_array

Floats = NDArray[np.float64]

# Streams of random numbers of a chip's seed; those of `photonpu.mesh.variation` are below.
_WALK, _PATH = 300, 310
_HOUR_S = 3600.0


def drift(machine: Machine, chip: Chip) -> dict[str, Floats]:
    """Return how far phases have walked since they were calibrated.

    A random walk: normal, with a variance that grows with the time. Over several times the same
    chip goes further the same way.
    """
    hours = machine.environment.since_calibration_s / _HOUR_S
    deviation = machine.phase.drift_rad_per_rth * math.sqrt(hours)
    return _drawn(chip, deviation, _WALK)


def ambient(machine: Machine, chip: Chip) -> dict[str, Floats]:
    """Return what another temperature than that of the calibration does.

    Both arms of an interferometer become longer alike; only what one path is longer than the other
    turns the phase, by ``2 pi / lambda (dn/dT) dL dT``. Shifters give another phase for a setting,
    as heaters have another resistance and waveguides another thermo-optic coefficient.
    """
    warmer = machine.environment.ambient_change_k
    wave_number = 2.0 * math.pi / (machine.optics.wavelength_nm * 1e-3)  # rad/um
    per_um = wave_number * machine.phase.thermo_optic_per_k * warmer
    found = _drawn(chip, machine.mesh.path_difference_um * per_um, _PATH)
    response = machine.phase.response_per_k * warmer
    if response:
        for name in SOURCES["heater"]:
            found[name] = np.full(getattr(chip, name).shape, response)
    return found


def _drawn(chip: Chip, deviation: float, stream: int) -> dict[str, Floats]:
    """Return normal errors of all phases of a chip; a measured chip is seed 0."""
    if deviation == 0.0:
        return {}
    seed = chip.seed or 0
    return {
        name: deviation * normal_array(seed, stream + number, shape=getattr(chip, name).shape)
        for number, name in enumerate(SOURCES["phase"])
    }
