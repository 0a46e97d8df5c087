"""Synthetic tumour slices: drawn lesions on real average anatomy. No patient is shown.

``python -m photonpu.models.training.synthetic OUT.npz`` writes the evaluation set that ships.

Each slice resembles T1 MRI after contrast: a lobulated lesion that enhances, or enhances at its
rim around a necrotic core, or stays dark; oedema around it that follows white matter; tissue
pushed aside; vessels and sinuses as bright as lesions; shading, blur and Rician noise. A quarter
of the slices has no lesion. The mask is the lesion with its core, without the oedema, which is
what the masks of the real slices hold. Numbers here are plausible choices, not measurements.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from photonpu.models.training import anatomy
from photonpu.models.training.anatomy import SIDE, SPACING_MM, Plane, Template, Tissue
from photonpu.models.training.cheng import Slices
from photonpu.storage import atomic_write

EVALUATION_SEED = 20_260_000
EVALUATION_SLICES = 28
DESCRIPTION = (
    "SYNTHETIC lesions drawn on the MNI152 average anatomy to resemble contrast-enhanced T1 MRI; "
    "no patient data; made by photonpu.models.training.synthetic; not for clinical use"
)


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion's place and shape on the image's grid.

    Attributes
    ----------
    depth_px : numpy.ndarray, shape (128, 128)
        How far inside the lesion's edge a pixel lies; negative outside.
    push : (numpy.ndarray, numpy.ndarray)
        Displacement of the tissue around it, in pixels, down and right.
    """

    depth_px: Plane
    push: tuple[Plane, Plane]


def draw_lesion(rng: np.random.Generator, place: tuple[float, float]) -> Lesion:
    """Draw a lobulated outline around a place, and how far it pushes its surroundings.

    Parameters
    ----------
    rng : numpy.random.Generator
    place : (float, float)
        Row and column of its centre, counted from the image's centre.

    Returns
    -------
    Lesion
        Its radius is 7 to 22 mm.
    """
    rows, columns = anatomy.pixel_grid()
    down, right = rows - place[0], columns - place[1]
    distance, angle = np.hypot(down, right), np.arctan2(down, right)
    radius_px = rng.uniform(7.0, 22.0) / SPACING_MM
    outline = np.ones_like(angle)
    for lobes in range(2, 7):
        size = rng.normal(0.0, 0.22 / lobes)
        outline += size * np.cos(lobes * angle + rng.uniform(0.0, 2.0 * np.pi))
    strength = rng.uniform(0.0, 0.35) * radius_px
    push = strength * np.exp(-((distance / (2.2 * radius_px)) ** 2)) / np.maximum(distance, 1.0)
    return Lesion(radius_px * outline - distance, (push * down, push * right))


def draw_head(tissue: Tissue, rng: np.random.Generator) -> Plane:
    """Give each tissue its grey value and add fluid, skull and scalp around the brain.

    Parameters
    ----------
    tissue : Tissue
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (128, 128)
        Grey values of about 0 to 255.
    """
    white = rng.uniform(85.0, 115.0)
    grey = white * rng.uniform(0.72, 0.9)
    fluid = white * rng.uniform(0.2, 0.4)
    rest = np.clip(1.0 - tissue.grey - tissue.white, 0.0, 1.0)
    image = white * tissue.white + grey * tissue.grey + fluid * rest
    gap, skull, scalp = rng.uniform(1.0, 3.0), rng.uniform(4.0, 8.0), rng.uniform(4.0, 9.0)
    layers = (
        (gap, fluid),
        (skull, white * rng.uniform(0.1, 0.4)),
        (scalp, white * rng.uniform(1.2, 2.1)),
        (np.inf, 0.0),
    )
    ragged = tissue.outside_mm + 0.8 * anatomy.smooth_noise(rng, 6.0)
    start = 0.0
    for thickness, value in layers:
        image = np.where((tissue.outside_mm > 0) & (ragged >= start), value, image)
        start += thickness
    return np.asarray(image)


def paint_lesion(
    image: Plane, tissue: Tissue, lesion: Lesion, rng: np.random.Generator
) -> tuple[Plane, npt.NDArray[np.uint8]]:
    """Put a lesion and its oedema into a slice.

    Parameters
    ----------
    image : numpy.ndarray, shape (128, 128)
    tissue : Tissue
    lesion : Lesion
    rng : numpy.random.Generator

    Returns
    -------
    (numpy.ndarray, numpy.ndarray of uint8)
        The slice, and the mask: pixels that the lesion covers by more than half.
    """
    level = float(image[tissue.white > 0.8].mean()) if (tissue.white > 0.8).any() else 100.0
    reach_px = rng.uniform(3.0, 16.0) / SPACING_MM
    oedema = rng.uniform(0.0, 0.35) * np.exp(np.minimum(lesion.depth_px, 0.0) / reach_px)
    image = image * (1.0 - oedema * (0.25 + 0.75 * tissue.white) * tissue.brain)
    edge_px = rng.uniform(0.25, 0.6)
    cover = tissue.brain / (1.0 + np.exp(-lesion.depth_px / edge_px))
    bright = level * rng.uniform(1.3, 2.0)
    inside = np.full_like(image, bright)
    kind = rng.random()
    if kind < 0.33:
        width_px = rng.uniform(2.5, 5.0) / SPACING_MM
        rim_px = width_px * (1.0 + 0.3 * anatomy.smooth_noise(rng, 4.0))
        core = 1.0 / (1.0 + np.exp(-(lesion.depth_px - rim_px) / edge_px))
        inside += core * (level * rng.uniform(0.35, 0.75) - bright)
    elif kind < 0.45:
        inside = np.full_like(image, level * rng.uniform(0.35, 0.6))
    inside *= 1.0 + rng.uniform(0.02, 0.1) * anatomy.smooth_noise(rng, 1.5)
    return image + cover * (inside - image), (cover > 0.5).astype(np.uint8)


