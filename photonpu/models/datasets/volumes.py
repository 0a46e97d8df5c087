"""Volumes in NIfTI or MGZ files, an image with a mask, cut into axial slices."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import DataError
from photonpu.models.datasets.layout import (
    Channels,
    Layout,
    Listing,
    Reader,
    Slice,
    choose,
    left_out,
    numerically,
)
from photonpu.models.preprocess import FLOOR

SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh")
MAX_VOXELS = 1 << 28
# Two files of one scan may place their corners this far apart, mm.
SAME_PLACE_MM = 0.01
# What nibabel lets through when a header or the voxels are damaged; KeyError is an unknown type.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, OverflowError, zlib.error)

Grey = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of one scan.

    Attributes
    ----------
    name
        What its slices are called by.
    images
        One file a channel, or one file with all of them along its fourth axis.
    bands
        Which places along the fourth axis are the channels; () for files with three axes.
    mask
        Labels; above 0 is the structure.
    """

    name: str
    images: tuple[Path, ...]
    bands: tuple[int, ...]
    mask: Path


def stem(path: Path) -> str | None:
    """Return a volume's name without its suffix; None if the file is no volume."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def open_volume(path: Path) -> Any:
    """Open a volume by its header; the voxels stay on disk.

    Raises
    ------
    DataError
        nibabel is missing, the file is damaged, has not three or four axes, or is too large.
    """
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ImportError as error:
        raise DataError(
            f"reading '{path}' needs nibabel: pip install 'photonpu[imaging]'"
        ) from error
    try:
        volume = nibabel.load(path)
    except (*_DAMAGE, ImageFileError, HeaderDataError) as error:
        raise DataError(f"'{path}' cannot be read as a volume ({error}): copy it anew") from error
    if len(volume.shape) not in (3, 4) or not 0 < math.prod(volume.shape) <= MAX_VOXELS:
        raise DataError(
            f"'{path}' has shape {tuple(volume.shape)}: a volume has 3 axes, or 4 with "
            f"channels last, and {MAX_VOXELS} voxels at most"
        )
    affine = np.asarray(volume.affine)
    if not np.isfinite(affine).all() or np.isnan(nibabel.io_orientation(affine)).any():
        raise DataError(
            f"'{path}' has a header that places no voxels in space (affine "
            f"{affine[:3].tolist()}): write it again with an affine of rank 3"
        )
    return volume


def scan_readers(scans: list[Scan]) -> tuple[Reader, ...]:
    """Return a reader for each axial slice; the scan read last stays in memory, no other."""
    loaded = lru_cache(maxsize=1)(_load)
    readers: list[Reader] = []
    for scan in scans:
        readers += [partial(_cut, loaded, scan, z) for z in range(_axial_slices(scan.mask))]
    return tuple(readers)


def detects(path: Path) -> bool:
    """Tell whether the path is a volume, or a folder with volumes in it or one below."""
    if path.is_file():
        return stem(path) is not None
    return any(stem(file) for depth in ("*", "*/*") for file in path.glob(depth))


def lists(path: Path, channels: Channels) -> Listing:
    """Find the axial slices of all image and mask pairs."""
    files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
    images = sorted(
        (file for file in files if (name := stem(file)) and not _is_mask(name)), key=numerically
    )
    masks = {image: _mask_of(image) for image in images}
    scans = [_scan(image, mask, channels) for image, mask in masks.items() if mask]
    if not scans:
        raise DataError(
            f"'{path}': no volume has a mask: beside 'image.nii.gz' put 'mask.nii.gz', "
            "or beside '<id>.nii.gz' put '<id>_mask.nii.gz'"
        )
    without = [image for image, mask in masks.items() if mask is None]
    return Listing(scan_readers(scans), left_out(without, len(images)))


VOLUMES = Layout(
    "image.nii.gz with mask.nii.gz, or <id>.nii.gz with <id>_mask.nii.gz", detects, lists
)


def _is_mask(name: str) -> bool:
    """Tell whether a volume's name is that of a mask."""
    return name == "mask" or name.endswith(("_mask", "_seg"))


