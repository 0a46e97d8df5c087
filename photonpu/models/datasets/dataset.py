"""A data set in memory: images as a network takes them, the truth, and what to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import DataError


@dataclass(frozen=True, slots=True)
class Dataset:
    """S slices of one size, their arrays read-only.

    Attributes
    ----------
    name
        File or folder that it came from.
    images
        (S, C, H, W) float32, normalised as the network takes them.
    masks
        (S, H, W) bool, the truth.
    raw
        (S, H, W) uint8 grey values of the first channel, for pictures.
    ids
        One name a slice.
    spacing_mm
        (S, 2) distance of pixels along rows and columns, mm.
    notes
        What a reader of the results should know: slices left out, spacing assumed.

    Raises
    ------
    DataError
        The arrays do not fit each other, or an image holds NaN or infinity.
    """

    name: str
    images: NDArray[np.float32]
    masks: NDArray[np.bool_]
    raw: NDArray[np.uint8]
    ids: tuple[str, ...]
    spacing_mm: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the arrays against each other, and keep views that cannot be written to."""
        if self.images.ndim != 4:
            raise DataError(f"'{self.name}': images of shape {self.images.shape} must be (S,C,H,W)")
        count, _, height, width = self.images.shape
        for label, array, shape, kind in (
            ("images", self.images, self.images.shape, "f"),
            ("masks", self.masks, (count, height, width), "b"),
            ("raw", self.raw, (count, height, width), "u"),
            ("spacing_mm", self.spacing_mm, (count, 2), "f"),
        ):
            if array.shape != shape or array.dtype.kind != kind:
                raise DataError(
                    f"'{self.name}': {label} is {array.dtype} {array.shape}; images of shape "
                    f"{self.images.shape} need {shape} (kind '{kind}')"
                )
            view = array.view()
            view.setflags(write=False)
            object.__setattr__(self, label, view)
        if len(self.ids) != count:
            raise DataError(f"'{self.name}': {len(self.ids)} ids for {count} images")
        for image, name in zip(self.images, self.ids, strict=True):
            if not np.isfinite(image).all():
                raise DataError(f"'{self.name}': slice '{name}' holds NaN or infinity: replace it")

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.ids)

    def __getitem__(self, index: int | slice) -> Dataset:
        """Return the data set of these slices; an integer gives a data set of one."""
        if not isinstance(index, slice):
            place = range(len(self))[index]
            index = slice(place, place + 1)
        return Dataset(
            self.name,
            self.images[index],
            self.masks[index],
            self.raw[index],
            self.ids[index],
            self.spacing_mm[index],
            self.notes,
        )

    def __iter__(self) -> Iterator[Dataset]:
        """Iterate over the slices, each a data set of one."""
        return (self[index] for index in range(len(self)))

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.images.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image, pixels."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @property
    def empty(self) -> int:
        """Number of slices whose truth has no pixel."""
        return int(np.count_nonzero(~self.masks.any(axis=(1, 2))))
