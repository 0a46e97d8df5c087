"""Sessions on small hand-made programs: linear algebra, converters, noise, keys, bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.testing as npt
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

import photonpu
from photonpu.errors import InputError, ProgramError
from photonpu.hardware import Chip, LinkBudget, Machine
from photonpu.registry import UnknownNameError
from photonpu.simulator import NOISES, PhotonicMatrix, Session, transfer
from photonpu.simulator.receiver import SAMPLINGS
from photonpu.simulator.strengths import sources

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})


def matrix(rows: int = 11, columns: int = 13, **options: object) -> PhotonicMatrix:
    weight = np.random.default_rng(3).standard_normal((rows, columns))
    return PhotonicMatrix(weight, MACHINE, **options)  # type: ignore[arg-type]


def inputs(columns: int = 13, count: int = 50) -> np.ndarray:
    return np.random.default_rng(4).uniform(-1, 1, (columns, count)).astype(np.float32)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_ideal_hardware_multiplies_exactly(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, x = rng.standard_normal((rows, columns)), rng.standard_normal(columns)

    y = PhotonicMatrix(weight, MACHINE) @ x

    expected = weight @ x
    npt.assert_allclose(y, expected, atol=2e-6 * max(1.0, np.abs(expected).max()))


def test_one_seed_gives_the_same_bits() -> None:
    x = inputs()

    npt.assert_array_equal(matrix(noise="full", seed=5) @ x, matrix(noise="full", seed=5) @ x)


def test_another_seed_or_chip_gives_other_noise() -> None:
    x = inputs()
    one = matrix(noise="full", seed=5, chip=1) @ x

    assert not np.array_equal(one, matrix(noise="full", seed=6, chip=1) @ x)
    assert not np.array_equal(one, matrix(noise="full", seed=5, chip=2) @ x)


def test_a_batch_in_two_runs_gives_the_bits_of_one_run() -> None:
    session = Session(matrix().program, "full", seed=1)
    x = inputs().T.copy()

    (whole,) = session.run(None, {"x": x})
    (begin,) = session.run(None, {"x": x[:20]})
    (rest,) = session.run(None, {"x": x[20:]}, first=20)

    npt.assert_array_equal(whole, np.concatenate([begin, rest]))


@pytest.mark.parametrize("noise", ["ideal", "splitter", "full"])
def test_the_number_of_threads_changes_no_bit(noise: str) -> None:
    import numba
    from threadpoolctl import threadpool_limits

    program = matrix(130, 150).program
    x = {"x": inputs(150, count=500).T.copy()}
    most = numba.get_num_threads()
    try:
        (several,) = Session(program, noise, chip=1).run(None, x)
        numba.set_num_threads(1)
        with threadpool_limits(1):
            (one,) = Session(program, noise, chip=1).run(None, x)
    finally:
        numba.set_num_threads(most)

    npt.assert_array_equal(one, several)


def test_the_adc_rounds_partial_sums_to_its_levels() -> None:
    # One tile; its ADC of 3 bits has 3 levels a side of a full scale of 7 (rows 3 + 4):
    # y = 3 * 0.5 + 4 * 1 = 5.5 -> 5.5 / 7 * 3 = 2.36 -> 2 / 3 * 7.
    machine = MACHINE.override({"converters.adc_bits": 3})

    y = PhotonicMatrix([[3.0, 4.0], [0.0, 1.0]], machine, noise="adc") @ [0.5, 1.0]

    npt.assert_allclose(y[0], 14 / 3, rtol=1e-5)


def test_the_input_dac_rounds_and_clips_inputs() -> None:
    # 3 bits: 3 levels a side; 0.5 -> 2/3 (1.5 rounds to even), 7 -> 1.
    machine = MACHINE.override({"converters.input_bits": 3})

    y = PhotonicMatrix(np.eye(2), machine, noise="input_dac") @ [0.5, 7.0]

    npt.assert_allclose(y, [2 / 3, 1.0], rtol=1e-5)


def test_detector_noise_has_the_variance_of_the_link_budget() -> None:
    weight = np.diag([1.0, 0.5, 0.25, 1.0])
    machine = MACHINE.override({"mesh.ports": 4})
    x = np.ones((4, 50_000), np.float32)

    y = PhotonicMatrix(weight, machine, noise={"shot", "thermal"}, seed=2) @ x

    budget = LinkBudget.of(machine).variance
    n = x.shape[1]
    for row, value in enumerate(np.diag(weight)):
        variance = budget.shot_floor + budget.thermal + budget.shot_slope * value**2
        assert abs(y[row].mean() - value) < 4 * math.sqrt(variance / n)
        assert abs(y[row].var() / variance - 1) < 4 * math.sqrt(2 / n)


def test_noise_scales_with_the_largest_singular_value() -> None:
    # The same input through a matrix ten times as large: ten times the noise.
    x = np.ones((4, 20_000), np.float32)
    machine = MACHINE.override({"mesh.ports": 4})

    one = PhotonicMatrix(np.eye(4), machine, noise="thermal") @ x
    ten = PhotonicMatrix(10 * np.eye(4), machine, noise="thermal") @ x

    assert ten.std(axis=1) / one.std(axis=1) == pytest.approx(10.0, rel=0.05)


def test_a_chip_of_another_size_is_refused() -> None:
    chip = Chip.draw(MACHINE.override({"mesh.ports": 4}), 0)

    with pytest.raises(InputError, match="2 cores of 4 ports and the machine has 2 of 8"):
        Session(matrix().program, chip=chip)


def test_a_program_for_other_ports_says_to_compile_again() -> None:
    with pytest.raises(
        ProgramError,
        match="program needs ports = 8 and the machine has 32: compile it for this machine",
    ):
        Session(matrix().program, machine=MACHINE.override({"mesh.ports": 32}))


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"y": np.zeros((1, 13), np.float32)}, "no input is called 'y'; there are: x"),
        ({}, r"input 'x' is missing: feed an array of \(n, 13\) float32"),
        ({"x": np.zeros((1, 12), np.float32)}, r"has shape \(1, 12\); \(n, 13\) float32 is needed"),
        ({"x": np.zeros((1, 13))}, r"is float64; float32 is needed: convert it with .astype"),
        ({"x": np.full((1, 13), np.nan, np.float32)}, "'x' holds NaN or infinity"),
    ],
)
def test_wrong_feeds_are_named(feeds: dict[str, np.ndarray], message: str) -> None:
    session = Session(matrix().program, "ideal")

    with pytest.raises(InputError, match=message):
        session.run(None, feeds)


def test_an_unknown_output_is_named() -> None:
    with pytest.raises(InputError, match="no output is called 'z'; there are: y"):
        Session(matrix().program, "ideal").run(["z"], {"x": inputs().T})


def test_an_unknown_noise_source_is_met_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no noise source is called 'shott'; did you mean"):
        sources({"shott"})


def test_noise_that_is_no_name_is_refused() -> None:
    with pytest.raises(InputError, match="noise=3: give 'ideal', 'quantised', 'full'"):
        sources(3)  # type: ignore[arg-type]


def test_full_noise_is_every_source_and_ideal_is_none() -> None:
    assert sources("full") == set(NOISES)
    assert sources("ideal") == frozenset()
    assert sources("adc") == {"adc"}


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed=-1: a whole number from 0"):
        Session(matrix().program, seed=-1)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(3), r"a matrix of shape \(3,\): \(outputs, inputs\) is needed"),
        (np.full((2, 2), np.inf), "the matrix holds NaN or infinity"),
    ],
)
def test_what_is_no_matrix_is_refused(weight: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PhotonicMatrix(weight, MACHINE)


def test_a_matrix_says_which_vectors_it_takes() -> None:
    with pytest.raises(InputError, match="its first axis must be 13"):
        matrix() @ np.zeros(12)


def test_a_tile_of_zeros_gives_zeros() -> None:
    y = PhotonicMatrix(np.zeros((3, 3)), MACHINE, noise="full") @ np.ones(3)

    npt.assert_array_equal(y, np.zeros(3))


def test_programs_with_another_adc_range_clip() -> None:
    program = matrix(4, 4).program
    narrow = replace(program, tiles=replace(program.tiles, adc_range=np.full(1, 1e-3)))
    x = {"x": np.ones((1, 4), np.float32)}

    (y,) = Session(narrow, "adc").run(None, x)

    npt.assert_array_less(np.abs(y), 1.001e-3 * program.tiles.scale[0])


def test_every_way_to_draw_noise_has_the_same_mean_and_spread() -> None:
    rng = np.random.default_rng(7)
    weight, x = rng.standard_normal((64, 64)), rng.uniform(-1, 1, (64, 4000))
    # So little light that the noise is 0.8 to 1 of the ADC's steps: merged where they are hidden.
    machine = Machine.preset("mzi64-eo").override({"optics.laser_power_mw": 40.0})

    errors = {
        way: PhotonicMatrix(weight, machine, noise=("shot", "thermal", "adc"), sampling=way) @ x
        - weight @ x
        for way in SAMPLINGS
    }

    count = errors["exact"].size
    assert not np.array_equal(errors["merged"], errors["exact"])
    for way in ("fast", "merged"):
        limit = 4 * errors["exact"].std() / np.sqrt(count)
        assert abs(errors[way].mean() - errors["exact"].mean()) < 2**0.5 * limit
        # 4 sigma of the spread of n normal numbers; the ADC's steps are hidden to 3 %.
        tolerance = 4 / np.sqrt(2 * count) + (0.03 if way == "merged" else 0.0)
        assert errors[way].std() == pytest.approx(errors["exact"].std(), rel=tolerance)


def test_an_unknown_way_to_draw_noise_names_the_nearest() -> None:
    with pytest.raises(InputError, match="sampling='fasst': .* did you mean 'fast'"):
        PhotonicMatrix(np.eye(2), sampling="fasst")


@pytest.mark.parametrize("outputs", ["float[n, 4] z", "float[n, 4] z, float[n, 6] y"])
def test_a_rectifier_leaves_what_is_read_again_as_it_was(outputs: str) -> None:
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[n, 5] x) => ({outputs}) <float[5, 6] a = {{{numbers(30)}}}, float[6, 4] b =
        {{{numbers(24)}}}> {{ y = MatMul(x, a)  r = Relu(y)  z = MatMul(r, b) }}"""
    )
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    program = photonpu.compile(model, Machine.preset("ideal"), calibration=x)

    found = Session(program, noise="ideal").run(None, {"x": x})

    a, b = (onnx.numpy_helper.to_array(each) for each in model.graph.initializer)
    expected = [np.maximum(x @ a, 0) @ b, x @ a]
    for got, want in zip(found, expected, strict=False):
        npt.assert_allclose(got, want, atol=1e-5)


