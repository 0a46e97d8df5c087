"""Memory for the tensors of a run, kept for the next: fresh pages cost more than to fill them."""

from __future__ import annotations

import bisect
import math

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
_LINE = 64  # bytes; neighbours share no line of the cache
_ELEMENT = 4


class Buffers:
    """One block of memory of which tensors take parts, and give them back.

    Each takes the first gap that it fits into, so that no more of the block is ever touched than
    was taken at once. What fits nowhere is memory of its own.

    Parameters
    ----------
    size
        Bytes that may be taken at once.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        lines = max(0, size) // _LINE
        self._block = np.empty((lines + 1) * _LINE // _ELEMENT, np.float32)
        self._begin = _place(self._block)
        self._first = -self._begin % _LINE // _ELEMENT
        self._gaps = [(0, lines)]
        self._taken: dict[int, tuple[int, int]] = {}
        # What was taken last, and where it begins: to ask an array for that takes time.
        self._latest: tuple[Singles, int] = self._block, self._begin

    def singles(self, shape: tuple[int, ...]) -> Singles:
        """Return an array, its numbers arbitrary."""
        needed = -(-math.prod(shape) * _ELEMENT // _LINE)
        for index, (begin, end) in enumerate(self._gaps):
            if 0 < needed <= end - begin:
                self._gaps[index : index + 1] = [(begin + needed, end)] * (end - begin > needed)
                first = self._first + begin * _LINE // _ELEMENT
                array = self._block[first : first + math.prod(shape)].reshape(shape)
                self._latest = array, self._begin + first * _ELEMENT
                self._taken[self._latest[1]] = begin, begin + needed
                return array
        return np.empty(shape, np.float32)

    def give(self, array: NDArray[np.generic]) -> None:
        """Take back the memory of an array, or of a view of all of it, that nobody reads again.

        Arrays that have other memory are left alone.
        """
        if array.base is not self._block or not array.size:
            return
        latest, place = self._latest
        found = self._taken.pop(place if array is latest else _place(array), None)
        if found is None:
            return
        begin, end = found
        at = bisect.bisect(self._gaps, found)
        if at < len(self._gaps) and self._gaps[at][0] == end:
            end = self._gaps.pop(at)[1]
        if at and self._gaps[at - 1][1] == begin:
            at -= 1
            begin = self._gaps.pop(at)[0]
        self._gaps.insert(at, (begin, end))


def _place(array: NDArray[np.generic]) -> int:
    """Return where the numbers of an array begin."""
    place: int = array.__array_interface__["data"][0]
    return place
