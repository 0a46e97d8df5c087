"""Pictures with a mask beside each: PNG pairs, and the LGG set of Buda (Kaggle ``kaggle_3m``)."""

from __future__ import annotations

import warnings
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
    left_out,
    numerically,
)

COLOURS = ("red", "green", "blue")
# Sequences of a kaggle_3m slice in the order of its colours (Buda et al. 2019,
# Comput. Biol. Med. 109:218); the masks were drawn on FLAIR.
SEQUENCES = ("pre", "flair", "post")
# Images may lie in the folder itself, one below it by patient, or two below it.
DEPTHS = ("", "*/", "*/*/")


def detects_png(path: Path) -> bool:
    """Tell whether there are PNG files called ``<id>_mask.png``."""
    return bool(_masks(path, (".png",)))


def detects_kaggle(path: Path) -> bool:
    """Tell whether there are TIFF files called ``<slice>_mask.tif``."""
    return bool(_masks(path, (".tif", ".tiff")))


def lists_png(path: Path, channels: Channels) -> Listing:
    """Find the slices of a folder of PNG pairs."""
    return _list(path, (".png",), channels, COLOURS, None)


def lists_kaggle(path: Path, channels: Channels) -> Listing:
    """Find the slices of the LGG set, by patient and number; one channel means FLAIR."""
    return _list(path, (".tif", ".tiff", ".png"), channels, SEQUENCES, "flair")


KAGGLE_3M = Layout("<patient>/<slice>.tif with <slice>_mask.tif", detects_kaggle, lists_kaggle)
PNG_PAIRS = Layout("<id>.png with <id>_mask.png", detects_png, lists_png)


def _masks(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the masks at the first depth where there are any."""
    for depth in DEPTHS:
        found = [mask for suffix in suffixes for mask in path.glob(f"{depth}*_mask{suffix}")]
        if found:
            return [mask for mask in found if not mask.name.startswith(".")]
    return []


def _list(
    path: Path,
    suffixes: tuple[str, ...],
    channels: Channels,
    names: tuple[str, ...],
    single: str | None,
) -> Listing:
    """Match masks with the images beside them."""
    masks = {mask.with_suffix(""): mask for mask in _masks(path, suffixes)}
    images = sorted(
        (
            image
            for folder in {mask.parent for mask in masks}
            for image in folder.iterdir()
            if image.suffix in suffixes
            and not image.stem.endswith("_mask")
            and not image.name.startswith(".")
        ),
        key=numerically,
    )
    found = {image: masks.get(image.with_name(f"{image.stem}_mask")) for image in images}
    readers = tuple(
        partial(_read_pair, image, mask, channels, names, single)
        for image, mask in found.items()
        if mask is not None
    )
    if not readers:
        raise DataError(
            f"'{path}' has masks but not the images they belong to: "
            "beside '<id>_mask' there must be '<id>'"
        )
    without = [image for image, mask in found.items() if mask is None]
    return Listing(readers, (*left_out(without, len(found)), SPACING_UNKNOWN))


def _read_pair(
    path: Path, mask: Path, channels: Channels, names: tuple[str, ...], single: str | None
) -> Slice:
    """Read an image and its mask."""
    image, truth = read_picture(path), read_picture(mask).max(axis=0) > 0
    if image.shape[1:] != truth.shape:
        raise DataError(
            f"'{mask}' is {truth.shape[1]}x{truth.shape[0]} and its image "
            f"{image.shape[2]}x{image.shape[1]}: they must have one size"
        )
    if len(image) == 1:
        names = ("grey",)
    elif single is None and (image == image[:1]).all():
        single = names[0]
    chosen = choose(names, channels, path, single if len(image) > 1 else None)
    return Slice(path.stem, eight_bit(image[list(chosen)]), truth, (1.0, 1.0), str(path))


def read_picture(path: Path) -> NDArray[Any]:
    """Read a picture as (C, H, W): one channel if it is grey, three if it has colours.

    Raises
    ------
    DataError
        The file is damaged, is no picture, or is too large.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # What Pillow warns of in a damaged file, it raises when the pixels are read.
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                grey = file.mode in ("1", "L", "F") or file.mode.startswith("I")
                pixels = np.asarray(file if grey else file.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"'{path}' cannot be read as a picture ({error}): write it again as PNG or TIFF"
        ) from error
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError(f"'{path}' holds NaN or infinity: replace these pixels")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
