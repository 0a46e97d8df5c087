"""Metrics against hand calculations, a brute-force twin, and the laws of a bootstrap."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.models.metrics import METRICS, UNITS, Mask, bootstrap_interval, dice, hd95, iou


def mask(*rows: str) -> Mask:
    """Read a mask from rows of ``#`` and ``.``."""
    return np.array([[character == "#" for character in row] for row in rows])


def square(size: int, top: int, left: int, side: int) -> Mask:
    """Draw a filled square."""
    drawn = np.zeros((size, size), dtype=bool)
    drawn[top : top + side, left : left + side] = True
    return drawn


def hd95_by_hand(prediction: Mask, truth: Mask, spacing: tuple[float, float]) -> float:
    """Compare every edge pixel with every other: the definition, word by word."""

    def edge(drawn: Mask) -> NDArray[np.float64]:
        around = np.pad(drawn, 1)
        inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
        places: NDArray[np.float64] = np.argwhere(drawn & ~inner) * np.array(spacing)
        return places

    ours, theirs = edge(prediction), edge(truth)
    distance = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(-1))
    return float(max(np.percentile(distance.min(1), 95), np.percentile(distance.min(0), 95)))


masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
EMPTY = np.zeros((4, 4), dtype=bool)
FULL = np.ones((4, 4), dtype=bool)


def test_dice_and_iou_of_two_bars_that_share_one_pixel() -> None:
    prediction = mask("##.", "...")
    truth = mask(".##", "...")
    assert dice(prediction, truth) == pytest.approx(2 * 1 / (2 + 2))
    assert iou(prediction, truth) == pytest.approx(1 / 3)


def test_both_empty_is_dice_1_and_undefined_otherwise() -> None:
    assert dice(EMPTY, EMPTY) == 1.0
    assert math.isnan(iou(EMPTY, EMPTY))
    assert math.isnan(hd95(EMPTY, EMPTY))


@pytest.mark.parametrize(("prediction", "truth"), [(EMPTY, FULL), (FULL, EMPTY)])
def test_one_empty_is_dice_0_and_no_distance(prediction: Mask, truth: Mask) -> None:
    assert dice(prediction, truth) == 0.0
    assert iou(prediction, truth) == 0.0
    assert math.isnan(hd95(prediction, truth))


def test_hd95_of_a_square_moved_by_three_columns_is_three_columns() -> None:
    # The left side of the one lies 3 columns from the other's: more than 5 % of the edge.
    assert hd95(square(20, 5, 5, 4), square(20, 5, 8, 4), (1.0, 2.5)) == pytest.approx(7.5)


def test_hd95_drops_the_worst_twentieth_of_the_edge() -> None:
    truth = np.zeros((3, 60), dtype=bool)
    truth[0, :40] = True
    prediction = truth.copy()
    prediction[0, 59] = True
    # 41 edge pixels, one of them 20 away: the 95th percentile is rank 38 of 0..40, which is 0.
    assert hd95(prediction, truth) == 0.0
    prediction[0, 55:59] = True
    # Now 45 pixels, distances 16..20 on top: rank .95 * 44 = 41.8 lies between 17 and 18.
    assert hd95(prediction, truth) == pytest.approx(17.8)


def test_hd95_takes_the_worse_of_both_directions() -> None:
    truth, prediction = square(30, 2, 2, 1), square(30, 2, 2, 1)
    prediction[20, 2] = True
    # From truth to prediction all is 0; from prediction to truth the ranks 0, 1 are 0 and 18.
    assert hd95(prediction, truth) == pytest.approx(0.95 * 18)
    assert hd95(truth, prediction) == pytest.approx(0.95 * 18)


@given(masks, st.data(), st.floats(0.1, 5), st.floats(0.1, 5))
def test_hd95_agrees_with_comparing_every_pair_of_edge_pixels(
    truth: Mask, data: st.DataObject, down: float, across: float
) -> None:
    prediction = data.draw(hnp.arrays(bool, truth.shape))
    if prediction.any() and truth.any():
        expected = hd95_by_hand(prediction, truth, (down, across))
        assert hd95(prediction, truth, (down, across)) == pytest.approx(expected, abs=1e-9)


