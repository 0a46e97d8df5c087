"""NumPy archives: ``image`` and ``mask``, perhaps ``id`` and ``spacing_mm``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import DataError
from photonpu.models.datasets.layout import (
    SPACING_UNKNOWN,
    Channels,
    Layout,
    Listing,
    Slice,
    choose,
    eight_bit,
)

MAX_BYTES = 8 << 30


def detects(path: Path) -> bool:
    """Tell whether the path is an ``.npz`` file."""
    return path.suffix.lower() == ".npz"


def lists(path: Path, channels: Channels) -> Listing:
    """Find the slices of an archive."""
    arrays = _read(path)
    image, mask = _image(arrays, path), _mask(arrays, path)
    if image.shape[:1] + image.shape[2:] != mask.shape:
        raise DataError(
            f"'{path}': mask of shape {arrays['mask'].shape} does not fit image of shape "
            f"{arrays['image'].shape}: both need the same slices, height and width"
        )
    ready = image.dtype.kind == "f"
    chosen = choose(tuple(str(index) for index in range(image.shape[1])), channels, path)
    image = image[:, chosen] if ready else eight_bit(image[:, chosen])
    ids = _ids(arrays, path, len(image))
    spacing = _spacing(arrays, path, len(image))

    def read(index: int) -> Slice:
        return Slice(
            ids[index],
            image[index],
            mask[index],
            (float(spacing[index, 0]), float(spacing[index, 1])),
            f"{path}, slice {index}",
            ready,
        )

    notes = () if "spacing_mm" in arrays else (SPACING_UNKNOWN,)
    return Listing(tuple(partial(read, index) for index in range(len(image))), notes)


NPZ = Layout(
    "<name>.npz with arrays 'image' (S,H,W) or (S,C,H,W) and 'mask' (S,H,W)", detects, lists
)


def _read(path: Path) -> Mapping[str, NDArray[Any]]:
    """Read the arrays that have a meaning here, and only those."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise DataError(
                f"'{path}' unpacks to {size / 1e9:.1f} GB, and {MAX_BYTES / 1e9:.1f} GB are "
                "taken at most: split it"
            )
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            arrays = {
                name: np.asarray(file[name])
                for name in ("image", "mask", "id", "spacing_mm")
                if name in names
            }
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError) as error:
        raise DataError(
            f"'{path}' cannot be read as .npz ({error}): write it with numpy.savez"
        ) from error
    for name in ("image", "mask"):
        if name not in arrays:
            raise DataError(
                f"'{path}' has no array '{name}' but {', '.join(names) or 'none'}: "
                "it needs 'image' (S,H,W) or (S,C,H,W) and 'mask' (S,H,W)"
            )
    return arrays


def _image(arrays: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """Return the images as (S, C, H, W)."""
    image = arrays["image"]
    if image.dtype.kind not in "uif" or image.ndim not in (3, 4) or not image.size:
        raise DataError(
            f"'{path}': image is {image.dtype} of shape {image.shape}: "
            "it needs numbers of shape (S,H,W) or (S,C,H,W)"
        )
    return image[:, None] if image.ndim == 3 else image


def _mask(arrays: Mapping[str, NDArray[Any]], path: Path) -> NDArray[np.bool_]:
    """Return the masks as (S, H, W), set where a value is above 0."""
    mask = arrays["mask"]
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.dtype.kind not in "buif" or not np.isfinite(mask).all():
        raise DataError(f"'{path}': mask is {mask.dtype}, or holds NaN: it needs 0 and 1")
    return np.asarray(mask > 0)


def _ids(arrays: Mapping[str, NDArray[Any]], path: Path, count: int) -> list[str]:
    """Return a name a slice: the archive's, or its number."""
    if "id" not in arrays:
        return [str(index) for index in range(count)]
    if arrays["id"].shape != (count,):
        raise DataError(f"'{path}': id has shape {arrays['id'].shape}: it needs ({count},)")
    return [str(name) for name in arrays["id"]]


def _spacing(arrays: Mapping[str, NDArray[Any]], path: Path, count: int) -> NDArray[np.float64]:
    """Return the spacing of every slice: given for all, for each axis, or for each slice."""
    given = arrays.get("spacing_mm", np.ones(2))
    if given.dtype.kind not in "uif" or given.shape not in ((), (2,), (count, 2)):
        raise DataError(
            f"'{path}': spacing_mm is {given.dtype} of shape {given.shape}: "
            f"it needs one number, (2,) or ({count}, 2), in mm"
        )
    return np.broadcast_to(given.astype(np.float64), (count, 2))
