"""The noise of detectors and converters, source by source; `photonpu.simulator.noise` lists them.

Each function takes the machine and the chip, and returns an `Effect`: variances and errors in
units of one port's full-scale field.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, LinkBudget, Machine
from photonpu.hardware.link import intensity_variance
from photonpu.keyed import normal_array
from photonpu.simulator.effects import Effect
from photonpu.units import db_to_power

# Streams of random numbers of a chip's seed; those of `photonpu.hardware.chip` begin at 1.
_GAIN_STREAM, _OFFSET_STREAM = 100, 101


def shot(machine: Machine, chip: Chip) -> Effect:
    """Return the shot noise of signal and local oscillator."""
    del chip
    variance = LinkBudget.of(machine).variance
    return Effect(floor=variance.shot_floor, slope=variance.shot_slope)


def dark(machine: Machine, chip: Chip) -> Effect:
    """Return the shot noise of the photodiodes' dark current."""
    del chip
    return Effect(floor=LinkBudget.of(machine).variance.dark)


def thermal(machine: Machine, chip: Chip) -> Effect:
    """Return the noise of the transimpedance amplifier."""
    del chip
    return Effect(floor=LinkBudget.of(machine).variance.thermal)


def extinction(machine: Machine, chip: Chip) -> Effect:
    """Return the shot noise of light that modulators at zero let through.

    A modulator whose arms differ has a field at zero in quadrature to what it modulates, of
    ``epsilon^2 = 10^(-ER/10)`` of its power. Homodyne detection does not read it. Each port leaks
    as much, whatever its input, and a row of a tile passes on no more than one port's light.
    """
    del chip
    extinction_db = machine.optics.modulator_extinction_db
    if extinction_db is None:
        return Effect()
    return Effect(floor=LinkBudget.of(machine).variance.shot_slope * db_to_power(extinction_db))


def intensity(machine: Machine, chip: Chip) -> Effect:
    """Return the laser's relative intensity noise."""
    del chip
    floor, slope = intensity_variance(machine, LinkBudget.of(machine))
    return Effect(floor=floor, slope=slope)


def channels(machine: Machine, chip: Chip) -> Effect:
    """Return the light of neighbouring wavelengths that reaches a detector.

    A neighbour's beat leaks ``c = 10^(-isolation/10)`` of itself, as signal and oscillator both
    leak by the field. Neighbours carry other vectors of the same layer: values of the same size
    and of either sign. Of ``w`` wavelengths each has ``2 (w - 1) / w`` neighbours on average.
    """
    del chip
    isolation_db = machine.optics.channel_isolation_db
    if isolation_db is None:
        return Effect()
    neighbours = 2.0 * (machine.wavelengths - 1) / machine.wavelengths
    return Effect(slope=neighbours * db_to_power(isolation_db) ** 2)


def conversion(machine: Machine, chip: Chip) -> Effect:
    """Return the noise that leaves an ADC fewer effective bits than it has.

    Over a range from -1 to 1 a converter of ``b`` bits errs by the variance ``4^-b / 3``.
    """
    del chip
    bits, effective = machine.converters.adc_bits, machine.converters.adc_enob
    if effective is None:
        return Effect()
    return Effect(ranged=max(0.0, 4.0**-effective - 4.0**-bits) / 3.0)


def gain(machine: Machine, chip: Chip) -> Effect:
    """Return the mismatch of the detectors' gains."""
    return gain_errors(machine.detector.gain_error * _drawn(chip, _GAIN_STREAM))


def offset(machine: Machine, chip: Chip) -> Effect:
    """Return the detectors' offsets."""
    return offsets(machine.detector.offset_error * _drawn(chip, _OFFSET_STREAM))


def gain_errors(errors: NDArray[np.float64]) -> Effect:
    """Return the effect of relative errors of the gains, (cores, ports)."""
    return Effect(gain=1.0 + errors)


def offsets(errors: NDArray[np.float64]) -> Effect:
    """Return the effect of offsets in parts of the full-scale current, (cores, ports)."""
    return Effect(offset=errors)


def _drawn(chip: Chip, stream: int) -> NDArray[np.float64]:
    """Return a standard normal number for each detector of a chip; a measured chip is seed 0."""
    seed = chip.seed or 0
    return np.stack(
        [normal_array(seed, stream, core, shape=(chip.ports,)) for core in range(chip.cores)]
    )
