"""The receiver of every sample: converters and detector noise of one session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu import keyed
from photonpu.hardware import LinkBudget, Machine

#: How detector noise is drawn, and what that is.
SAMPLINGS = {
    "exact": "a normal number for each ADC sample",
    "fast": "the same, of 16 bits of radius and 16 of angle, after seven rounds of Philox",
    "merged": "one number for each output, of the variance of all its samples together; exact "
    "where the noise is smaller than half a step of the ADC",
}
_DETECTOR_STREAM = 0x64657463  # sets shot noise apart from a chip's draws


@dataclass(frozen=True, slots=True)
class Receiver:
    """The receiver of every sample: noise variances and converter levels of one session.

    Attributes
    ----------
    floor, slope
        Variance of a sample ``y`` is ``floor + slope * y^2``, in squared units of one port's
        full-scale field.
    adc_levels, dac_levels
        Levels on each side of zero; 0 where the converter is switched off.
    key
        (2,) words that key the shot noise.
    sampling
        How it is drawn: an entry of `SAMPLINGS`.
    """

    floor: float
    slope: float
    adc_levels: float
    dac_levels: float
    key: NDArray[np.uint32]
    sampling: str = "exact"

    @classmethod
    def of(
        cls,
        machine: Machine,
        sources: frozenset[str],
        chip: int,
        seed: int,
        sampling: str = "exact",
    ) -> Receiver:
        """Return the receiver that `machine` has with the noise `sources` switched on."""
        floor = slope = 0.0
        if sources & {"shot", "thermal"}:
            shot_floor, shot_slope, thermal = LinkBudget.of(machine).variance
            if "shot" in sources:
                floor, slope = floor + shot_floor, slope + shot_slope
            if "thermal" in sources:
                floor += thermal
        counter = [[_DETECTOR_STREAM, chip & 0xFFFFFFFF, chip >> 32, 0]]
        return cls(
            floor=floor,
            slope=slope,
            adc_levels=_levels(machine.converters.adc_bits) if "adc" in sources else 0.0,
            dac_levels=_levels(machine.converters.input_bits) if "input_dac" in sources else 0.0,
            key=keyed.philox(counter, [seed & 0xFFFFFFFF, seed >> 32])[0, :2].copy(),
            sampling=sampling,
        )


def _levels(bits: int) -> float:
    """Return the levels of a signed converter on each side of zero."""
    return float(2 ** (bits - 1) - 1)
