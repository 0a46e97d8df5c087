"""The ends of a session's light path: modulators before the meshes, detectors and ADCs behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu import keyed
from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.simulator.effects import Effect, Total, together
from photonpu.simulator.noise import NOISES, Strength

#: How detector noise is drawn, and what that is.
SAMPLINGS = {
    "exact": "a normal number for each ADC sample",
    "fast": "the same, of 16 bits of radius and 16 of angle, after five rounds of ARS, not seven",
    "merged": "one number for each output, of the variance of all its samples together; as 'exact' "
    "where the noise is too small, below half a step, to hide the ADC's steps",
}
_DETECTOR_STREAM = 0x64657463  # sets shot noise apart from a chip's draws


@dataclass(frozen=True, slots=True)
class Receiver:
    """What one session's vectors meet before and behind the meshes.

    Attributes
    ----------
    effects
        Noise and errors of the detectors, by core and output port.
    adc_levels, dac_levels
        Levels on each side of zero; 0 where the converter is switched off.
    key
        (2,) words that key the noise of the samples.
    sampling
        How it is drawn: an entry of `SAMPLINGS`.
    dithered
        Whether the ADC rounds by chance.
    response
        Field of a modulator by its code: as ``optics.modulator_response``.
    """

    effects: Total
    adc_levels: float
    dac_levels: float
    key: NDArray[np.uint32]
    sampling: str = "exact"
    dithered: bool = False
    response: str = "linear"

    @property
    def clips(self) -> bool:
        """Whether inputs beyond full scale are clipped to it."""
        return self.dac_levels > 0 or self.response != "linear"

    @classmethod
    def of(
        cls,
        machine: Machine,
        strengths: Mapping[str, Strength],
        chip: Chip,
        seed: int,
        sampling: str = "exact",
    ) -> Receiver:
        """Return the receiver of a chip of `machine` on which sources act so strongly.

        Raises
        ------
        InputError
            What a source does fits no detector.
        """
        number = chip.seed or 0
        counter = [[_DETECTOR_STREAM, number & 0xFFFFFFFF, number >> 32, 0]]
        converters = machine.converters
        return cls(
            effects=together(
                [
                    (name, _effect(name, strength, machine, chip))
                    for name, strength in strengths.items()
                ],
                (chip.cores, chip.ports),
            ),
            adc_levels=_levels(converters.adc_bits) if "adc" in strengths else 0.0,
            dac_levels=_levels(converters.input_bits) if "input_dac" in strengths else 0.0,
            key=keyed.philox(counter, [seed & 0xFFFFFFFF, seed >> 32])[0],
            sampling=sampling,
            dithered="adc" in strengths and converters.adc_rounding == "stochastic",
            response=machine.optics.modulator_response if "modulator" in strengths else "linear",
        )


def _effect(name: str, strength: Strength, machine: Machine, chip: Chip) -> Effect:
    """Return what a source does to samples."""
    entry = NOISES[name]
    if isinstance(strength, np.ndarray):
        return entry.measured(strength) if entry.measured else Effect()
    effect = entry.act(machine, chip) if entry.act else Effect()
    if not isinstance(effect, Effect):
        raise InputError(
            f"noise source '{name}': its function returned {type(effect).__name__}; an Effect is "
            "needed"
        )
    return effect.times(strength)


def _levels(bits: int) -> float:
    """Return the levels of a signed converter on each side of zero."""
    return float(2 ** (bits - 1) - 1)
