"""From a scanner's grey values to what the shipped network was trained on.

Two steps, in this order: halve the side by averaging (256 to 128 pixels), then standardise over
the head. Air around the head would otherwise decide the mean, so pixels at or below ``floor``
stay out of the statistics, though they are shifted and scaled like all others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photonpu.errors import DataError

FLOOR = 10.0


def zscore(image: npt.ArrayLike, floor: float = FLOOR) -> npt.NDArray[np.float32]:
    """Shift and scale an image so that its foreground has mean 0 and standard deviation 1.

    Parameters
    ----------
    image : array_like, any shape, usually (height, width)
        Grey values in the scanner's or the file's own unit, 0 to 255 for 8-bit images.
    floor : float
        Pixels above this value are foreground, in the unit of ``image``.

    Returns
    -------
    numpy.ndarray of float32, same shape
        All zeros where no pixel lies above ``floor``, since nothing defines a scale there.

    Raises
    ------
    DataError
        If a value is not finite.
    """
    values = np.asarray(image, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise DataError("image holds NaN or infinity: replace these pixels before zscore")
    foreground = values[values > floor]
    if foreground.size == 0:
        return np.zeros(values.shape, dtype=np.float32)
    spread = float(foreground.std()) or 1.0
    return np.asarray((values - foreground.mean()) / spread, dtype=np.float32)


def halve(image: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Average each 2 x 2 block of pixels.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        Height and width are even.

    Returns
    -------
    numpy.ndarray of float64, shape (..., height / 2, width / 2)

    Raises
    ------
    DataError
        If height or width is odd, or if there are fewer than two axes.
    """
    values = np.asarray(image, dtype=np.float64)
    if values.ndim < 2 or values.shape[-2] % 2 or values.shape[-1] % 2:
        raise DataError(f"image of shape {values.shape}: halving needs an even height and width")
    height, width = values.shape[-2] // 2, values.shape[-1] // 2
    blocks = values.reshape(*values.shape[:-2], height, 2, width, 2)
    return np.asarray(blocks.mean(axis=(-3, -1)))


def halve_mask(mask: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Halve a binary mask: a block of 2 x 2 pixels is set if more than two of them are.

    Parameters
    ----------
    mask : array_like, shape (..., height, width)
        Values above 0 are the structure.

    Returns
    -------
    numpy.ndarray of uint8, shape (..., height / 2, width / 2)
        Values 0 and 1.

    Raises
    ------
    DataError
        If height or width is odd.
    """
    return (halve(np.asarray(mask) > 0) > 0.5).astype(np.uint8)
