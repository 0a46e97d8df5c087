"""BraTS folders of any year, and Task01 of the Medical Segmentation Decathlon.

The structure is the whole tumour: every label above 0.
"""

from __future__ import annotations

import json
from pathlib import Path

from photonpu.errors import DataError
from photonpu.models.datasets.layout import (
    Channels,
    Layout,
    Listing,
    choose,
    left_out,
    numerically,
)
from photonpu.models.datasets.volumes import SUFFIXES, Scan, open_volume, scan_readers, stem

CONTRASTS = ("flair", "t1", "t1ce", "t2")
# Separator and names of the files: up to 2021, and from 2023 on.
NAMINGS = (("_", ("flair", "t1", "t1ce", "t2")), ("-", ("t2f", "t1n", "t1c", "t2w")))
RENAMED = dict(zip(NAMINGS[1][1], CONTRASTS, strict=True))


def detects_brats(path: Path) -> bool:
    """Tell whether there is a ``seg`` file in BraTS's naming, here or one folder below."""
    return bool(_patients(path))


def lists_brats(path: Path, channels: Channels) -> Listing:
    """Find the axial slices of all patients; one channel means T1 with contrast agent."""
    if isinstance(channels, str):
        channels = [channels]
    if channels is not None and not isinstance(channels, int):
        channels = [RENAMED.get(name, name) for name in channels]
    chosen = choose(CONTRASTS, channels, path, "t1ce")
    scans = []
    for mask, separator, names in _patients(path):
        patient = (stem(mask) or "").removesuffix(f"{separator}seg")
        images = tuple(
            _volume(mask.parent, f"{patient}{separator}{names[place]}") for place in chosen
        )
        scans.append(Scan(patient, images, (), mask))
    return Listing(scan_readers(scans))


def detects_msd(path: Path) -> bool:
    """Tell whether the path has the folders ``imagesTr`` and ``labelsTr``."""
    return (path / "imagesTr").is_dir() and (path / "labelsTr").is_dir()


def lists_msd(path: Path, channels: Channels) -> Listing:
    """Find the axial slices of a Decathlon task; its channels have the names of its JSON file."""
    images = sorted((file for file in (path / "imagesTr").iterdir() if stem(file)), key=numerically)
    masks = {image: path / "labelsTr" / image.name for image in images}
    scans = []
    for image, mask in masks.items():
        if mask.is_file():
            shape = open_volume(image).shape
            names = _modalities(path, shape[3] if len(shape) == 4 else 1)
            contrast = next((name for name in names if name.lower() in ("t1gd", "t1ce")), None)
            chosen = choose(names, channels, image, contrast)
            bands = chosen if len(shape) == 4 else ()
            scans.append(Scan(stem(image) or "", (image,), bands, mask))
    if not scans:
        raise DataError(f"'{path}': no file of imagesTr has a label of the same name in labelsTr")
    without = [image for image, mask in masks.items() if not mask.is_file()]
    return Listing(scan_readers(scans), left_out(without, len(images)))


BRATS = Layout(
    "<patient>/<patient>_{flair,t1,t1ce,t2,seg}.nii.gz, or -{t2f,t1n,t1c,t2w,seg} from 2023 on",
    detects_brats,
    lists_brats,
)
MSD = Layout(
    "imagesTr/<id>.nii.gz with labelsTr/<id>.nii.gz and dataset.json", detects_msd, lists_msd
)


def _patients(path: Path) -> list[tuple[Path, str, tuple[str, ...]]]:
    """Return the mask of each patient, with the separator and the names of its naming."""
    found = []
    for separator, names in NAMINGS:
        for suffix in SUFFIXES:
            for depth in ("", "*/"):
                for mask in path.glob(f"{depth}[!.]*{separator}seg{suffix}"):
                    patient = (stem(mask) or "").removesuffix(f"{separator}seg")
                    if any(_find(mask.parent, f"{patient}{separator}{name}") for name in names):
                        found.append((mask, separator, names))
    return sorted(found, key=lambda patient: numerically(patient[0]))


def _find(folder: Path, name: str) -> Path | None:
    """Return the volume of this name in a folder, in any of the suffixes."""
    places = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((place for place in places if place.is_file()), None)


def _volume(folder: Path, name: str) -> Path:
    """Return the volume of this name, which has to be there."""
    found = _find(folder, name)
    if found is None:
        raise DataError(
            f"'{folder}' has no '{name}.nii.gz': add it, or choose other contrasts with channels="
        )
    return found


def _modalities(path: Path, count: int) -> tuple[str, ...]:
    """Return the channels' names from ``dataset.json``, or their numbers if it has none."""
    file = path / "dataset.json"
    try:
        named = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        table = named.get("modality", {})
        return tuple(str(table.get(str(place), place)) for place in range(count))
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"'{file}' cannot be read ({error}): copy it anew") from error
