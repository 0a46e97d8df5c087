"""From files to a data set: find the layout, read, resize, normalise, stack."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import DataError
from photonpu.models.datasets.dataset import Dataset
from photonpu.models.datasets.layout import Channels, Layout, Reader, Slice, eight_bit
from photonpu.models.datasets.table import DATASETS
from photonpu.models.preprocess import zscore

MAX_BYTES = 4 << 30

Grey = NDArray[np.float32]


def load_dataset(
    path: str | Path,
    *,
    format: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: Channels = None,
    normalise: str = "auto",
    limit: int | None = None,
) -> Dataset:
    """Read images and masks in any of the layouts of `DATASETS`.

    Volumes are cut into axial slices; slices that show nothing and have no truth are left out.
    Images are resized first and normalised then, each channel of each slice for itself. When
    made smaller, an image is averaged over areas, and a mask is set where more than half of the
    area is; when made larger, both are interpolated linearly. The sides are scaled each for
    itself, and the spacing with them: a distance in mm stays what it is.

    Parameters
    ----------
    path
        File or folder.
    format
        Name of the layout; None finds it by the names of the files.
    size
        Height and width to bring the images to, or one number for both; None leaves them.
    channels
        Which channels: a number of them, or names; None takes all. Where one is wanted of
        several, BraTS gives T1 with contrast agent and the LGG set gives FLAIR.
    normalise
        ``"zscore"`` is `photonpu.models.preprocess.zscore`, ``"none"`` leaves grey values of 0
        to 255, and ``"auto"`` is ``"zscore"`` for all but floating-point images in an ``.npz``
        file, which are taken as normalised already.
    limit
        At most so many slices, evenly spaced over all there are; None takes all.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        The path is missing, of no known layout, damaged, or too large for memory.
    UnknownNameError
        `format` is not the name of a layout.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(f"'{place}': no such file or folder")
    if normalise not in ("auto", "zscore", "none"):
        raise DataError(f"normalise='{normalise}': there are 'auto', 'zscore' and 'none'")
    if limit is not None and limit < 1:
        raise DataError(f"limit={limit}: a data set needs 1 slice or more")
    layout = DATASETS[format] if format else _find(place)
    listing = layout.lists(place, channels)
    readers = _spread(listing.readers, limit)
    both = _both(size)
    return _stack(place, readers, _preparation(both, normalise, len(readers)), listing.notes)


def _find(path: Path) -> Layout:
    """Return the first layout that knows these names of files."""
    for layout in DATASETS.values():
        if layout.detects(path):
            return layout
    known = "\n".join(f"  {name}: {layout.holds}" for name, layout in DATASETS.items())
    found = path.name
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        found = ", ".join(names[:5]) + ", ..." * (len(names) > 5) or "nothing"
    raise DataError(f"'{path}' has no layout that is known (found: {found}); known are\n{known}")


def _spread(readers: tuple[Reader, ...], limit: int | None) -> tuple[Reader, ...]:
    """Choose at most `limit` readers, evenly spaced."""
    if limit is None or limit >= len(readers):
        return readers
    return tuple(readers[(2 * index + 1) * len(readers) // (2 * limit)] for index in range(limit))


def _both(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return height and width."""
    both = (size, size) if isinstance(size, int) else size
    if both is not None and not all(1 <= side <= 1 << 14 for side in both):
        raise DataError(f"size={size}: sides have 1 to {1 << 14} pixels")
    return both


Prepared = tuple[Grey, NDArray[np.bool_], NDArray[np.uint8], tuple[float, float]]


def _preparation(
    size: tuple[int, int] | None, normalise: str, count: int
) -> Callable[[Slice], Prepared]:
    """Return what turns each of `count` slices into image, mask, picture and spacing."""

    def prepare(cut: Slice) -> Prepared:
        if not np.isfinite(cut.image).all():
            raise DataError(f"'{cut.source}' holds NaN or infinity: replace these pixels")
        height, width = cut.mask.shape
        target = size or (height, width)
        _check_memory(cut.source, count, (len(cut.image), *target))
        grey = np.stack([resize(channel, target) for channel in cut.image])
        mask = resize(cut.mask, target) > 0.5
        if normalise == "zscore" and cut.ready:
            grey = np.stack([eight_bit(channel) for channel in grey])
        keep = normalise == "none" or (normalise == "auto" and cut.ready)
        image = grey if keep else np.stack([zscore(channel) for channel in grey])
        spacing = (
            cut.spacing_mm[0] * height / target[0],
            cut.spacing_mm[1] * width / target[1],
        )
        return image, mask, picture(grey[0], stretch=cut.ready), spacing

    return prepare


def resize(image: NDArray[Any], size: tuple[int, int]) -> Grey:
    """Resize (H, W) by averaging areas where it shrinks, linearly where it grows; float32."""
    from PIL import Image

    values = np.ascontiguousarray(image, dtype=np.float32)
    if values.shape == size:
        return values
    shrinks = size[0] <= values.shape[0] and size[1] <= values.shape[1]
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values).resize((size[1], size[0]), how), dtype=np.float32)


def picture(image: Grey, *, stretch: bool) -> NDArray[np.uint8]:
    """Return grey values to show: as they are, or stretched over all but the outer thousandths."""
    low, high = np.quantile(image, [0.001, 0.999]) if stretch else (0.0, 255.0)
    scaled = (image - low) * (255.0 / ((high - low) or 1.0))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _stack(
    path: Path,
    readers: tuple[Reader, ...],
    prepare: Callable[[Slice], Prepared],
    notes: tuple[str, ...],
) -> Dataset:
    """Read all slices into arrays that are allocated once."""
    images = masks = raw = None
    ids: list[str] = []
    spacing: list[tuple[float, float]] = []
    for reader in readers:
        cut = reader()
        if cut is None:
            continue
        image, mask, grey, millimetres = prepare(cut)
        if images is None or masks is None or raw is None:
            images = np.empty((len(readers), *image.shape), dtype=np.float32)
            masks = np.empty((len(readers), *mask.shape), dtype=np.bool_)
            raw = np.empty((len(readers), *mask.shape), dtype=np.uint8)
        if image.shape != images.shape[1:]:
            raise DataError(
                f"'{cut.source}' has channels, height and width {image.shape} and the first image "
                f"{images.shape[1:]}: bring them to one size with size=, or name channels="
            )
        place = len(ids)
        images[place], masks[place], raw[place] = image, mask, grey
        ids.append(cut.id)
        spacing.append(millimetres)
    if images is None or masks is None or raw is None:
        raise DataError(f"'{path}': all {len(readers)} slices are blank; raise limit=")
    count, blank = len(ids), len(readers) - len(ids)
    if blank:
        notes = (*notes, f"{blank} of {len(readers)} slices show nothing and are left out")
    return Dataset(
        path.name, images[:count], masks[:count], raw[:count], tuple(ids), np.array(spacing), notes
    )


def _check_memory(source: str, count: int, shape: tuple[int, ...]) -> None:
    """Refuse a data set that would not fit in memory, before it is allocated."""
    size = count * (4 * math.prod(shape) + 2 * math.prod(shape[1:]))
    if size > MAX_BYTES:
        raise DataError(
            f"'{source}': {count} slices of shape {shape} take {size / 1e9:.1f} GB and "
            f"{MAX_BYTES / 1e9:.1f} GB are taken at most: choose fewer with limit=, or a "
            "smaller size="
        )
