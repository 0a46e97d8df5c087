"""One axial slice of real average anatomy, varied: the base that synthetic lesions are put on.

The anatomy is the MNI152 template (ICBM 2009a, nonlinear) that nilearn's wheel carries: the
average of 152 real heads, brain only. Skull and scalp are therefore drawn around it here.
Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies", NeuroImage 54
(2011), 313-327; copyright Louis Collins, McConnell Brain Imaging Centre, McGill University.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from photonpu.models.training.extras import need

SIDE = 128
SPACING_MM = 1.8
EVALUATION_BANDS_MM = ((-14, -6), (14, 22), (42, 48))
BAND_GAP_MM = 6
LOWEST_MM, HIGHEST_MM = -34, 58

Plane = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Template:
    """The template's tissue maps.

    Attributes
    ----------
    grey, white, brain : numpy.ndarray of float32, shape (x, y, z), 1 mm
        Parts of each voxel between 0 and 1; ``brain`` is 1 inside the head's inner skull.
    bottom_mm : float
        Height z of the first slice in MNI coordinates.
    """

    grey: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    brain: npt.NDArray[np.float32]
    bottom_mm: float


@dataclass(frozen=True, slots=True)
class Tissue:
    """One slice of anatomy on the image's grid, parts of each pixel between 0 and 1.

    Attributes
    ----------
    grey, white, brain : numpy.ndarray, shape (128, 128)
    outside_mm : numpy.ndarray, shape (128, 128)
        Distance from the brain's surface in mm, 0 inside.
    inside_mm : numpy.ndarray, shape (128, 128)
        Depth below the brain's surface in mm, 0 outside.
    """

    grey: Plane
    white: Plane
    brain: Plane
    outside_mm: Plane
    inside_mm: Plane


def load_template() -> Template:
    """Read the MNI152 template and its tissue maps from nilearn's wheel.

    Returns
    -------
    Template

    Raises
    ------
    ImportError
        If nilearn is missing.
    """
    datasets = need("nilearn.datasets")
    image = datasets.load_mni152_template(resolution=1)
    grey = datasets.load_mni152_gm_template(resolution=1)
    white = datasets.load_mni152_wm_template(resolution=1)
    brain = ndimage.binary_closing(image.get_fdata() > 0.05, iterations=6)
    return Template(
        np.asarray(grey.get_fdata(), dtype=np.float32),
        np.asarray(white.get_fdata(), dtype=np.float32),
        brain.astype(np.float32),
        float(image.affine[2, 3]),
    )


def heights_mm(evaluation: bool) -> list[int]:
    """Return the heights z that evaluation or training slices are cut at.

    Parameters
    ----------
    evaluation : bool
        Evaluation slices lie in three bands; training slices stay 6 mm away from each.

    Returns
    -------
    list of int
        MNI coordinates in mm.
    """
    gap = 0 if evaluation else BAND_GAP_MM
    inside = {z for low, high in EVALUATION_BANDS_MM for z in range(low - gap, high + gap + 1)}
    return [z for z in range(LOWEST_MM, HIGHEST_MM + 1) if (z in inside) == evaluation]


def smooth_noise(rng: np.random.Generator, scale_px: float) -> Plane:
    """Draw a smooth random field of standard deviation 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    scale_px : float
        Width of the Gaussian that smooths it, in pixels.
    """
    field = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), scale_px, mode="reflect")
    return np.asarray(field / field.std())


def pixel_grid() -> tuple[Plane, Plane]:
    """Return row and column of each pixel, counted from the image's centre."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64) - (SIDE - 1) / 2
    return rows, columns


def cut(
    template: Template,
    height_mm: float,
    rng: np.random.Generator,
    push: tuple[Plane, Plane],
) -> Tissue:
    """Cut one slice, turned, mirrored, scaled and bent at random, and pushed aside by a mass.

    Parameters
    ----------
    template : Template
    height_mm : float
        MNI coordinate z.
    rng : numpy.random.Generator
    push : (numpy.ndarray, numpy.ndarray), each (128, 128)
        By how many pixels, down and right, a lesion has moved the tissue that is seen there.

    Returns
    -------
    Tissue
    """
    index = round(height_mm - template.bottom_mm)
    rows, columns = pixel_grid()
    bend = rng.uniform(0.5, 2.0)
    rows = rows - push[0] + bend * smooth_noise(rng, 12.0)
    columns = columns - push[1] + bend * smooth_noise(rng, 12.0)
    angle = np.deg2rad(rng.uniform(-20.0, 20.0))
    mirror = rng.choice([-1.0, 1.0])
    tall, wide = SPACING_MM / rng.uniform(0.9, 1.12, size=2)
    down = tall * (np.cos(angle) * rows - np.sin(angle) * columns)
    right = wide * mirror * (np.sin(angle) * rows + np.cos(angle) * columns)
    shape = template.grey.shape
    points = np.stack([shape[0] / 2 + right, shape[1] / 2 - down])
    points += rng.uniform(-4.0, 4.0, size=(2, 1, 1))
    planes = [
        ndimage.map_coordinates(
            ndimage.gaussian_filter(volume[:, :, index].astype(np.float64), 0.7), points, order=1
        )
        for volume in (template.grey, template.white, template.brain)
    ]
    grey, white, brain = (np.clip(plane, 0.0, 1.0) for plane in planes)
    solid = ndimage.binary_fill_holes(brain > 0.5)
    return Tissue(
        grey,
        white,
        brain,
        ndimage.distance_transform_edt(~solid) * SPACING_MM,
        ndimage.distance_transform_edt(solid) * SPACING_MM,
    )