def paint_vessels(image: Plane, tissue: Tissue, rng: np.random.Generator) -> Plane:
    """Add what is bright after contrast and is no tumour: vessels, and sinuses at the surface.

    Parameters
    ----------
    image : numpy.ndarray, shape (128, 128)
    tissue : Tissue
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, shape (128, 128)
    """
    rows, columns = np.nonzero(tissue.brain > 0.5)
    grid = anatomy.pixel_grid()
    centre = (SIDE - 1) / 2
    for _ in range(int(rng.integers(2, 8))):
        start = int(rng.integers(rows.size))
        row, column = rows[start] - centre, columns[start] - centre
        heading, width_px = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.4, 0.9)
        trace = np.zeros_like(image)
        for _ in range(int(rng.integers(1, 12))):
            far = (grid[0] - row) ** 2 + (grid[1] - column) ** 2
            trace = np.maximum(trace, np.exp(-far / (2.0 * width_px**2)))
            row, column = row + 0.8 * np.sin(heading), column + 0.8 * np.cos(heading)
            heading += rng.normal(0.0, 0.4)
        image = image + trace * tissue.brain * rng.uniform(20.0, 90.0)
    at_surface = np.nonzero((tissue.inside_mm > 0) & (tissue.inside_mm <= 2 * SPACING_MM))
    pick = int(rng.integers(at_surface[0].size))
    row, column = at_surface[0][pick] - centre, at_surface[1][pick] - centre
    far = (grid[0] - row) ** 2 + (grid[1] - column) ** 2
    return np.asarray(image + rng.uniform(0.0, 110.0) * np.exp(-far / (2.0 * 1.3**2)))


def scan(image: Plane, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Shade, blur and quantise a slice, with Rician noise, as a scanner would.

    Parameters
    ----------
    image : numpy.ndarray, shape (128, 128)
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of uint8, shape (128, 128)
    """
    image = image * np.exp(rng.uniform(0.03, 0.16) * anatomy.smooth_noise(rng, 32.0))
    image = ndimage.gaussian_filter(image, rng.uniform(0.35, 0.75))
    sigma = rng.uniform(1.0, 4.0)
    real = image + sigma * rng.standard_normal(image.shape)
    imaginary = sigma * rng.standard_normal(image.shape)
    return np.clip(np.rint(np.hypot(real, imaginary)), 0, 255).astype(np.uint8)


def draw_slice(
    template: Template, height_mm: float, with_lesion: bool, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw one slice and its mask.

    Parameters
    ----------
    template : Template
    height_mm : float
        MNI coordinate z.
    with_lesion : bool
    rng : numpy.random.Generator

    Returns
    -------
    (numpy.ndarray of uint8, numpy.ndarray of uint8), each (128, 128)
        Grey values, and a mask of 0 and 1.
    """
    still = np.zeros((SIDE, SIDE))
    if not with_lesion:
        tissue = anatomy.cut(template, height_mm, rng, (still, still))
        image = paint_vessels(draw_head(tissue, rng), tissue, rng)
        return scan(image, rng), still.astype(np.uint8)
    state = rng.bit_generator.state
    guess = anatomy.cut(template, height_mm, rng, (still, still))
    deep = np.argwhere(guess.inside_mm >= rng.uniform(3.0, 16.0))
    place = deep[int(rng.integers(len(deep)))] - (SIDE - 1) / 2
    lesion = draw_lesion(rng, (float(place[0]), float(place[1])))
    later = rng.spawn(1)[0]
    rng.bit_generator.state = state
    tissue = anatomy.cut(template, height_mm, rng, lesion.push)
    image = paint_vessels(draw_head(tissue, later), tissue, later)
    image, mask = paint_lesion(image, tissue, lesion, later)
    return scan(image, later), mask


def draw_slices(template: Template, count: int, seed: int, evaluation: bool) -> Slices:
    """Draw a set of slices; slice ``k`` depends on ``seed`` and ``k`` alone.

    Parameters
    ----------
    template : Template
    count : int
    seed : int
    evaluation : bool
        Whether to cut in the evaluation's bands of the brain or away from them.

    Returns
    -------
    Slices
        Every fourth slice has no lesion.
    """
    heights = anatomy.heights_mm(evaluation)
    images, masks = [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        height = heights[int(rng.integers(len(heights)))]
        image, mask = draw_slice(template, height, index % 4 != 3, rng)
        images.append(image.astype(np.float32))
        masks.append(mask)
    return Slices(np.stack(images), np.stack(masks), np.arange(count, dtype=np.int64))


def write_evaluation_set(path: str | Path) -> None:
    """Write the evaluation set that ships.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with ``image`` and ``mask`` (slices, 128, 128) uint8, ``id``, ``spacing_mm`` and
        a ``description`` that says that the lesions are synthetic.
    """
    slices = draw_slices(anatomy.load_template(), EVALUATION_SLICES, EVALUATION_SEED, True)
    arrays: dict[str, Any] = {
        "image": slices.image.astype(np.uint8),
        "mask": slices.mask,
        "id": slices.id,
        "spacing_mm": np.array([SPACING_MM, SPACING_MM]),
        "description": np.array(DESCRIPTION),
    }
    atomic_write(path, lambda file: np.savez_compressed(file, **arrays))


def main(arguments: list[str]) -> int:
    """Write the evaluation set to the one path given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m photonpu.models.training.synthetic OUT.npz\n")
        return 2
    write_evaluation_set(arguments[0])
    sys.stdout.write(f"{arguments[0]}: {EVALUATION_SLICES} slices. {DESCRIPTION}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
