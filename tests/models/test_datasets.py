"""Every layout gives the same slices; damaged files are named with a remedy."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray
from PIL import Image

from photonpu.errors import DataError
from photonpu.models.datasets import DATASETS, Dataset, load_dataset
from photonpu.models.preprocess import halve, halve_mask, zscore
from photonpu.registry import UnknownNameError

nibabel = pytest.importorskip("nibabel")

DRAWN = np.random.default_rng(5)
# 3 slices of 6 x 8 pixels: no symmetry in which a flip or a transposition could hide.
GREY = DRAWN.integers(0, 256, (3, 6, 8), dtype=np.uint8)
TRUTH = DRAWN.random((3, 6, 8)) > 0.6
COLOUR = DRAWN.integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)


def save_picture(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_volume(path: Path, values: NDArray[Any], affine: NDArray[Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([2.0, 3.0, 5.0, 1.0]) if affine is None else affine
    kind = nibabel.MGHImage if path.suffix in (".mgz", ".mgh") else nibabel.Nifti1Image
    nibabel.save(kind(values, affine), path)


def standing(slices: NDArray[Any]) -> NDArray[Any]:
    """Turn axial pictures (S, rows front to back, columns from the right) into RAS voxels."""
    return np.ascontiguousarray(slices[:, ::-1, ::-1].transpose(2, 1, 0))


def write_npz(folder: Path) -> Path:
    path = folder / "set.npz"
    np.savez(path, image=GREY, mask=TRUTH.astype(np.uint8), id=[7, 8, 9], spacing_mm=[0.5, 0.7])
    return path


def write_png_pairs(folder: Path) -> Path:
    for index, (grey, truth) in enumerate(zip(GREY, TRUTH, strict=True)):
        save_picture(folder / f"slice_{index}.png", grey)
        save_picture(folder / f"slice_{index}_mask.png", truth * np.uint8(255))
    return folder


def write_kaggle(folder: Path) -> Path:
    for index, number in enumerate((2, 9, 10)):
        name = f"TCGA_CS_4941_19960909_{number}"
        save_picture(folder / "TCGA_CS_4941_19960909" / f"{name}.tif", COLOUR[index])
        truth = TRUTH[index] * np.uint8(255)
        save_picture(folder / "TCGA_CS_4941_19960909" / f"{name}_mask.tif", truth)
    return folder


def write_volumes(folder: Path) -> Path:
    save_volume(folder / "case1" / "image.nii.gz", standing(GREY))
    save_volume(folder / "case1" / "mask.nii.gz", standing(TRUTH).astype(np.int16))
    return folder


def write_brats(folder: Path) -> Path:
    for place, name in enumerate(("flair", "t1", "t1ce", "t2")):
        values = standing(np.roll(GREY, place, axis=0))
        save_volume(folder / "BraTS2021_00017" / f"BraTS2021_00017_{name}.nii.gz", values)
    labels = standing(TRUTH * DRAWN.choice([1, 2, 4], TRUTH.shape)).astype(np.uint8)
    save_volume(folder / "BraTS2021_00017" / "BraTS2021_00017_seg.nii.gz", labels)
    return folder


def write_msd(folder: Path) -> Path:
    stacked = np.stack([standing(np.roll(GREY, place, axis=0)) for place in range(4)], axis=-1)
    save_volume(folder / "imagesTr" / "BRATS_001.nii.gz", stacked)
    save_volume(folder / "labelsTr" / "BRATS_001.nii.gz", standing(TRUTH).astype(np.uint8))
    (folder / "imagesTr" / "._BRATS_001.nii.gz").write_bytes(b"\x00\x05\x16\x07")
    names = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    (folder / "dataset.json").write_text(json.dumps({"modality": names}))
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "npz": write_npz,
    "png-pairs": write_png_pairs,
    "kaggle-3m": write_kaggle,
    "volumes": write_volumes,
    "brats": write_brats,
    "msd": write_msd,
}


def test_every_layout_of_the_table_is_tested_here() -> None:
    assert set(WRITERS) == set(DATASETS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_layout_is_found_by_its_names_and_by_no_other_layout(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path)
    detected = [other for other, layout in DATASETS.items() if layout.detects(path)]
    assert detected[0] == name


@pytest.mark.parametrize("name", WRITERS)
def test_a_layout_gives_the_slices_that_were_written(name: str, tmp_path: Path) -> None:
    dataset = load_dataset(WRITERS[name](tmp_path), normalise="none")
    expected = COLOUR[..., 0] if name == "kaggle-3m" else GREY
    npt.assert_array_equal(dataset.images[:, 0], expected)
    npt.assert_array_equal(dataset.raw, expected)
    npt.assert_array_equal(dataset.masks, TRUTH)
    assert len(set(dataset.ids)) == len(dataset) == 3


@pytest.mark.parametrize("name", WRITERS)
def test_grey_values_are_standardised_slice_by_slice(name: str, tmp_path: Path) -> None:
    dataset = load_dataset(WRITERS[name](tmp_path))
    expected = COLOUR[..., 0] if name == "kaggle-3m" else GREY
    npt.assert_array_equal(dataset.images[:, 0], [zscore(image) for image in expected])


@pytest.mark.parametrize(
    ("name", "spacing"), [("npz", (0.5, 0.7)), ("volumes", (3.0, 2.0)), ("png-pairs", (1.0, 1.0))]
)
def test_spacing_is_in_mm_along_rows_and_columns(
    name: str, spacing: tuple[float, float], tmp_path: Path
) -> None:
    dataset = load_dataset(WRITERS[name](tmp_path))
    npt.assert_allclose(dataset.spacing_mm, [spacing] * 3)
    assumed = any("1 mm in the original is assumed" in note for note in dataset.notes)
    assert assumed == (name == "png-pairs")


def test_shrinking_by_two_averages_as_the_training_does_and_doubles_the_spacing(
    tmp_path: Path,
) -> None:
    dataset = load_dataset(write_npz(tmp_path), size=(3, 4))
    npt.assert_allclose(dataset.images[:, 0], [zscore(halve(image)) for image in GREY], atol=1e-5)
    npt.assert_array_equal(dataset.masks, [halve_mask(mask) for mask in TRUTH])
    npt.assert_allclose(dataset.spacing_mm, [(1.0, 1.4)] * 3)


def test_growing_keeps_a_constant_and_the_place_of_an_edge(tmp_path: Path) -> None:
    image = np.full((1, 4, 4), 90, np.uint8)
    mask = np.zeros((1, 4, 4), bool)
    mask[:, :, 2:] = True
    np.savez(tmp_path / "a.npz", image=image, mask=mask)
    dataset = load_dataset(tmp_path / "a.npz", size=8, normalise="none")
    npt.assert_array_equal(dataset.images, np.full((1, 1, 8, 8), 90.0))
    npt.assert_array_equal(dataset.masks[0, :, 4:], True)
    npt.assert_array_equal(dataset.masks[0, :, :4], False)


def test_floating_point_arrays_are_taken_as_normalised_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    image = DRAWN.normal(size=(2, 3, 5, 5)).astype(np.float32)
    np.savez(tmp_path / "a.npz", image=image, mask=np.ones((2, 5, 5)))
    npt.assert_array_equal(load_dataset(tmp_path / "a.npz").images, image)
    # On 0 to 255 before standardising, as the lowest value is below 0: air is 0.
    low, high = min(0.0, image[0, 0].min()), image[0, 0].max()
    again = load_dataset(tmp_path / "a.npz", normalise="zscore")
    expected = zscore((image[0, 0] - low) * (255 / (high - low)))
    npt.assert_allclose(again.images[0, 0], expected, atol=1e-5)


def test_limit_takes_slices_evenly_spaced(tmp_path: Path) -> None:
    image = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    np.savez(tmp_path / "a.npz", image=image, mask=image > 0)
    assert load_dataset(tmp_path / "a.npz", limit=2).ids == ("2", "7")
    assert load_dataset(tmp_path / "a.npz", limit=99).ids == tuple("0123456789")


def test_kaggle_slices_are_sorted_by_number_and_one_channel_is_flair(tmp_path: Path) -> None:
    dataset = load_dataset(write_kaggle(tmp_path), channels=1, normalise="none")
    assert [name.rsplit("_", 1)[1] for name in dataset.ids] == ["2", "9", "10"]
    npt.assert_array_equal(dataset.images[:, 0], COLOUR[..., 1])
    post = load_dataset(tmp_path, channels=["post", "pre"], normalise="none")
    npt.assert_array_equal(post.images, np.moveaxis(COLOUR[..., [2, 0]], 3, 1))


def test_images_without_mask_are_counted_and_left_out(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    save_picture(tmp_path / "TCGA_CS_4941_19960909" / "extra_1.png", COLOUR[0])
    dataset = load_dataset(tmp_path)
    assert len(dataset) == 3
    assert dataset.notes[0] == "1 of 4 images have no mask and are left out: 'extra_1.png'"


def test_a_grey_picture_saved_in_colour_counts_as_one_channel_if_one_is_wanted(
    tmp_path: Path,
) -> None:
    save_picture(tmp_path / "a.png", np.stack([GREY[0]] * 3, axis=-1))
    save_picture(tmp_path / "a_mask.png", TRUTH[0] * np.uint8(255))
    dataset = load_dataset(tmp_path, channels=1, normalise="none")
    npt.assert_array_equal(dataset.images[0], GREY[:1])
    save_picture(tmp_path / "a.png", COLOUR[0])
    with pytest.raises(DataError, match=r"a.png' has 3 channels \('red', 'green', 'blue'\) and 1"):
        load_dataset(tmp_path, channels=1)


def test_16_bit_pictures_are_scaled_by_their_largest_value(tmp_path: Path) -> None:
    grey = np.array([[0, 1000], [2000, 4000]], np.uint16)
    save_picture(tmp_path / "a.png", grey)
    save_picture(tmp_path / "a_mask.png", np.full((2, 2), 255, np.uint8))
    dataset = load_dataset(tmp_path, normalise="none")
    npt.assert_allclose(dataset.images[0, 0], grey * (255 / 4000), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_volumes_may_lie_in_any_order_of_axes(suffix: str, tmp_path: Path) -> None:
    # Stored as (z, x, y), x to the left: the header says so, and the slices come out the same.
    affine = np.array([[0, -2.0, 0, 14], [0, 0, 3.0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    turned = standing(GREY)[::-1].transpose(2, 0, 1)
    save_volume(tmp_path / f"p3{suffix}", np.ascontiguousarray(turned), affine)
    save_volume(tmp_path / "p3_mask.nii.gz", standing(TRUTH).astype(np.uint8))
    dataset = load_dataset(tmp_path, normalise="none")
    npt.assert_array_equal(dataset.images[:, 0], GREY)
    npt.assert_array_equal(dataset.masks, TRUTH)
    assert dataset.ids == ("p3/0", "p3/1", "p3/2")
    npt.assert_allclose(dataset.spacing_mm, [(3.0, 2.0)] * 3)


def test_a_volume_in_its_own_unit_is_scaled_as_a_whole(tmp_path: Path) -> None:
    values = standing(GREY).astype(np.int16) * 10 - 400
    save_volume(tmp_path / "image.nii.gz", values)
    save_volume(tmp_path / "mask.nii.gz", standing(TRUTH).astype(np.uint8))
    dataset = load_dataset(tmp_path, normalise="none")
    low = float(GREY.min())
    top = np.percentile(GREY[GREY.astype(float) > low], 99.9)
    expected = np.clip((GREY - low) * 255 / (top - low), 0, 255)
    npt.assert_allclose(dataset.images[:, 0], expected, atol=1e-3)


def test_slices_that_show_nothing_are_left_out_and_empty_truth_is_counted(tmp_path: Path) -> None:
    grey, truth = GREY.copy(), TRUTH.copy()
    grey[0], truth[0], truth[1] = 0, False, False
    save_volume(tmp_path / "image.nii.gz", standing(grey))
    save_volume(tmp_path / "mask.nii.gz", standing(truth).astype(np.uint8))
    dataset = load_dataset(tmp_path)
    assert [name.split("/")[1] for name in dataset.ids] == ["1", "2"]
    assert dataset.empty == 1
    assert dataset.notes == ("1 of 3 slices show nothing and are left out",)


@pytest.mark.parametrize(
    ("channels", "places"),
    [(None, [0, 1, 2, 3]), (1, [2]), (4, [0, 1, 2, 3]), ("t2f", [0]), (["t1c", "t2"], [2, 3])],
)
def test_brats_channels_have_names_of_both_generations(
    channels: Any, places: list[int], tmp_path: Path
) -> None:
    dataset = load_dataset(write_brats(tmp_path), channels=channels, normalise="none")
    for channel, place in enumerate(places):
        npt.assert_array_equal(dataset.images[:, channel], np.roll(GREY, place, axis=0))
    assert dataset.channels == len(places)


def test_brats_of_2023_is_read_by_the_folder_of_one_patient(tmp_path: Path) -> None:
    folder = tmp_path / "BraTS-GLI-00012-000"
    for place, name in enumerate(("t2f", "t1n", "t1c", "t2w")):
        values = standing(np.roll(GREY, place, axis=0))
        save_volume(folder / f"BraTS-GLI-00012-000-{name}.nii.gz", values)
    save_volume(folder / "BraTS-GLI-00012-000-seg.nii.gz", standing(TRUTH * 3).astype(np.uint8))
    dataset = load_dataset(folder, channels=1, normalise="none")
    npt.assert_array_equal(dataset.images[:, 0], np.roll(GREY, 2, axis=0))
    npt.assert_array_equal(dataset.masks, TRUTH)
    assert dataset.ids[0] == "BraTS-GLI-00012-000/0"


def test_a_missing_contrast_is_named(tmp_path: Path) -> None:
    write_brats(tmp_path)
    (tmp_path / "BraTS2021_00017" / "BraTS2021_00017_t1ce.nii.gz").unlink()
    assert load_dataset(tmp_path, channels="flair").channels == 1
    with pytest.raises(DataError, match=r"has no 'BraTS2021_00017_t1ce.nii.gz': add it, or choose"):
        load_dataset(tmp_path)


def test_msd_takes_the_names_of_its_channels_from_its_json(tmp_path: Path) -> None:
    write_msd(tmp_path)
    dataset = load_dataset(tmp_path, channels=1, normalise="none")
    npt.assert_array_equal(dataset.images[:, 0], np.roll(GREY, 2, axis=0))
    with pytest.raises(DataError, match=r"no channel 'FLAR' .*; did you mean 'FLAIR'\?"):
        load_dataset(tmp_path, channels="FLAR")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset.json' cannot be read"):
        load_dataset(tmp_path)


def test_a_volume_alone_is_told_that_it_needs_a_mask(tmp_path: Path) -> None:
    save_volume(tmp_path / "scan.nii.gz", standing(GREY))
    for path in (tmp_path, tmp_path / "scan.nii.gz"):
        with pytest.raises(DataError, match=r"no volume has a mask: beside 'image.nii.gz' put"):
            load_dataset(path)


def test_reading_volumes_without_nibabel_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_volumes(tmp_path)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DataError, match=r"needs nibabel: pip install 'photonpu\[imaging\]'"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 100, 300])
@pytest.mark.parametrize("name", ["npz", "png-pairs", "kaggle-3m", "volumes", "brats"])
def test_a_file_that_was_cut_short_is_named(name: str, keep: int, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file() and "mask" not in file.name]
    victim = min(file for file in files if not file.stem.endswith("seg.nii"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: min(keep, len(whole) // 2)])
    with pytest.raises(DataError, match=victim.name) as caught:
        load_dataset(path)
    assert "cannot be read" in str(caught.value) or "cut short or damaged" in str(caught.value)


def test_volumes_on_different_grids_are_refused(tmp_path: Path) -> None:
    write_volumes(tmp_path)
    mask = tmp_path / "case1" / "mask.nii.gz"
    save_volume(mask, standing(TRUTH)[:-1].astype(np.uint8))
    with pytest.raises(DataError, match=r"lie on different grids: resample one onto the other"):
        load_dataset(tmp_path)
    save_volume(mask, standing(TRUTH).astype(np.uint8), np.diag([2.0, 3.0, 5.5, 1.0]))
    with pytest.raises(DataError, match=r"lie on different grids"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_a_volume_whose_header_places_it_nowhere_is_refused(scale: float, tmp_path: Path) -> None:
    write_volumes(tmp_path)
    broken = nibabel.Nifti1Image(standing(GREY), None)
    broken.header.set_sform(np.diag([2.0, scale, 5.0, 1.0]), code=1)
    nibabel.save(nibabel.Nifti1Image(standing(GREY), None, broken.header), tmp_path / "a.nii")
    save_volume(tmp_path / "a_mask.nii.gz", standing(TRUTH).astype(np.uint8))
    with pytest.raises(DataError, match=r"a.nii' has a header that places no voxels in space"):
        load_dataset(tmp_path)


def test_an_mgz_of_an_unknown_type_of_numbers_is_refused(tmp_path: Path) -> None:
    save_volume(tmp_path / "image.mgz", standing(GREY))
    save_volume(tmp_path / "mask.mgz", standing(TRUTH).astype(np.uint8))
    whole = bytearray(gzip.decompress((tmp_path / "image.mgz").read_bytes()))
    whole[20:24] = (17).to_bytes(4, "big")
    (tmp_path / "image.mgz").write_bytes(gzip.compress(bytes(whole)))
    with pytest.raises(DataError, match=r"image.mgz' cannot be read as a volume"):
        load_dataset(tmp_path)


def test_nan_in_a_volume_or_an_array_is_named(tmp_path: Path) -> None:
    values = standing(GREY).astype(np.float32)
    values[0, 0, 0] = np.nan
    save_volume(tmp_path / "v" / "image.nii.gz", values)
    save_volume(tmp_path / "v" / "mask.nii.gz", standing(TRUTH).astype(np.uint8))
    with pytest.raises(DataError, match=r"image.nii.gz' holds NaN or infinity: replace these"):
        load_dataset(tmp_path / "v")
    np.savez(tmp_path / "a.npz", image=np.full((2, 4, 4), np.inf), mask=np.ones((2, 4, 4)))
    with pytest.raises(DataError, match=r"a.npz, slice 0' holds NaN or infinity: replace these"):
        load_dataset(tmp_path / "a.npz")


def test_an_image_and_a_mask_of_different_sizes_are_named(tmp_path: Path) -> None:
    write_png_pairs(tmp_path)
    save_picture(tmp_path / "slice_1_mask.png", np.zeros((6, 9), np.uint8))
    with pytest.raises(DataError, match=r"slice_1_mask.png' is 9x6 and its image 8x6: they must"):
        load_dataset(tmp_path)


def test_images_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    write_png_pairs(tmp_path)
    save_picture(tmp_path / "slice_1.png", np.zeros((5, 8), np.uint8))
    save_picture(tmp_path / "slice_1_mask.png", np.zeros((5, 8), np.uint8))
    with pytest.raises(DataError, match=r"slice_1.png' has channels, height and width \(1, 5, 8\)"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, size=8).size == (8, 8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": GREY}, r"has no array 'mask' but image: it needs 'image'"),
        ({"data": GREY}, r"has no array 'image' but data"),
        ({"image": GREY, "mask": TRUTH[:2]}, r"mask of shape \(2, 6, 8\) does not fit image"),
        ({"image": GREY[0], "mask": TRUTH[0]}, r"image is uint8 of shape \(6, 8\): it needs"),
        ({"image": GREY > 9, "mask": TRUTH}, r"image is bool of shape"),
        ({"image": GREY, "mask": np.full(TRUTH.shape, np.nan)}, r"mask is float64, or holds NaN"),
        ({"image": GREY, "mask": TRUTH, "id": [1]}, r"id has shape \(1,\): it needs \(3,\)"),
        ({"image": GREY, "mask": TRUTH, "spacing_mm": [1.0] * 3}, r"spacing_mm is float64 of sh"),
        ({"image": np.array([{}]), "mask": TRUTH}, r"cannot be read as .npz \(Object arrays"),
    ],
)
def test_an_archive_that_does_not_fit_is_told_what_would(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / "a.npz")


def test_a_missing_path_an_unknown_layout_and_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere': no such file or folder"):
        load_dataset(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no images")
    with pytest.raises(DataError, match=r"no layout that is known \(found: notes.txt\)") as caught:
        load_dataset(tmp_path)
    assert all(f"{name}: {layout.holds}" in str(caught.value) for name, layout in DATASETS.items())
    path = write_npz(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no dataset layout is called 'nzp'; did you mean"):
        load_dataset(path, format="nzp")
    with pytest.raises(DataError, match=r"normalise='minmax': there are 'auto', 'zscore' and"):
        load_dataset(path, normalise="minmax")
    with pytest.raises(DataError, match=r"limit=0: a data set needs 1 slice or more"):
        load_dataset(path, limit=0)
    with pytest.raises(DataError, match=r"size=0: sides have 1 to"):
        load_dataset(path, size=0)
    with pytest.raises(DataError, match=r"take [\d.]+ GB and 4.3 GB are taken at most: choose"):
        load_dataset(path, size=16384)


def test_a_dataset_is_sliced_and_walked_and_cannot_be_written_to(tmp_path: Path) -> None:
    dataset = load_dataset(write_npz(tmp_path))
    assert dataset[1:].ids == ("8", "9")
    assert dataset[-1].ids == ("9",)
    assert [one.ids for one in dataset] == [("7",), ("8",), ("9",)]
    npt.assert_array_equal(dataset[2].images, dataset.images[2:])
    with pytest.raises(IndexError):
        dataset[3]
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 0


def test_arrays_that_do_not_fit_make_no_dataset() -> None:
    image, grey = np.zeros((2, 1, 4, 4), np.float32), np.zeros((2, 4, 4), np.uint8)
    spacing = np.ones((2, 2))
    Dataset("mine", image, grey > 0, grey, ("a", "b"), spacing)
    assert image.flags.writeable
    broken = image.copy()
    broken[1, 0, 2, 2] = np.nan
    with pytest.raises(DataError, match=r"masks is bool \(1, 4, 4\); images of shape \(2, 1, 4,"):
        Dataset("mine", image, grey[:1] > 0, grey, ("a", "b"), spacing)
    with pytest.raises(DataError, match=r"'mine': 1 ids for 2 images"):
        Dataset("mine", image, grey > 0, grey, ("a",), spacing)
    with pytest.raises(DataError, match=r"slice 'b' holds NaN or infinity"):
        Dataset("mine", broken, grey > 0, grey, ("a", "b"), spacing)


def test_the_real_test_slices_are_the_real_slices_halved(assets: Path) -> None:
    ready = load_dataset(assets / "mri" / "tumour_test_128.npz")
    whole = load_dataset(assets / "mri" / "cheng_t1ce_tumour_256.npz", size=128)
    places = [whole.ids.index(name) for name in ready.ids]
    npt.assert_allclose(whole.images[places], ready.images, atol=0.1)
    assert (whole.masks[places] != ready.masks).mean() < 0.003


def test_the_lgg_sample_is_found_flat(assets: Path) -> None:
    dataset = load_dataset(assets / "mri" / "lgg_kaggle_sample")
    assert dataset.images.shape == (8, 3, 256, 256)
    assert dataset.empty == 6
    assert dataset.notes[0].startswith("3 of 11 images have no mask and are left out")


def test_real_mgz_volumes_come_out_upright(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "image.mgz").symlink_to(assets / "mri" / "norm.mgz")
    (tmp_path / "mask.mgz").symlink_to(assets / "mri" / "aparc.a2009s+aseg.mgz")
    dataset = load_dataset(tmp_path, size=128, limit=16)
    assert 8 <= len(dataset) <= 16
    assert dataset.empty <= 2
    # Labels lie on brain: it is brighter than what is outside of them.
    inside = dataset.raw[dataset.masks].mean()
    assert inside > 5 * dataset.raw[~dataset.masks].mean()
    npt.assert_allclose(dataset.spacing_mm, 2.0, rtol=1e-6)