@given(masks, st.data())
def test_dice_is_twice_iou_over_one_plus_iou(truth: Mask, data: st.DataObject) -> None:
    prediction = data.draw(hnp.arrays(bool, truth.shape))
    if prediction.any() or truth.any():
        overlap = iou(prediction, truth)
        assert dice(prediction, truth) == pytest.approx(2 * overlap / (1 + overlap))


@pytest.mark.parametrize("name", METRICS)
@given(masks, st.data())
def test_every_metric_is_symmetric_and_does_not_see_a_transposition(
    name: str, truth: Mask, data: st.DataObject
) -> None:
    prediction = data.draw(hnp.arrays(bool, truth.shape))
    metric, spacing = METRICS[name], (1.5, 0.5)
    npt.assert_equal(metric(prediction, truth, spacing), metric(truth, prediction, spacing))
    npt.assert_allclose(
        metric(prediction.T, truth.T, spacing[::-1]), metric(prediction, truth, spacing)
    )


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_unit_and_refuses_masks_that_do_not_fit(name: str) -> None:
    assert name in UNITS
    with pytest.raises(InputError, match=r"shape \(4, 4\) and truth \(2, 3\): a metric compares"):
        METRICS[name](FULL, mask("###", "###"), (1.0, 1.0))
    with pytest.raises(InputError, match=r"prediction is float64: a mask is boolean"):
        METRICS[name](FULL.astype(float), FULL, (1.0, 1.0))


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_hd95_refuses_a_spacing_that_is_no_distance(spacing: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="must be above 0 and finite"):
        hd95(FULL, FULL, spacing)


def test_the_bootstrap_interval_of_a_normal_mean_is_its_textbook_interval() -> None:
    values = np.random.default_rng(7).normal(0.8, 0.1, 400)
    low, high = bootstrap_interval(values, draws=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    # An end of the interval scatters by about 0.03 standard errors at 4000 draws.
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    inside = 0
    for seed in range(200):
        low, high = bootstrap_interval(
            generator.exponential(1.0, 60), level=0.9, draws=400, seed=seed
        )
        inside += low <= 1.0 <= high
    # Binomial(200, .9) has sigma 4.2; the bootstrap under-covers by about 2 % on 60 skewed cases.
    assert 180 - 4 - 4 * 4.2 < inside < 180 + 4 * 4.2


def test_the_bootstrap_leaves_nan_out_and_repeats_itself() -> None:
    values = [0.2, math.nan, 0.4, 0.9, math.nan]
    assert bootstrap_interval(values) == bootstrap_interval([0.2, 0.4, 0.9])
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    many = np.linspace(0, 1, 30) ** 2
    assert bootstrap_interval(many, seed=1) != bootstrap_interval(many, seed=2)


def test_the_bootstrap_of_one_value_is_that_value_and_of_none_is_undefined() -> None:
    assert bootstrap_interval([0.7]) == (0.7, 0.7)
    assert np.isnan(bootstrap_interval([math.nan])).all()


def test_the_bootstrap_refuses_what_is_no_level_and_no_number_of_draws() -> None:
    with pytest.raises(InputError, match=r"level=95: the level of an interval lies between 0"):
        bootstrap_interval([1.0], level=95)
    with pytest.raises(InputError, match=r"draws=0: an interval needs 1 or more"):
        bootstrap_interval([1.0], draws=0)


def test_dice_of_a_real_network_is_what_its_trainers_recorded(assets: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    slices = np.load(assets / "mri" / "tumour_test_128.npz")
    model = (assets / "models" / "real_tumour_unet_b8_128.onnx").read_bytes()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: slices["image"]})
    masks, truths = logits[:, 0] > 0, slices["mask"] > 0
    scores = np.array([dice(mask, truth) for mask, truth in zip(masks, truths, strict=True)])
    # They added 1 to numerator and denominator, as training losses do.
    areas = masks.sum(axis=(1, 2)) + truths.sum(axis=(1, 2))
    npt.assert_allclose((scores * areas + 1) / (areas + 1), slices["dice_float"], atol=1e-5)
