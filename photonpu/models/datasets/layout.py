"""What a layout of files is to the loader."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import DataError
from photonpu.registry import did_you_mean

Channels = int | str | Sequence[str] | None
"""Which channels: a number of them, names, or None for all."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One image and its truth as read from a file.

    Attributes
    ----------
    id
        Its name.
    image
        (C, H, W) grey values, 0 to 255 unless `ready`.
    mask
        (H, W) bool.
    spacing_mm
        Distance of pixels along rows and columns, mm.
    source
        The file, for messages.
    ready
        The image is normalised already, as far as anybody can tell.
    """

    id: str
    image: NDArray[Any]
    mask: NDArray[np.bool_]
    spacing_mm: tuple[float, float]
    source: str
    ready: bool = False


Reader = Callable[[], Slice | None]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a layout finds at a path, nothing of it read yet.

    Attributes
    ----------
    readers
        One function for each slice; it returns None where there is nothing to see.
    notes
        What the reader of a result should know.
    """

    readers: tuple[Reader, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A way in which images and masks lie on disk.

    Attributes
    ----------
    holds
        The files, in one line for messages and documentation.
    detects
        Whether a path looks like this layout; looks at names only.
    lists
        Finds the slices; takes the path and the channels wanted.
    """

    holds: str
    detects: Callable[[Path], bool]
    lists: Callable[[Path, Channels], Listing]


SPACING_UNKNOWN = "the files do not say how far pixels lie apart: 1 mm in the original is assumed"


def choose(
    names: tuple[str, ...], wanted: Channels, source: object, single: str | None = None
) -> tuple[int, ...]:
    """Return the places of the channels wanted among those there are.

    Parameters
    ----------
    names
        Channels there are, in order.
    wanted
        How many, or which by name; None for all.
    source
        The file, for messages.
    single
        The channel to take where one is wanted and there are several.

    Raises
    ------
    DataError
        A name is not among them, or the number cannot be had.
    """
    if wanted is None or wanted == len(names):
        return tuple(range(len(names)))
    if wanted == 1 and single is not None:
        return (names.index(single),)
    there = ", ".join(f"'{name}'" for name in names)
    if isinstance(wanted, int):
        raise DataError(
            f"'{source}' has {len(names)} channel{'s' * (len(names) != 1)} ({there}) and "
            f"{wanted} {'is' if wanted == 1 else 'are'} wanted: name them with channels=[...]"
        )
    chosen = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in chosen:
        if name not in names:
            raise DataError(
                f"'{source}' has no channel '{name}' but {there}{did_you_mean(name, names)}"
            )
    return tuple(names.index(name) for name in chosen)


def left_out(images: Sequence[Path], total: int) -> tuple[str, ...]:
    """Return the note on images that have no mask, if there are any."""
    if not images:
        return ()
    shown = ", ".join(f"'{path.name}'" for path in images[:3]) + ", ..." * (len(images) > 3)
    return (f"{len(images)} of {total} images have no mask and are left out: {shown}",)


def numerically(path: Path) -> list[str | int]:
    """Return a key that sorts the numbers in a name by value: slice 2 before slice 10."""
    parts = re.split(r"(\d+)", str(path))
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def eight_bit(values: NDArray[Any]) -> NDArray[Any]:
    """Bring grey values to 0 to 255: bytes as they are, all else by its smallest and largest.

    Integers of 0 to 255 in a wider type count as bytes; 0 stays 0 unless there are lower values.
    """
    low, high = min(0.0, float(values.min())), float(values.max())
    if high <= low or (values.dtype.kind in "ui" and low == 0 and high <= 255):
        return values
    scaled: NDArray[np.float32] = ((values - low) * (255.0 / (high - low))).astype(np.float32)
    return scaled
