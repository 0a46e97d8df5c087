"""What the compiled kernels of `photonpu.compiler.kernels_ranges` compute, written literally."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Words = NDArray[np.uint32]


def edges(top: Longs, bins: int, shift: int) -> Floats:
    """Return where the bins of histograms of absolute values begin.

    A bin holds the numbers whose bits, but for the last `shift` of the fraction and the sign, are
    the same: the bins of an octave are equally wide, and there are ``2^(23 - shift)`` of them.

    Parameters
    ----------
    top
        (G,) bits, without the last `shift`, of the numbers in the last bin of each histogram.
    bins, shift
        Bins of a histogram, and bits of a fraction that do not count.

    Returns
    -------
    ndarray
        (G, bins).
    """
    codes = np.maximum(0, top[:, None] + np.arange(1 - bins, 1))
    return np.asarray((codes << shift).astype(np.uint32).view(np.float32), np.float64)


def largest_sums(vectors: Singles, numbers: Singles, places: Longs) -> Singles:
    """Return the largest absolute output of each tile.

    Parameters
    ----------
    vectors
        (V, C) inputs, V of 1 or more.
    numbers
        (T, N, N) the tiles, zero beyond their columns and rows.
    places
        (T, 3) where the inputs of each tile begin, how many they are, and its rows.

    Returns
    -------
    ndarray
        (T,).
    """
    largest = np.empty(len(numbers), np.float32)
    for tile, (column, width, rows) in enumerate(places):
        inputs = vectors[:, column : column + width]
        largest[tile] = np.abs(inputs @ numbers[tile, :rows, :width].T).max()
    return largest


def count(values: Singles, starts: Longs, top: Longs, shift: int, counts: Words | Longs) -> None:
    """Count absolute values in bins.

    Parameters
    ----------
    values
        (M, n) finite.
    starts
        (G + 1,) the first row of each group of rows, and M.
    top, shift
        As for `edges`; no value lies beyond the last bin of its group.
    counts
        (G, 1 + bins): what is below the first bin, and in each. Added to.
    """
    below = edges(top, counts.shape[1] - 1, shift)
    for group, rows in enumerate(pairwise(starts)):
        sizes = np.abs(values[slice(*rows)], dtype=np.float64).ravel()
        inside = np.searchsorted(below[group], sizes, side="right")
        counts[group] += np.bincount(inside, minlength=counts.shape[1]).astype(counts.dtype)


def conversion_errors(
    begins: Floats, largest: Floats, counts: Words | Longs, clips: Floats, levels: float
) -> Floats:
    """Sum what a converter adds to the squares of the errors of values in bins.

    A converter of full scale ``c`` rounds to multiples of ``c / levels`` and clips at ``c``. Values
    of one bin are taken to be spread evenly over it; the integral is exact.

    Parameters
    ----------
    begins
        (G, bins) where bins begin; below the first begins one more at zero.
    largest
        (G,) where the last ends.
    counts
        (G, 1 + bins) values in each.
    clips
        (G, C) full scales to try, positive.
    levels
        Levels of the converter on each side of zero.

    Returns
    -------
    ndarray
        (G, C).
    """
    ends = np.concatenate([begins, largest[:, None]], axis=1)
    begins = np.concatenate([np.zeros_like(largest)[:, None], begins], axis=1)
    width = (ends - begins)[:, None, :]
    clip, number = clips[:, :, None], counts[:, None, :].astype(np.float64)
    inside = _integral(ends[:, None, :], clip, levels) - _integral(begins[:, None, :], clip, levels)
    mean = np.divide(inside, width, out=np.zeros_like(inside), where=width > 0)
    step = clip / levels
    alone = (begins[:, None, :] - np.minimum(clip, step * np.rint(begins[:, None, :] / step))) ** 2
    return np.asarray((number * np.where(width > 0, mean, alone)).sum(axis=2))


def _integral(value: Floats, clip: Floats, levels: float) -> Floats:
    """Integrate the squared error of a converter from zero to `value`."""
    step = clip / levels
    code = np.minimum(levels, np.floor(value / step + 0.5))
    return np.asarray(code * step**3 / 12 + (value - code * step) ** 3 / 3)
