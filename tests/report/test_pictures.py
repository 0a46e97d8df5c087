"""The panel shows what it says: counted in its pixels, not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from photonpu.errors import InputError, StorageError
from photonpu.report.pictures import COVER, FLOAT, GAP, MARGIN, NOISY, SIDE, TRUTH, panel

GREY = 100


def case(side: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a flat image, a truth in its left upper quarter, a mask in its right lower one."""
    image = np.full((1, side, side), GREY, np.uint8)
    truth, mask = np.zeros((2, 1, side, side), bool)
    truth[0, 4 : side // 2, 4 : side // 2] = True
    mask[0, side // 2 : side - 4, side // 2 : side - 4] = True
    return image, truth, mask


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as file:
        assert file.format == "PNG"
        return np.asarray(file.convert("RGB"))


def covered(colour: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the grey with a colour over it."""
    return tuple(round((1 - COVER) * GREY + COVER * part) for part in colour)


def count(picture: NDArray[np.uint8], colour: tuple[int, ...]) -> int:
    return int((picture == np.array(colour, np.uint8)).all(axis=2).sum())


def test_each_mask_covers_its_area_in_its_own_column_and_colour(tmp_path: Path) -> None:
    image, truth, mask = case()
    panel(tmp_path / "a.png", image, truth, mask, mask, ["one"], headline="a headline")
    picture = pixels(tmp_path / "a.png")
    scale = SIDE // 32
    for column, colour, area in ((2, FLOAT, mask), (3, NOISY, mask)):
        left = MARGIN + column * (SIDE + GAP)
        inside = picture[:, left : left + SIDE]
        assert count(inside, covered(colour)) == area.sum() * scale**2
        assert count(picture, covered(colour)) == area.sum() * scale**2
    edge = 4 * (12 * scale - 1)
    shown = picture[:, MARGIN + SIDE + GAP :][:, :SIDE]
    assert count(shown, covered(TRUTH)) == truth.sum() * scale**2 - edge
    assert count(shown, TRUTH) == edge


def test_the_outline_of_the_truth_lies_over_both_predictions_and_not_over_the_image(
    tmp_path: Path,
) -> None:
    image, truth, mask = case()
    panel(tmp_path / "a.png", image, truth, mask, ~mask, [])
    picture = pixels(tmp_path / "a.png")
    for column, expected in ((0, 0), (2, 4 * 95), (3, 4 * 95)):
        left = MARGIN + column * (SIDE + GAP)
        tiles = picture[: -2 * MARGIN, left : left + SIDE]
        assert count(tiles, TRUTH) == expected


def test_without_float_masks_their_column_is_left_out(tmp_path: Path) -> None:
    image, truth, mask = case()
    panel(tmp_path / "a.png", image, truth, None, mask)
    panel(tmp_path / "b.png", image, truth, mask, mask)
    three, four = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    assert four.shape[1] - three.shape[1] == SIDE + GAP
    assert count(three, covered(FLOAT)) == 0


def test_images_that_are_not_square_keep_their_proportions(tmp_path: Path) -> None:
    image = np.full((2, 20, 40), GREY, np.uint8)
    mask = np.ones(image.shape, bool)
    panel(tmp_path / "a.png", image, ~mask, None, mask)
    assert count(pixels(tmp_path / "a.png"), covered(NOISY)) == 2 * SIDE * SIDE // 2


def test_long_and_odd_titles_stay_inside_the_picture(tmp_path: Path) -> None:
    image, truth, mask = case()
    panel(
        tmp_path / "a.png", image, truth, mask, mask, ["long " * 99], headline="many\nwords " * 99
    )
    picture = pixels(tmp_path / "a.png")
    assert (picture[:, -MARGIN + 4 :] == 255).all()
    gap = picture[:, MARGIN + SIDE : MARGIN + SIDE + GAP][100:]
    assert (gap == 255).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((1, 32, 32))}, r"images are float64 .* uint8, such as Dataset.raw"),
        ({"images": np.zeros((0, 32, 32), np.uint8)}, r"images are uint8 \(0, 32, 32\)"),
        ({"noisy": np.zeros((1, 16, 16), bool)}, r"masks of 'noisy photonic machine' are bool"),
        ({"truths": np.zeros((1, 32, 32))}, r"masks of 'truth' are float64 .* need bool"),
        ({"titles": ["a", "b"]}, r"2 titles for 1 images: give one for each"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    image, truth, mask = case()
    given = {"images": image, "truths": truth, "floats": mask, "noisy": mask} | change
    with pytest.raises(InputError, match=message):
        panel(tmp_path / "a.png", **given)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    image, truth, mask = case()
    with pytest.raises(StorageError, match=r"choose a folder that exists and is writable"):
        panel(tmp_path / "nowhere" / "a.png", image, truth, mask, mask)
