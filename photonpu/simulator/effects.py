"""What a noise source does to the samples of the detectors, and how several add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effect:
    """What acts on a sample ``y``: ``gain y + offset``, and noise of a variance.

    In units of one port's full-scale field at the detector, as `photonpu.hardware.link`. What may
    differ from detector to detector is a number or an array (cores, ports), by output port.

    Attributes
    ----------
    floor
        Variance of a sample, whatever it is.
    slope
        Variance for each unit of ``y**2``; one number.
    ranged
        Variance for each unit of the square of the ADC's range; one number.
    gain
        What the photocurrent is multiplied by; noise is added behind it.
    offset
        What is added to each sample.
    """

    floor: ArrayLike = 0.0
    slope: float = 0.0
    ranged: float = 0.0
    gain: ArrayLike = 1.0
    offset: ArrayLike = 0.0

    def times(self, strength: float) -> Effect:
        """Return the effect of a source that is `strength` times as strong, in amplitude."""
        return Effect(
            floor=np.asarray(self.floor) * strength**2,
            slope=self.slope * strength**2,
            ranged=self.ranged * strength**2,
            gain=1.0 + strength * (np.asarray(self.gain) - 1.0),
            offset=np.asarray(self.offset) * strength,
        )


@dataclass(frozen=True, slots=True)
class Total:
    """Several effects together; arrays are (cores, ports), as in `Effect`."""

    floor: Floats
    slope: float
    ranged: float
    gain: Floats
    offset: Floats


def together(effects: Iterable[tuple[str, Effect]], shape: tuple[int, int]) -> Total:
    """Return effects together: gains multiply, everything else adds up.

    Parameters
    ----------
    effects
        With the name of the source of each.
    shape
        (cores, ports).

    Raises
    ------
    InputError
        An array does not fit the detectors, a number is not finite, or a variance is negative.
    """
    floor, gain, offset = np.zeros(shape), np.ones(shape), np.zeros(shape)
    slope = ranged = 0.0
    for name, effect in effects:
        parts = {
            entry.name: _fitting(name, entry.name, effect, shape)
            for entry in fields(Effect)
            if not _is(entry.default, getattr(effect, entry.name))
        }
        floor = floor + parts.get("floor", 0.0)
        gain = gain * parts.get("gain", 1.0)
        offset = offset + parts.get("offset", 0.0)
        slope += effect.slope
        ranged += effect.ranged
    return Total(floor, slope, ranged, gain, offset)


def _is(number: object, value: ArrayLike) -> bool:
    """Return whether a value is just this number."""
    return isinstance(value, float) and value == number


def _fitting(name: str, part: str, effect: Effect, shape: tuple[int, int]) -> Floats:
    """Return one part of an effect for every detector, once it is sure that it makes sense."""
    value = np.asarray(getattr(effect, part), np.float64)
    if value.shape not in ((), shape) or (part in ("slope", "ranged") and value.ndim):
        wanted = "a number" if part in ("slope", "ranged") else f"a number or an array {shape}"
        raise InputError(f"noise source '{name}': '{part}' of shape {value.shape}: give {wanted}")
    if not np.isfinite(value).all():
        raise InputError(f"noise source '{name}': '{part}' is not finite")
    if part in ("floor", "slope", "ranged") and value.min() < 0:
        raise InputError(f"noise source '{name}': '{part}' is a variance, and {value.min():g} < 0")
    return np.broadcast_to(value, shape)
