"""What constants of integers stand for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler.graph import Array


def real(
    values: Array,
    scale: Array | None = None,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block: int = 0,
) -> NDArray[np.float32]:
    """Return ``(values - zero_point) * scale``, as DequantizeLinear computes it.

    Parameters
    ----------
    values
        The integers.
    scale, zero_point
        One number; or one for each index of `axis`; or as many axes as `values`. Without them 1
        and 0.
    axis
        Where one number an index, or one a block, lies.
    block
        Elements along `axis` that share a scale, 0 for all.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    result = values.astype(np.float32)
    with np.errstate(over="ignore"):  # infinity is refused where it would reach the mesh
        if zero_point is not None:
            result -= _along(zero_point, values.shape, axis, block)
        if scale is not None:
            result *= _along(scale, values.shape, axis, block)
    return result


def _along(numbers: Array, shape: tuple[int, ...], axis: int, block: int) -> NDArray[np.float32]:
    """Lay numbers out so that they broadcast with a tensor of `shape`."""
    spread = numbers.astype(np.float32)
    if block:
        return np.repeat(spread, block, axis=axis).take(range(shape[axis]), axis=axis)
    if spread.size == 1:
        return spread.reshape(())
    if spread.ndim != 1 or len(shape) == 1:
        return spread
    places = [1] * len(shape)
    places[axis] = -1
    return spread.reshape(places)
