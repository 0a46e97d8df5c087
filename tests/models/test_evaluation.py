"""Evaluation on networks whose masks are known by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu.errors import InputError, ProgramError
from photonpu.models.baseline import best_threshold, largest_piece
from photonpu.models.datasets import Dataset
from photonpu.models.evaluation import evaluate
from photonpu.models.scores import Evaluation, Score
from photonpu.program import Program
from photonpu.registry import UnknownNameError

SIDE = 6
SMALL = photonpu.Machine.preset("mzi64-eo").override({"mesh.ports": 4, "cores": 1})


def model(
    batch: int | str = "batch",
    *,
    gain: float = 8.0,
    classes: bool = False,
    pooled: bool = False,
    inputs: int = 1,
) -> onnx.ModelProto:
    """Return a network of one 1x1 convolution whose mask is where the image is above 1/2.

    Its output is ``sigmoid(gain * (image - 1/2))``, or with `classes` the scores of background
    (the image) and of two classes, one of which wins over the background where it is above 1/2.
    """
    weight = np.array([[1.0], [2.0], [0.0]] if classes else [[gain]], np.float32)
    bias = np.array([0.0, -0.5, -9.0] if classes else [-gain / 2], np.float32)
    nodes = [helper.make_node("Conv", ["image", "w", "b"], ["logit"], name="conv")]
    last = "logit"
    if not classes:
        nodes.append(helper.make_node("Sigmoid", [last], ["probability"]))
        last = "probability"
    if pooled:
        nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
        last = "pooled"
    names = ["image", "other"][:inputs]
    if inputs == 2:
        nodes.append(helper.make_node("Add", [last, "other"], ["sum"]))
        last = "sum"
    shape = [batch, 1, SIDE, SIDE]
    sides = [1, 1] if pooled else [SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, len(weight), *sides])],
        [
            numpy_helper.from_array(weight[..., None, None], "w"),
            numpy_helper.from_array(bias, "b"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def data(count: int = 3, *, channels: int = 1, side: int = SIDE) -> Dataset:
    """Return images that are 1 in a square and 0 elsewhere; each truth is one column narrower.

    The square has 4 x 4 pixels and the truth 4 x 3: Dice is 2 * 12 / 28, IoU 12 / 16. A column
    of one square's edge lies 1 column off: HD95 is the spacing along a row, 0.5 mm.
    """
    images = np.zeros((count, channels, side, side), np.float32)
    images[:, :, 1:5, 1:5] = 1.0
    truth = images[:, 0] > 0
    truth[:, :, 4] = False
    return Dataset(
        "squares",
        images,
        truth,
        (images[:, 0] * 255).astype(np.uint8),
        tuple(f"case {index}" for index in range(count)),
        np.broadcast_to([2.0, 0.5], (count, 2)),
    )


def program_of(proto: onnx.ModelProto, dataset: Dataset | None = None) -> Program:
    images = (dataset or data()).images[:1]
    return photonpu.compile(proto, SMALL, calibration=images)


@pytest.fixture(scope="module")
def program() -> Program:
    return program_of(model())


kept = partial(evaluate, quiet=True, keep_masks=True, baseline=False)

DICE, IOU, HD95 = 24 / 28, 12 / 16, 0.5


def test_float_and_ideal_score_as_calculated_by_hand(program: Program) -> None:
    found = evaluate(program, data(), chips=1, reference=model(), quiet=True)
    for mode in ("float", "ideal"):
        for metric, expected in (("dice", DICE), ("iou", IOU), ("hd95", HD95)):
            npt.assert_allclose(found.scores[mode][metric].values, np.full((1, 3), expected))
            assert found.score(mode, metric).mean == pytest.approx(expected)
            npt.assert_allclose(found.score(mode, metric).interval, expected)


def test_without_a_reference_and_a_baseline_there_are_two_modes(program: Program) -> None:
    found = evaluate(program, data(), ["dice"], 2, baseline=False, quiet=True)
    assert list(found.scores) == ["ideal", "noisy"]
    assert found.metrics == ("dice",)
    assert found.scores["noisy"]["dice"].values.shape == (2, 3)
    assert found.masks == {}


def test_the_result_depends_neither_on_the_batch_nor_on_how_the_chips_are_told(
    program: Program,
) -> None:
    noisy = SMALL.override({"phase.error_rad": 0.3, "detector.tia_noise_pa_per_rthz": 300.0})
    runs = [
        kept(program, data(5), ["dice"], chips, machine=noisy, batch=batch)
        for chips, batch in ((3, 1), (3, 2), ([0, 1, 2], 8))
    ]
    for other in runs[1:]:
        npt.assert_array_equal(other.masks["noisy"], runs[0].masks["noisy"])
    again = kept(program, data(5), ["dice"], [2], machine=noisy)
    npt.assert_array_equal(again.masks["noisy"][0], runs[0].masks["noisy"][2])
    assert again.chips == ("2",)


def test_a_worse_machine_at_run_time_scores_worse(program: Program) -> None:
    worse = SMALL.override({"name": "worse", "phase.error_rad": 1.5})
    good = evaluate(program, data(), ["dice"], 8, quiet=True)
    bad = evaluate(program, data(), ["dice"], 8, machine=worse, quiet=True)
    assert good.score("noisy").mean == pytest.approx(DICE)
    assert bad.score("noisy").mean < DICE - 0.05
    assert bad.machine == "worse"
    assert bad.score("ideal").mean == pytest.approx(DICE)


def test_a_logit_is_compared_with_the_threshold_that_is_given(program: Program) -> None:
    # A probability of sigmoid(4) = .982 is below .99: no mask is left.
    found = evaluate(program, data(), ["dice"], 1, threshold=0.99, quiet=True)
    assert found.score("ideal").mean == 0.0


def test_of_several_classes_the_mask_is_where_the_background_does_not_win() -> None:
    proto = model(classes=True)
    found = evaluate(program_of(proto), data(), ["dice"], 1, reference=proto, quiet=True)
    assert found.score("float").mean == pytest.approx(DICE)
    assert found.score("ideal").mean == pytest.approx(DICE)


def test_a_network_for_one_case_at_a_time_gives_the_same(program: Program) -> None:
    proto = model(batch=1)
    one = kept(program_of(proto), data(), ["dice"], 2, reference=proto)
    free = kept(program, data(), ["dice"], 2, reference=model())
    for mode, masks in free.masks.items():
        npt.assert_array_equal(one.masks[mode], masks)


def test_masks_are_kept_by_mode_and_run(program: Program) -> None:
    found = evaluate(program, data(), ["dice"], 2, reference=model(), quiet=True, keep_masks=True)
    shapes = {mode: masks.shape for mode, masks in found.masks.items()}
    whole = (3, SIDE, SIDE)
    assert shapes == {
        "float": (1, *whole),
        "ideal": (1, *whole),
        "noisy": (2, *whole),
        "threshold": (1, *whole),
    }
    npt.assert_array_equal(found.masks["float"][0], data().images[:, 0] > 0.5)


def test_what_does_not_fit_is_told_before_anything_runs(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photonpu.Session, "run", None)
    with pytest.raises(
        InputError, match=r"program: input 'image' .* images of 'squares' have \(3,"
    ):
        evaluate(program, data(channels=3))
    with pytest.raises(InputError, match=r"load them with channels=1 and size=\(6, 6\)"):
        evaluate(program, data(side=8))
    with pytest.raises(InputError, match=r"reference has 2 inputs \('image', 'other'\): images go"):
        evaluate(program, data(), reference=model(inputs=2))
    with pytest.raises(InputError, match=r"reference: input 'image' has shape \(4, .* its batch"):
        evaluate(program, data(), reference=model(batch=4))
    with pytest.raises(UnknownNameError, match=r"no metric is called 'dise'; did you mean 'dice'"):
        evaluate(program, data(), ["dise"])
    with pytest.raises(ProgramError, match=r"program needs ports = 4 and the machine has 8"):
        evaluate(program, data(), machine=SMALL.override({"mesh.ports": 8}))
    for arguments, message in (
        ({"metrics": []}, r"metrics: an evaluation needs 1 or more, and 0 are given"),
        ({"chips": 0}, r"chips: an evaluation needs 1 or more"),
        ({"batch": 0}, r"batch: an evaluation needs 1 or more"),
        ({"threshold": math.nan}, r"threshold=nan: give a number"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(program, data(), **arguments)
    with pytest.raises(InputError, match=r"dataset: an evaluation needs 1 or more"):
        evaluate(program, data()[:0])


def test_an_output_that_is_no_mask_is_told() -> None:
    with pytest.raises(InputError, match=r"shape \(3, 1, 1, 1\); a mask for each image is needed"):
        evaluate(program_of(model(pooled=True)), data(), chips=1, quiet=True)


def test_progress_counts_every_case_of_every_network(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("photonpu.progress.SECONDS_BETWEEN_LINES", 0.0)
    evaluate(program, data(), ["dice"], 2, reference=model(), baseline=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("evaluate: 12 of 12 (100 %)")
    evaluate(program, data(), ["dice"], 2, quiet=True)
    assert capsys.readouterr().err == ""


def test_undefined_values_are_counted_and_left_out_of_means() -> None:
    nan = math.nan
    score = Score.of(np.array([[0.2, nan, nan], [0.4, 0.9, nan]]))
    # Cases: the means .3 and .9 of their defined runs; the third has none.
    assert score.mean == pytest.approx(0.6)
    assert score.undefined == 3
    npt.assert_allclose(score.runs, [0.2, 0.65])
    assert score.interval == pytest.approx((0.3, 0.9))
    assert math.isnan(Score.of(np.full((2, 2), nan)).mean)


def evaluation(dice: NDArray[np.float64], hd95: NDArray[np.float64]) -> Evaluation:
    return Evaluation(
        program="net",
        dataset="set",
        machine="bench",
        noise=("dac", "shot"),
        chips=("0", "1"),
        seed=0,
        threshold=0.5,
        ids=("a", "b"),
        empty=0,
        scores={"noisy": {"dice": Score.of(dice), "hd95": Score.of(hd95)}},
        masks={},
        notes=("spacing assumed",),
    )


HALF = evaluation(np.array([[0.5, 0.5], [0.7, 0.9]]), np.array([[2.0, math.nan], [4.0, math.nan]]))


def test_the_yield_is_the_share_of_chips_that_reach_a_minimum() -> None:
    # The chips' means are .5 and .8.
    assert [HALF.chip_yield(least) for least in (0.4, 0.5, 0.6, 0.9)] == [1.0, 1.0, 0.5, 0.0]
    with pytest.raises(InputError, match=r"minimum is NaN"):
        HALF.chip_yield(math.nan)
    with pytest.raises(UnknownNameError, match=r"no metric 'dyce' but dice, hd95; did you mean"):
        HALF.chip_yield(0.5, "dyce")
    with pytest.raises(UnknownNameError, match=r"no mode 'float' but noisy"):
        HALF.score("float")


def test_the_table_shows_means_intervals_and_what_is_left_out() -> None:
    assert HALF.table().splitlines() == [
        "       dice                  hd95 (mm)                           chips",
        "-----  --------------------  ----------------------------------  -------------------",
        "noisy  0.650 [0.600, 0.700]  3.000 [3.000, 3.000] (2 undefined)  dice 0.500 to 0.800",
        "mean [95 % bootstrap interval over cases]; 2 cases of set, 2 chips of bench",
        # .65 +/- 12.706 (t of 1 degree of freedom) * .2121 / sqrt(2)
        "over chips: dice 95 % interval [-1.256, 2.556]",
        "note: spacing assumed",
    ]


def test_a_difference_is_taken_case_by_case() -> None:
    found = evaluation(np.array([[0.5, 0.9], [0.7, 0.9]]), np.ones((2, 2)))
    ideal = {"dice": Score.of(np.array([[0.6, 1.0]])), "hd95": Score.of(np.ones((1, 2)))}
    both = replace(found, scores={**found.scores, "ideal": ideal})
    change = both.difference("noisy", "ideal")
    npt.assert_allclose(change.values, [[-0.1, -0.1], [0.1, -0.1]])
    assert change.mean == pytest.approx(-0.05)
    assert change.interval == pytest.approx((-0.1, 0.0))
    line = "noisy minus ideal, case by case: dice -0.050 [-0.100, +0.000]"
    assert line in both.table().splitlines()
    with pytest.raises(InputError, match=r"against='noisy' has 2 runs: compare with a mode of 1"):
        both.difference("ideal", "noisy")


def test_the_dictionary_is_json_without_nan() -> None:
    text = json.dumps(HALF.to_dict(), allow_nan=False)
    again = json.loads(text)
    assert again["scores"]["noisy"]["hd95"]["values"] == [[2.0, None], [4.0, None]]
    assert again["scores"]["noisy"]["dice"]["mean"] == pytest.approx(0.65)
    assert again["noise"] == ["dac", "shot"]
    assert again["units"] == {"dice": "", "hd95": "mm"}


def test_the_baseline_finds_the_threshold_and_the_piece_that_fit_the_truth() -> None:
    # A lesion of grey 5 (4 x 4), a brighter spot of grey 9 (2 x 2), air of 0 and tissue of 2.
    image = np.full((12, 12), 2.0, np.float32)
    image[:, :2] = 0.0
    image[3:7, 3:7] = 5.0
    image[9:11, 9:11] = 9.0
    truth = image == 5.0
    dataset = Dataset(
        "lesion",
        np.stack([np.zeros_like(image), image])[None],
        truth[None],
        image.astype(np.uint8)[None],
        ("a",),
        np.ones((1, 2)),
    )
    best = best_threshold(dataset)
    npt.assert_array_equal(best.masks[0], truth)
    assert best.channel == 1
    assert 2.0 <= best.threshold < 5.0


def test_the_largest_piece_is_joined_by_sides_and_not_by_corners() -> None:
    mask = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 1]], bool)
    expected = mask.copy()
    expected[0] = False
    npt.assert_array_equal(largest_piece(mask), expected)
    assert not largest_piece(np.zeros((3, 3), bool)).any()


def test_the_baseline_on_the_real_slices_is_the_published_one(assets: Path) -> None:
    dataset = photonpu.load_dataset(assets / "mri" / "tumour_test_128.npz")
    masks = best_threshold(dataset).masks
    scores = [
        2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        for mask, truth in zip(masks, dataset.masks, strict=True)
    ]
    assert np.mean(scores) == pytest.approx(0.08, abs=0.005)