def test_tiles_that_jitter_have_the_same_bits_whatever_is_made_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[n, 5] x) => (float[n, 4] z, float[n, 6] y) <float[5, 6] a = {{{numbers(30)}}},
        float[6, 4] b = {{{numbers(24)}}}> {{ y = MatMul(x, a)  z = MatMul(y, b) }}"""
    )
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    program = photonpu.compile(
        model, MACHINE.override({"mesh.ports": 4, "phase.jitter_rad": 0.01}), calibration=x
    )
    asked = []
    made = transfer.Transfer.__init__

    def counted(self: transfer.Transfer, matrices: np.ndarray, share: None) -> None:
        asked.append(len(matrices))
        made(self, matrices, share)

    monkeypatch.setattr(transfer.Transfer, "__init__", counted)
    together = Session(program, chip=1).run(None, {"x": x})
    monkeypatch.setattr(transfer, "_TOGETHER", 4)
    alone = Session(program, chip=1).run(None, {"x": x})

    assert asked == [6, 4, 2]
    for one, other in zip(together, alone, strict=True):
        npt.assert_array_equal(one, other)


def numbers(count: int) -> str:
    """Return as many numbers of either sign for a model's text."""
    return ", ".join(f"{n:.3f}" for n in np.random.default_rng(count).normal(size=count))
