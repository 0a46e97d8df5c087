"""Numbers that are none, or beyond what a step was calibrated for: named, never passed on."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError, PhotonpuWarning
from photonpu.program import PhotonicStep, ReprogrammedStep
from photonpu.simulator import kernels_layout
from photonpu.simulator.flow import Source

_FAR = 1000.0  # times the range of calibration: no tail of the data, but another unit
Step = PhotonicStep | ReprogrammedStep


def single(
    step: Step, name: str, x: NDArray[Any], full_scale: float | None = None
) -> NDArray[np.float32]:
    """Return one tensor that a step takes in single precision, once it is sure that it is finite.

    Parameters
    ----------
    step
        The step.
    name
        The tensor's name.
    x
        Its values.
    full_scale
        To which a converter clips them; None where none does.

    Raises
    ------
    InputError
        It holds NaN or infinity.

    Warns
    -----
    PhotonpuWarning
        It is clipped to less than a thousandth.
    """
    values = narrowed(x)
    sure(step, Source(name), values, kernels_layout.peak(values), full_scale)
    return values


def narrowed(x: NDArray[Any]) -> NDArray[np.float32]:
    """Return a tensor in single precision; whoever sees an infinity that it came to names it."""
    if x.dtype == np.float32:
        return x
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def sure(
    step: Step,
    source: Source,
    x: NDArray[np.float32],
    largest: float,
    full_scale: float | None = None,
) -> None:
    """Make sure that a tensor that a step takes is finite.

    Parameters
    ----------
    step, full_scale
        As for `single`.
    source
        Where the tensor comes from.
    x
        Its values.
    largest
        The largest of their magnitudes.

    Raises
    ------
    InputError
        It holds NaN or infinity.

    Warns
    -----
    PhotonpuWarning
        It is clipped to less than a thousandth.
    """
    if not math.isfinite(largest):
        raise InputError(
            f"node '{step.name}' ({step.op}): its input '{source.name}' holds NaN or infinity; "
            "check the network with onnxruntime on the same data"
        )
    if full_scale is None or largest <= _FAR * full_scale:
        return
    if source.rectified:
        largest = float(x.max(initial=0.0))
    if largest > _FAR * full_scale:
        warnings.warn(
            f"node '{step.name}' ({step.op}): its input '{source.name}' reaches {largest:.3g} and "
            f"is clipped to {full_scale:.3g}, the range that calibration found; is it in the unit "
            "of the calibration data?",
            PhotonpuWarning,
            stacklevel=3,
        )


def product(step: Step, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a step gives for finite inputs, once it is sure that it is finite.

    Raises
    ------
    InputError
        It overflows single precision.
    """
    bounded(step, kernels_layout.peak(y))
    return y


def bounded(step: Step, largest: float) -> None:
    """Make sure that what a step gives for finite inputs is finite, by its largest magnitude.

    Raises
    ------
    InputError
        It overflows single precision.
    """
    if not math.isfinite(largest):
        raise InputError(
            f"node '{step.name}' ({step.op}): its output is beyond single precision, 3.4e38; "
            "scale the data or the weights down"
        )
