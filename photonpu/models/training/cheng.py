"""The real slices: Cheng's T1 contrast-enhanced tumour MRI, split so that nothing leaks.

The file carries no patient numbers, but neighbouring ids are neighbouring slices of one patient.
So whole blocks of ids are held out, and a gap of 12 ids on either side of a block is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from photonpu.errors import DataError
from photonpu.models.preprocess import halve, halve_mask

TEST_BLOCKS = ((400, 519), (1250, 1419), (2200, 2399))
VALIDATION_BLOCKS = ((590, 640), (1500, 1542), (2500, 2600))
GAP = 12

Blocks = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """Images and masks side by side.

    Attributes
    ----------
    image : numpy.ndarray of float32, shape (slices, 128, 128)
        Grey values, not yet standardised.
    mask : numpy.ndarray of uint8, shape (slices, 128, 128)
        1 in the tumour, 0 elsewhere.
    id : numpy.ndarray of int64, shape (slices,)
    """

    image: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    id: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Count the slices."""
        return int(self.id.size)


def within(ids: npt.ArrayLike, blocks: Blocks, gap: int = 0) -> npt.NDArray[np.bool_]:
    """Tell which ids lie in a block, or at most ``gap`` ids away from one.

    Parameters
    ----------
    ids : array_like of int, shape (slices,)
    blocks : tuple of (int, int)
        First and last id of each block, both inside.
    gap : int
        By how many ids each block is widened at both ends.

    Returns
    -------
    numpy.ndarray of bool, shape (slices,)
    """
    values = np.asarray(ids)
    inside = np.zeros(values.shape, dtype=np.bool_)
    for first, last in blocks:
        inside |= (values >= first - gap) & (values <= last + gap)
    return inside


def split(ids: npt.ArrayLike) -> dict[str, npt.NDArray[np.bool_]]:
    """Assign each slice to ``training``, ``validation`` or ``test``, or to none of them.

    Parameters
    ----------
    ids : array_like of int, shape (slices,)

    Returns
    -------
    dict of str to numpy.ndarray of bool, shape (slices,)
        Slices in the gap around a held-out block are in no part.
    """
    near_test = within(ids, TEST_BLOCKS, GAP)
    near_validation = within(ids, VALIDATION_BLOCKS, GAP)
    return {
        "training": ~near_test & ~near_validation,
        "validation": within(ids, VALIDATION_BLOCKS) & ~near_test,
        "test": within(ids, TEST_BLOCKS),
    }


def read_slices(path: str | Path) -> dict[str, Slices]:
    """Read the file of 256 x 256 slices, halve them and split them.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with ``image`` and ``mask`` (slices, 256, 256) and ``id`` (slices,).

    Returns
    -------
    dict of str to Slices
        Keys ``training``, ``validation`` and ``test``.

    Raises
    ------
    DataError
        If the file is missing, or lacks one of the three arrays.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; hand over the .npz of Cheng's slices")
    with np.load(path) as archive:
        missing = {"image", "mask", "id"} - set(archive.files)
        if missing:
            raise DataError(f"{path}: lacks {', '.join(sorted(missing))}; it holds {archive.files}")
        image, mask, ids = archive["image"], archive["mask"], archive["id"]
    small, small_mask = halve(image).astype(np.float32), halve_mask(mask)
    return {
        name: Slices(small[part], small_mask[part], ids[part].astype(np.int64))
        for name, part in split(ids).items()
    }