def _mask_of(image: Path) -> Path | None:
    """Return the mask that lies beside an image, in any of the suffixes."""
    name = stem(image) or ""
    base = name.removesuffix("_image")
    names = ["mask"] if name == "image" else [f"{base}_mask", f"{base}_seg"]
    places = (image.with_name(name + suffix) for name in names for suffix in SUFFIXES)
    return next((place for place in places if place.is_file()), None)


def _scan(image: Path, mask: Path, channels: Channels) -> Scan:
    """Describe a pair; the slices are called by their folder if the file is just ``image``."""
    shape = open_volume(image).shape
    bands = tuple(str(band) for band in range(shape[3] if len(shape) == 4 else 1))
    chosen = choose(bands, channels, image)
    name = stem(image) or ""
    name = image.parent.name if name == "image" else name
    return Scan(name, (image,), chosen if len(shape) == 4 else (), mask)


def _axial_slices(mask: Path) -> int:
    """Count the axial slices by the header alone."""
    import nibabel

    volume = open_volume(mask)
    axes = nibabel.io_orientation(volume.affine)[:, 0]
    return int(volume.shape[int(np.flatnonzero(axes == 2)[0])])


def _load(scan: Scan) -> tuple[Grey, NDArray[np.bool_], tuple[float, float]]:
    """Read a scan: (C, X, Y, Z) on a scale of 0 to 255, its mask, and the spacing of a slice.

    Axes run to the right, front and top of the patient (RAS), whatever the file's order.
    """
    label, place = _voxels(scan.mask, (0,) if len(open_volume(scan.mask).shape) == 4 else ())
    channels = []
    for path in scan.images:
        voxels, at = _voxels(path, scan.bands)
        if voxels.shape[1:] != label.shape[1:] or np.abs(at - place).max() > SAME_PLACE_MM:
            raise DataError(
                f"'{path}' (shape {voxels.shape[1:]}) and '{scan.mask}' "
                f"(shape {label.shape[1:]}) lie on different grids: resample one onto the other"
            )
        channels += [_grey(channel) for channel in voxels]
    x_mm, y_mm, _ = (float(size) for size in np.sqrt((place[:3, :3] ** 2).sum(axis=0)))
    return np.stack(channels), label[0] > 0, (y_mm, x_mm)


def _voxels(path: Path, bands: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read the channels of one file as (C, X, Y, Z), and where the voxels lie (4 x 4, mm)."""
    import nibabel

    try:
        volume = nibabel.as_closest_canonical(open_volume(path))
        values = np.asarray(volume.dataobj)
    except _DAMAGE as error:
        raise DataError(f"'{path}' is cut short or damaged ({error}): copy it anew") from error
    if not np.isfinite(values).all():
        raise DataError(f"'{path}' holds NaN or infinity: replace these voxels")
    channels = np.moveaxis(values[..., list(bands)], 3, 0) if bands else values[None]
    return channels, np.asarray(volume.affine, dtype=np.float64)


def _grey(voxels: NDArray[Any]) -> Grey:
    """Scale a whole volume to 0 to 255, so that every slice of it is scaled alike.

    Scanners have no unit: air is the lowest value, and the brightest thousandth of what is
    above it, which is vessels and artefacts, saturates. Bytes stay as they are.
    """
    if voxels.dtype == np.uint8:
        return voxels.astype(np.float32)
    values = voxels.astype(np.float32)
    low = values.min()
    inside = values[values > low]
    if not inside.size:
        return np.zeros_like(values)
    high = np.percentile(inside, 99.9)
    scaled: Grey = np.clip((values - low) * np.float32(255 / (high - low)), 0, 255)
    return scaled


def _cut(
    loaded: Callable[[Scan], tuple[Grey, NDArray[np.bool_], tuple[float, float]]],
    scan: Scan,
    z: int,
) -> Slice | None:
    """Cut an axial slice, front up and the patient's right at the left, as radiology shows it."""
    volume, label, spacing = loaded(scan)
    image = np.flip(volume[..., z].transpose(0, 2, 1), axis=(1, 2))
    mask = np.flip(label[..., z].T)
    if not mask.any() and not (image > FLOOR).any():
        return None
    return Slice(f"{scan.name}/{z}", image, mask, spacing, str(scan.images[0]))
