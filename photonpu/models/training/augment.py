"""Draw many plausible slices from few: geometry, contrast, shading, blur and noise.

All functions take raw grey values (0 to 255) in torch tensors of shape (batch, 128, 128), and a
generator: the same generator state gives the same slices.
"""

from __future__ import annotations

import math
from typing import Any

from photonpu.models.preprocess import FLOOR
from photonpu.models.training.extras import need


def uniform(count: int, low: float, high: float, generator: Any) -> Any:
    """Draw ``count`` numbers between ``low`` and ``high``."""
    return low + (high - low) * need("torch").rand(count, generator=generator)


def smooth_field(shape: tuple[int, int], knots: int, side: int, generator: Any) -> Any:
    """Draw smooth random fields of standard deviation about 1 at their knots.

    Parameters
    ----------
    shape : (int, int)
        Batch and channels.
    knots : int
        Knots along each side; fewer make a smoother field.
    side : int
        Pixels along each side of the result.
    generator : torch.Generator

    Returns
    -------
    torch.Tensor, shape (batch, channels, side, side)
    """
    torch = need("torch")
    coarse = torch.randn(*shape, knots, knots, generator=generator)
    return torch.nn.functional.interpolate(
        coarse, size=(side, side), mode="bicubic", align_corners=True
    )


def deform(image: Any, mask: Any, generator: Any) -> tuple[Any, Any]:
    """Turn, mirror, scale, shear, shift and bend each slice and its mask alike.

    Parameters
    ----------
    image : torch.Tensor, shape (batch, side, side)
    mask : torch.Tensor of float, shape (batch, side, side)
    generator : torch.Generator

    Returns
    -------
    (torch.Tensor, torch.Tensor)
        The mask is 0 or 1 again.
    """
    torch = need("torch")
    batch, side = image.shape[0], image.shape[-1]
    angle = uniform(batch, -math.pi, math.pi, generator)
    shear = uniform(batch, -0.12, 0.12, generator)
    wide = torch.exp(uniform(batch, -0.22, 0.22, generator))
    tall = wide * torch.exp(uniform(batch, -0.10, 0.10, generator))
    mirror = torch.where(uniform(batch, 0, 1, generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.zeros(batch, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = cos * wide * mirror, (shear - sin) * tall
    matrix[:, 1, 0], matrix[:, 1, 1] = (sin + shear) * wide * mirror, cos * tall
    matrix[:, :, 2] = uniform(2 * batch, -0.12, 0.12, generator).reshape(batch, 2)
    grid = torch.nn.functional.affine_grid(matrix, [batch, 1, side, side], align_corners=False)
    bend = uniform(batch, 0.0, 0.035, generator)[:, None, None, None]
    field = smooth_field((batch, 2), 6, side, generator)
    grid = grid + bend * field.permute(0, 2, 3, 1)
    both = torch.nn.functional.grid_sample(
        torch.stack([image, mask], dim=1), grid, mode="bilinear", align_corners=False
    )
    return both[:, 0], (both[:, 1] > 0.5).float()


def recolour(image: Any, mask: Any, generator: Any) -> Any:
    """Vary what a scanner varies: contrast, gamma, shading, sharpness, noise; and the lesion.

    Parameters
    ----------
    image : torch.Tensor, shape (batch, side, side)
        Grey values 0 to 255.
    mask : torch.Tensor, shape (batch, side, side)
        In a third of the slices the lesion is made brighter or darker by up to a quarter.
    generator : torch.Generator

    Returns
    -------
    torch.Tensor, shape (batch, side, side)
        Grey values, not negative.
    """
    torch = need("torch")
    batch, side = image.shape[0], image.shape[-1]

    def each(low: float, high: float) -> Any:
        return uniform(batch, low, high, generator)[:, None, None]

    soft = torch.nn.functional.avg_pool2d(mask[:, None], 5, stride=1, padding=2)[:, 0]
    change = torch.where(each(0, 1) < 0.33, each(-0.25, 0.25), torch.zeros(()))
    x = image / 255.0 * (1.0 + change * soft)
    x = x.clamp(min=0.0) ** torch.exp(each(-0.35, 0.35))
    x = x * torch.exp(0.18 * smooth_field((batch, 1), 3, side, generator)[:, 0])
    blurred = torch.nn.functional.avg_pool2d(x[:, None], 3, stride=1, padding=1)[:, 0]
    amount = torch.where(each(0, 1) < 0.3, each(0.0, 1.0), torch.zeros(()))
    x = (1.0 - amount) * x + amount * blurred
    sigma = each(0.0, 0.02)
    real = x + sigma * torch.randn(x.shape, generator=generator)
    imaginary = sigma * torch.randn(x.shape, generator=generator)
    return 255.0 * torch.sqrt(real.square() + imaginary.square())


def standardise(image: Any, head: Any) -> Any:
    """Apply `photonpu.models.preprocess.zscore` to each slice of a batch.

    Parameters
    ----------
    image : torch.Tensor, shape (batch, side, side)
    head : torch.Tensor of bool, shape (batch, side, side)
        The foreground, taken before noise and gamma could move the air across the floor.

    Returns
    -------
    torch.Tensor, shape (batch, 1, side, side)
    """
    weight = head.float()
    count = weight.sum(dim=(1, 2), keepdim=True).clamp(min=1.0)
    mean = (image * weight).sum(dim=(1, 2), keepdim=True) / count
    variance = ((image - mean).square() * weight).sum(dim=(1, 2), keepdim=True) / count
    return ((image - mean) / variance.sqrt().clamp(min=1e-6))[:, None]


def draw(image: Any, mask: Any, generator: Any) -> tuple[Any, Any]:
    """Make one training batch out of raw slices.

    Parameters
    ----------
    image, mask : torch.Tensor, shape (batch, side, side)
    generator : torch.Generator

    Returns
    -------
    (torch.Tensor, torch.Tensor), both of shape (batch, 1, side, side)
        Standardised images, and masks of 0 and 1.
    """
    image, mask = deform(image, mask, generator)
    head = image > FLOOR
    return standardise(recolour(image, mask, generator), head), mask[:, None]
