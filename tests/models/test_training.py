"""The recipe: preprocessing, the split, the synthetic slices, and a training in miniature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnxruntime
import pytest

from photonpu.errors import DataError
from photonpu.models import zoo
from photonpu.models.preprocess import halve, halve_mask, zscore
from photonpu.models.training import anatomy, cheng, synthetic
from photonpu.models.training.__main__ import main
from photonpu.models.training.extras import need
from photonpu.models.training.train import Recipe, Training, loss, predict, train, validate
from photonpu.models.unet import UNet


@pytest.fixture
def template() -> anatomy.Template:
    """Return an egg of white matter with a grey rind, the same at every height."""
    x, y = np.mgrid[0:197, 0:233].astype(np.float32)
    radius = np.hypot((x - 98) / 70, (y - 116) / 88)
    planes = [(radius > 0.8) & (radius < 1), radius <= 0.8, radius < 1]
    grey, white, brain = (
        np.broadcast_to(plane.astype(np.float32)[:, :, None], (197, 233, 100)) for plane in planes
    )
    return anatomy.Template(grey, white, brain, bottom_mm=-36.0)


@pytest.fixture
def few() -> cheng.Slices:
    """Return six small slices with a bright square each, the tumour."""
    rng = np.random.default_rng(0)
    image = rng.uniform(40, 60, (6, 32, 32)).astype(np.float32)
    mask = np.zeros((6, 32, 32), np.uint8)
    for index in range(6):
        mask[index, 8 + index : 16 + index, 10:18] = 1
    image[mask > 0] += 80
    return cheng.Slices(image, mask, np.arange(6))


def test_zscore_standardises_the_pixels_above_the_floor() -> None:
    # Foreground 20 and 40: mean 30, standard deviation 10.
    npt.assert_allclose(zscore([[0, 20], [40, 10]]), [[-3, -1], [1, -2]])


def test_zscore_of_an_image_without_foreground_is_zero() -> None:
    npt.assert_array_equal(zscore(np.full((4, 4), 5.0)), np.zeros((4, 4)))


def test_zscore_of_a_flat_foreground_only_shifts() -> None:
    npt.assert_allclose(zscore([[50.0, 50.0], [0.0, 50.0]]), [[0, 0], [-50, 0]])


def test_zscore_refuses_nan() -> None:
    with pytest.raises(DataError, match="image holds NaN or infinity"):
        zscore([[20.0, np.nan]])


def test_halving_averages_blocks_of_four() -> None:
    npt.assert_array_equal(halve([[1, 3, 0, 0], [5, 7, 0, 8]]), [[4, 2]])


def test_halving_an_odd_image_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(3, 4\): halving needs an even height and width"):
        halve(np.zeros((3, 4)))


def test_a_halved_mask_needs_more_than_two_of_four_pixels() -> None:
    npt.assert_array_equal(halve_mask([[1, 1, 9, 9], [0, 0, 9, 0]]), [[0, 1]])


def test_the_preprocessing_reproduces_the_ready_made_real_slices(assets: Path) -> None:
    test = cheng.read_slices(assets / "mri" / "cheng_t1ce_tumour_256.npz")["test"]
    with np.load(assets / "mri" / "tumour_test_128.npz") as archive:
        npt.assert_array_equal(test.id, archive["id"])
        npt.assert_array_equal(test.mask, archive["mask"])
        expected = archive["image"][:, 0]

    npt.assert_allclose(np.stack([zscore(image) for image in test.image]), expected, atol=1e-5)


def test_no_training_slice_lies_within_12_ids_of_a_held_out_block() -> None:
    ids = np.arange(1, 3065)
    parts = cheng.split(ids)

    for held_out in ("validation", "test"):
        distance = np.abs(ids[parts["training"]][:, None] - ids[parts[held_out]][None])
        assert distance.min() > 12
    between = np.abs(ids[parts["validation"]][:, None] - ids[parts["test"]][None])
    assert between.min() > 12
    assert parts["test"].sum() == 120 + 170 + 200


def test_training_anatomy_stays_6_mm_from_the_evaluation_bands() -> None:
    evaluation = np.array(anatomy.heights_mm(evaluation=True))
    training = np.array(anatomy.heights_mm(evaluation=False))

    assert np.abs(evaluation[:, None] - training[None]).min() > 6


def test_synthetic_slices_repeat_and_do_not_depend_on_their_number(
    template: anatomy.Template,
) -> None:
    many = synthetic.draw_slices(template, 4, seed=5, evaluation=False)
    few = synthetic.draw_slices(template, 2, seed=5, evaluation=False)
    other = synthetic.draw_slices(template, 2, seed=6, evaluation=False)

    npt.assert_array_equal(many.image[:2], few.image)
    npt.assert_array_equal(many.mask[:2], few.mask)
    assert np.any(few.image != other.image)


def test_three_of_four_synthetic_slices_have_a_lesion_within_the_brain(
    template: anatomy.Template,
) -> None:
    slices = synthetic.draw_slices(template, 12, seed=0, evaluation=True)

    empty = [not mask.any() for mask in slices.mask]
    assert empty == [index % 4 == 3 for index in range(12)]
    assert slices.image.max() <= 255
    assert slices.image[slices.mask > 0].min() > 0


def test_a_lesion_pushes_tissue_away_from_its_centre() -> None:
    lesion = synthetic.draw_lesion(np.random.default_rng(1), (4.5, -7.5))

    rows, columns = anatomy.pixel_grid()
    outward = lesion.push[0] * (rows - 4.5) + lesion.push[1] * (columns + 7.5)
    assert outward.min() >= 0
    assert lesion.depth_px.max() == pytest.approx(lesion.depth_px[68, 56], abs=2.0)


def test_the_shipped_evaluation_set_comes_out_of_its_recipe(tmp_path: Path) -> None:
    pytest.importorskip("nilearn")
    synthetic.write_evaluation_set(tmp_path / "again.npz")

    with np.load(tmp_path / "again.npz") as again, np.load(zoo.evaluation_set()) as shipped:
        assert again.files == shipped.files
        npt.assert_array_equal(again["mask"], shipped["mask"])
        # Another libm may round a pixel the other way.
        difference = np.abs(again["image"].astype(int) - shipped["image"].astype(int))
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 1e-3


def test_the_synthetic_command_refuses_anything_but_one_path(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert synthetic.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_a_missing_module_names_the_extra() -> None:
    expected = r"no_such is needed to train: pip install 'photonpu\[train\]'"
    with pytest.raises(ImportError, match=expected):
        need("no_such.module")


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.npz: no such file"):
        cheng.read_slices(tmp_path / "none.npz")


def test_a_data_file_without_masks_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", image=np.zeros((1, 4, 4)), id=[1])

    with pytest.raises(DataError, match=r"bare.npz: lacks mask"):
        cheng.read_slices(tmp_path / "bare.npz")


def test_the_command_reports_an_error_and_returns_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path / "none.npz"), "--out", str(tmp_path / "out.onnx")]) == 1
    assert "none.npz: no such file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_rate_rises_over_a_tenth_and_falls_to_zero() -> None:
    recipe = Recipe(epochs=10, slices_per_epoch=160, batch=16, learning_rate=1.0)

    rates = [recipe.rate(step) for step in range(recipe.steps)]

    assert recipe.steps == 100
    assert rates[9] == max(rates) == 1.0
    assert rates[0] == 0.1
    assert rates[-1] < 1e-3
    assert rates[9:] == sorted(rates[9:], reverse=True)


TINY = Recipe(features=2, epochs=2, slices_per_epoch=8, batch=4, threads=1, synthetic_share=0.5)


def test_torch_and_the_written_file_compute_the_same(few: cheng.Slices, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from photonpu.models.training import network
    from photonpu.models.training.export import write_model

    training = Training(TINY)
    training.run_epoch(few, few)
    write_model(tmp_path / "tiny.onnx", training)
    image = np.random.default_rng(0).standard_normal((2, 1, 128, 128)).astype(np.float32)
    with torch.no_grad():
        logits = network.logits(training.size, training.average, torch.from_numpy(image), False)

    run = onnxruntime.InferenceSession((tmp_path / "tiny.onnx").read_bytes())
    (output,) = run.run(None, {"image": image})

    npt.assert_allclose(output, torch.sigmoid(logits).numpy(), atol=1e-5)
    assert "recipe" in run.get_modelmeta().custom_metadata_map


def test_a_training_that_was_stopped_ends_where_an_unbroken_one_does(
    few: cheng.Slices, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    parts = {"training": few, "validation": few}
    lines: list[str] = []
    whole = train(TINY, parts, parts, tmp_path / "whole", lines.append)
    stopped = Training(TINY)
    stopped.run_epoch(few, few)
    stopped.save(tmp_path / "stopped")

    resumed = train(TINY, parts, parts, tmp_path / "stopped", lines.append)

    assert lines[2].startswith("going on from")
    assert resumed.epoch == whole.epoch == 2
    for name, value in whole.average.items():
        npt.assert_array_equal(resumed.average[name].numpy(), value.numpy())


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    Training(TINY).save(tmp_path / "old")

    with pytest.raises(DataError, match="made by another recipe"):
        Training(replace(TINY, seed=1)).load(tmp_path / "old")


def test_training_lowers_the_loss(few: cheng.Slices) -> None:
    pytest.importorskip("torch")
    training = Training(replace(TINY, epochs=6, slices_per_epoch=64, features=4))

    losses = [training.run_epoch(few, few) for _ in range(6)]

    assert losses[-1] < 0.8 * losses[0]
    assert predict(training.size, training.average, few).shape == (6, 32, 32)
    assert 0 <= validate(training, few) <= 1
    assert np.isnan(validate(training, cheng.Slices(few.image[:0], few.mask[:0], few.id[:0])))


def test_the_loss_of_a_sure_and_right_network_is_zero_even_where_nothing_is() -> None:
    torch = pytest.importorskip("torch")
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, 0, :4] = 1

    assert float(loss(100 * (2 * mask - 1), mask)) == pytest.approx(0, abs=1e-4)
    assert float(loss(-100 * (2 * mask - 1), mask)) > 1


def test_the_weight_error_has_the_stated_size_and_leaves_norms_alone() -> None:
    torch = pytest.importorskip("torch")
    from photonpu.models.training import network

    weights = network.initial(UNet(features=8), seed=0)
    noisy = network.disturbed(weights, 0.1, torch.Generator().manual_seed(0))

    kernel = "bottleneck.conv2.weight"
    error = (noisy[kernel] - weights[kernel]).detach()
    # n = 147,456 draws: the ratio is 0.1 within 5 sigma of 0.1 / sqrt(2 n).
    ratio = float(error.norm() / weights[kernel].detach().norm())
    assert ratio == pytest.approx(0.1, abs=5 * 0.1 / (2 * 147_456) ** 0.5)
    assert noisy["encoder1.norm1.gamma"] is weights["encoder1.norm1.gamma"]


def test_the_batch_is_standardised_as_one_image_is(few: cheng.Slices) -> None:
    torch = pytest.importorskip("torch")
    from photonpu.models.training import augment

    image = torch.from_numpy(few.image)

    npt.assert_allclose(
        augment.standardise(image, image > 10)[:, 0].numpy(),
        np.stack([zscore(i) for i in few.image]),
        atol=1e-5,
    )


def test_augmentation_moves_the_mask_with_its_lesion(few: cheng.Slices) -> None:
    torch = pytest.importorskip("torch")
    from photonpu.models.training import augment

    generator = torch.Generator().manual_seed(2)
    image, mask = torch.from_numpy(few.image), torch.from_numpy(few.mask).float()

    x, truth = augment.draw(image, mask, generator)

    # The lesion is 130 on 50: wherever it went, it stays brighter than the rest.
    for one, where in zip(x[:, 0], truth[:, 0], strict=True):
        if where.sum() > 4:
            assert one[where > 0].mean() > one[where == 0].mean()
