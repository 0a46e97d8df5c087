"""What no network at all achieves: one threshold for all images, and the largest piece above it.

A score is worth what it is above this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu.models.datasets import Dataset
from photonpu.models.metrics import dice

LEVELS = 64
# The threshold is searched on so many slices at most, evenly spaced.
SEARCHED = 64


@dataclass(frozen=True, slots=True)
class Baseline:
    """The best threshold and its masks.

    Attributes
    ----------
    channel
        Channel of the image that is compared with the threshold.
    threshold
        In the unit of the images as the network takes them.
    masks
        (S, H, W) bool, one connected piece a slice.
    """

    channel: int
    threshold: float
    masks: NDArray[np.bool_]


def best_threshold(dataset: Dataset) -> Baseline:
    """Return the threshold whose largest bright piece has the highest mean Dice.

    It is chosen by the truth of the very slices that it is scored on (64 of them at most), so
    its score is the best that any threshold reaches: a bar to clear, not a method.

    Parameters
    ----------
    dataset
        Images and truth.

    Returns
    -------
    Baseline
        Of `LEVELS` evenly spaced thresholds in each channel, the best.
    """
    searched = np.unique(np.linspace(0, len(dataset) - 1, SEARCHED).astype(int))
    best, best_score = (0, 0.0), -1.0
    for channel in range(dataset.channels):
        images = dataset.images[searched, channel]
        low, high = images.min(), np.quantile(images, 0.999)
        for threshold in np.linspace(low, high, LEVELS, endpoint=False):
            score = sum(
                dice(largest_piece(image > threshold), truth)
                for image, truth in zip(images, dataset.masks[searched], strict=True)
            )
            if score > best_score:
                best, best_score = (channel, float(threshold)), score
    channel, threshold = best
    masks = [largest_piece(image[channel] > threshold) for image in dataset.images]
    return Baseline(channel, threshold, np.stack(masks))


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest piece of `mask` whose pixels touch by their sides; empty if it is."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    return np.asarray(pieces == 1 + int(np.argmax(sizes[1:])))
