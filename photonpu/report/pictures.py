"""Pictures of segmentations: image, truth, float mask and noisy mask side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.models.metrics import dice
from photonpu.storage import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Masks = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]

SIDE = 256
GAP = 10
MARGIN = 24
CAPTION = 30
BACKGROUND: Colour = (255, 255, 255)
INK: Colour = (28, 32, 38)
FAINT: Colour = (110, 118, 128)
TRUTH: Colour = (64, 214, 122)
# Blue and orange are told apart by every kind of colour vision (Okabe and Ito 2008).
FLOAT: Colour = (86, 160, 255)
NOISY: Colour = (255, 150, 40)
COVER = 0.55


def panel(
    path: str | Path,
    images: Bytes,
    truths: Masks,
    floats: Masks | None,
    noisy: Masks,
    titles: Sequence[str] = (),
    *,
    headline: str = "",
) -> None:
    """Draw one row a case: the image, the truth, the float mask and the noisy mask, as PNG.

    Masks lie over the image in colour; the outline of the truth is drawn over both predictions,
    and their Dice stands below them.

    Parameters
    ----------
    path
        Where the picture is to stand; what was there before is replaced at once or not at all.
    images
        (S, H, W) uint8 grey values.
    truths, noisy
        (S, H, W) bool.
    floats
        (S, H, W) bool; None leaves the column out.
    titles
        One a case, shown below its image; none by default.
    headline
        Shown above all.

    Raises
    ------
    InputError
        There is no case, or the arrays do not fit each other.
    StorageError
        The picture cannot be written.
    """
    columns: list[tuple[str, Masks | None, Colour]] = [
        ("image", None, INK),
        ("truth", truths, TRUTH),
        *([("float network", floats, FLOAT)] if floats is not None else []),
        ("noisy photonic machine", noisy, NOISY),
    ]
    _check(images, columns, titles)
    tile = _tile_size(images.shape[1], images.shape[2])
    head = MARGIN + (46 if headline else 0)
    top = head + 28
    height, width = tile[0] + CAPTION + GAP, tile[1] + GAP
    canvas, draw = _canvas(
        2 * MARGIN + len(columns) * width - GAP, top + len(images) * height + MARGIN
    )
    if headline:
        _write(draw, (MARGIN, MARGIN - 4), headline, 22, INK, canvas.width - 2 * MARGIN)
    for column, (title, masks, colour) in enumerate(columns):
        left = MARGIN + column * width
        _write(draw, (left, head), title, 16, INK, tile[1])
        for row, image in enumerate(images):
            place = (left, top + row * height)
            mask = None if masks is None else masks[row]
            outline = truths[row] if column else None
            canvas.paste(_tile(image, mask, colour, outline, tile), place)
            caption = _caption(column, mask, truths[row], titles[row] if titles else "")
            _write(draw, (left, place[1] + tile[0] + 5), caption, 14, FAINT, tile[1])
    _legend(draw, (MARGIN, top + len(images) * height - 2))
    atomic_write(path, lambda file: canvas.save(file, format="PNG", optimize=True))


def _check(
    images: Bytes, columns: Sequence[tuple[str, Masks | None, Colour]], titles: Sequence[str]
) -> None:
    """Refuse arrays that do not fit each other."""
    if images.ndim != 3 or images.dtype != np.uint8 or not images.size:
        raise InputError(
            f"images are {images.dtype} {images.shape}: a picture needs (cases, height, width) "
            "uint8, such as Dataset.raw"
        )
    for name, masks, _ in columns:
        if masks is not None and (masks.shape != images.shape or masks.dtype != np.bool_):
            raise InputError(
                f"masks of '{name}' are {masks.dtype} {masks.shape}: images of shape "
                f"{images.shape} need bool of the same shape"
            )
    if titles and len(titles) != len(images):
        raise InputError(f"{len(titles)} titles for {len(images)} images: give one for each")


def _tile_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which an image is shown: its longer side is `SIDE`."""
    longer = max(height, width)
    return max(1, round(height * SIDE / longer)), max(1, round(width * SIDE / longer))


def _canvas(width: int, height: int) -> tuple[Image, ImageDraw]:
    """Return an empty picture and its pen."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (width, height), BACKGROUND)
    return canvas, ImageDraw.Draw(canvas)


def _tile(
    image: Bytes,
    mask: Masks | None,
    colour: Colour,
    outline: Masks | None,
    size: tuple[int, int],
) -> Image:
    """Draw one image with its mask over it, and the outline of another mask."""
    from PIL import Image

    across = (size[1], size[0])
    grey = np.asarray(Image.fromarray(image).resize(across, Image.Resampling.BICUBIC))
    pixels = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    if mask is not None:
        shown = _enlarged(mask, across)
        pixels[shown] = (1 - COVER) * pixels[shown] + COVER * np.array(colour, np.float32)
    if outline is not None:
        pixels[_edge(_enlarged(outline, across))] = TRUTH
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _enlarged(mask: Masks, across: tuple[int, int]) -> Masks:
    """Return a mask at the size of its tile, every pixel as square as the network gave it."""
    from PIL import Image

    picture = Image.fromarray(mask.astype(np.uint8)).resize(across, Image.Resampling.NEAREST)
    return np.asarray(picture) > 0


def _edge(mask: Masks) -> Masks:
    """Return the outermost pixels of a mask."""
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & ~inner


def _caption(column: int, mask: Masks | None, truth: Masks, title: str) -> str:
    """Return what stands below a tile."""
    if mask is None:
        return title
    if column == 1:
        return f"{np.count_nonzero(truth)} pixels" if truth.any() else "nothing to find"
    return f"Dice {dice(mask, truth):.3f}"


def _legend(draw: ImageDraw, place: tuple[int, int]) -> None:
    """Say what the line over the predictions is."""
    left, top = place
    draw.line((left, top + 8, left + 22, top + 8), fill=TRUTH, width=3)
    _write(draw, (left + 30, top), "outline of the truth", 13, FAINT, SIDE)


def _write(
    draw: ImageDraw, place: tuple[int, int], text: str, size: int, colour: Colour, width: int
) -> None:
    """Write one line of text, cut where it would leave its `width`."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    line = " ".join(text.split())
    shown = line
    while len(shown) > 1 and draw.textlength(shown, font) > width:
        line = line[:-1]
        shown = f"{line}..."
    draw.text(place, shown, fill=colour, font=font)
