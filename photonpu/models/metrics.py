"""How well a mask agrees with the truth, case by case, and how sure a mean over cases is.

Empty masks follow MONAI: where neither mask has a pixel, Dice is 1 and the others are undefined;
where one of the two is empty, Dice and IoU are 0 and a distance is undefined. Undefined is NaN:
such cases are counted and left out of means, never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError
from photonpu.registry import Registry

Mask = NDArray[np.bool_]
Spacing = tuple[float, float]
Metric = Callable[[Mask, Mask, Spacing], float]

METRICS: Registry[Metric] = Registry("metric")
UNITS: Mapping[str, str] = MappingProxyType({"dice": "", "iou": "", "hd95": "mm"})

_DRAWN_AT_ONCE = 1 << 20


@METRICS.register("dice")
def dice(prediction: Mask, truth: Mask, spacing_mm: Spacing = (1.0, 1.0)) -> float:
    """Twice the overlap over the sum of the areas (Dice 1945, Ecology 26:297).

    Parameters
    ----------
    prediction, truth : (H, W) bool
        The masks.
    spacing_mm
        Distance of pixels along rows and columns; the score does not depend on it.

    Returns
    -------
    float
        0 to 1; 1 where both masks are empty.

    Raises
    ------
    InputError
        The masks differ in shape or do not have two axes.
    """
    overlap, union = _overlap_and_union(prediction, truth)
    return 2 * overlap / (union + overlap) if union else 1.0


@METRICS.register("iou")
def iou(prediction: Mask, truth: Mask, spacing_mm: Spacing = (1.0, 1.0)) -> float:
    """Intersection over union (Jaccard 1901).

    Parameters
    ----------
    prediction, truth : (H, W) bool
        The masks.
    spacing_mm
        Distance of pixels along rows and columns; the score does not depend on it.

    Returns
    -------
    float
        0 to 1; NaN where both masks are empty.

    Raises
    ------
    InputError
        The masks differ in shape or do not have two axes.
    """
    overlap, union = _overlap_and_union(prediction, truth)
    return overlap / union if union else float("nan")


@METRICS.register("hd95")
def hd95(prediction: Mask, truth: Mask, spacing_mm: Spacing = (1.0, 1.0)) -> float:
    """95th percentile of the distances between the edges, the worse of both directions, in mm.

    The edge of a mask is what an erosion by one pixel (four neighbours) takes away; at the border
    of the image every pixel is edge. The percentile is interpolated linearly.

    Parameters
    ----------
    prediction, truth : (H, W) bool
        The masks.
    spacing_mm
        Distance of pixels along rows and columns, mm.

    Returns
    -------
    float
        In mm; NaN where one of the masks is empty, or both.

    Raises
    ------
    InputError
        The masks differ in shape or do not have two axes, or a spacing is not above 0.
    """
    from scipy import ndimage

    _check(prediction, truth)
    if not all(0 < distance < float("inf") for distance in spacing_mm):
        raise InputError(f"spacing_mm={spacing_mm}: both distances must be above 0 and finite")
    if not prediction.any() or not truth.any():
        return float("nan")
    # Nothing outside the box around both masks enters a distance between them.
    rows, columns = _box(prediction | truth)
    edges = [
        mask & ~ndimage.binary_erosion(mask)
        for mask in (prediction[rows, columns], truth[rows, columns])
    ]
    from_prediction, from_truth = (
        ndimage.distance_transform_edt(~other, sampling=spacing_mm)[edge]
        for edge, other in (edges, edges[::-1])
    )
    return float(max(np.percentile(from_prediction, 95), np.percentile(from_truth, 95)))


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron 1979, Ann. Stat. 7:1).

    Parameters
    ----------
    values
        (n,) one value a case; NaN is left out.
    level
        Share of the resampled means that lie inside, above 0 and below 1.
    draws
        How many times the cases are drawn anew with replacement.
    seed
        Key of the draws: the same values and seed give the same interval.

    Returns
    -------
    tuple of two floats
        Lower and upper end; both NaN where no value is left.

    Raises
    ------
    InputError
        `level` or `draws` is out of range.
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: the level of an interval lies between 0 and 1")
    if draws < 1:
        raise InputError(f"draws={draws}: an interval needs 1 or more")
    cases = np.asarray(values, dtype=np.float64).ravel()
    cases = cases[~np.isnan(cases)]
    if not cases.size:
        return float("nan"), float("nan")
    generator = np.random.Generator(np.random.Philox(key=seed))
    means = np.empty(draws)
    at_once = max(1, _DRAWN_AT_ONCE // cases.size)
    for first in range(0, draws, at_once):
        block = means[first : first + at_once]
        drawn = generator.integers(cases.size, size=(len(block), cases.size))
        block[:] = cases[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _overlap_and_union(prediction: Mask, truth: Mask) -> tuple[int, int]:
    """Return the pixels in both masks, and in at least one."""
    _check(prediction, truth)
    return int(np.count_nonzero(prediction & truth)), int(np.count_nonzero(prediction | truth))


def _check(prediction: Mask, truth: Mask) -> None:
    """Refuse what is not a pair of masks of one shape."""
    if prediction.shape != truth.shape or prediction.ndim != 2:
        raise InputError(
            f"prediction has shape {prediction.shape} and truth {truth.shape}: "
            "a metric compares two masks of one shape (height, width)"
        )
    for name, mask in (("prediction", prediction), ("truth", truth)):
        if mask.dtype != np.bool_:
            raise InputError(f"{name} is {mask.dtype}: a mask is boolean, such as `output > 0.5`")


def _box(mask: Mask) -> tuple[slice, slice]:
    """Return the smallest box that holds every pixel of `mask`."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
