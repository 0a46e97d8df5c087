"""Ranges of converters: percentiles, least errors, and what has a range of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from scipy.special import ndtri

import photonpu
from photonpu.compiler import calibrate, kernels_ranges, kernels_sums, reference_ranges
from photonpu.compiler.kernels_windows import Lines, gathered
from photonpu.compiler.ranges import METHODS, Converter, Rule, Wanted, ranges
from photonpu.compiler.spread import BINS, OCTAVES, Spread, begins_of
from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.program.cutting import Block
from photonpu.simulator.trace import Trace
from tests.compiler import networks

SMALL = Machine.preset("mzi64-eo").override({"mesh.ports": 8})
WIDTH = 1 / 32  # of a bin, as a share of where it begins
WHOLE = np.array([0, 1])


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def spread(values: np.ndarray) -> Spread:
    """Return the histogram of all of an array."""
    return Spread.of(np.asarray(values, np.float32).reshape(1, -1), WHOLE, True)


def found(values: np.ndarray, rule: Rule, converter: Converter) -> float:
    return float(ranges(Wanted.alone(spread(values)), rule, converter)[0])


def squared_error(values: np.ndarray, clip: float, levels: int) -> float:
    """Return the mean squared error of a converter, number by number."""
    step = clip / levels
    return float(np.mean((values - np.clip(np.rint(values / step), -levels, levels) * step) ** 2))


# Histograms


@st.composite
def rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    heights = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    values = normals(sum(heights), draw(st.integers(1, 40)), seed=draw(st.integers(0, 99)))
    values *= 10.0 ** draw(st.integers(-30, 30))
    values[draw(st.integers(0, len(values) - 1))] *= draw(st.sampled_from([0.0, 1e-4, 1.0, 1e4]))
    return values, np.cumsum([0, *heights])


@given(rows())
def test_counting_agrees_with_its_reference(case: tuple[np.ndarray, np.ndarray]) -> None:
    values, starts = case
    largest = np.maximum.reduceat(np.abs(values).max(axis=1), starts[:-1])
    top = (largest.view(np.uint32) >> 18).astype(np.int64)
    fast, slow = np.zeros((2, len(top), 1 + BINS), np.uint32)

    kernels_ranges.count(values, starts, top, 18, fast)
    reference_ranges.count(values, starts, top, 18, slow)

    npt.assert_array_equal(fast, slow)
    assert fast.sum() == values.size


@given(rows(), st.integers(1, 255))
def test_errors_of_converters_agree_with_their_reference(
    case: tuple[np.ndarray, np.ndarray], levels: int
) -> None:
    counted = Spread.of(*case, True)
    assert counted.counts is not None
    top = np.where(counted.largest > 0, counted.largest, 1.0)
    clips = top[:, None] * np.array([1.0, 0.7, 0.01])
    arguments = begins_of(counted.largest), counted.largest, counted.counts, clips, levels

    npt.assert_allclose(
        kernels_ranges.conversion_errors(*arguments),
        reference_ranges.conversion_errors(*arguments),
        rtol=1e-6,
        atol=1e-12 * float(top.max()) ** 2 * case[0].size,
    )


@st.composite
def tiled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw inputs, tiles and their places; whole numbers, whose sums are exact in any order."""
    ports = draw(st.sampled_from([2, 8, 16, 40]))
    columns = draw(st.lists(st.integers(1, ports), min_size=1, max_size=3))
    begins = np.cumsum([0, *columns])
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    places = np.array(
        [
            (begin, width, rows)
            for begin, width in zip(begins[:-1], columns, strict=True)
            for rows in draw(st.lists(st.integers(1, ports), min_size=1, max_size=3))
        ]
    )
    places = places[generator.permutation(len(places))]
    numbers = np.zeros((len(places), ports, ports), np.float32)
    for tile, (_, width, rows) in zip(numbers, places, strict=True):
        tile[:rows, :width] = generator.integers(-50, 50, (rows, width))
    vectors = generator.integers(-50, 50, (draw(st.sampled_from([1, 7, 100, 1100])), begins[-1]))
    return vectors.astype(np.float32), numbers, places


def alone(vectors: np.ndarray) -> Lines:
    """Let each vector be a window of one pixel."""
    pixels = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    return Lines(pixels, np.arange(len(vectors))[:, None])


LARGEST = (kernels_sums.largest_sums, kernels_sums.largest_sums_alone)


@given(tiled())
def test_largest_sums_agree_with_their_reference(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    expected = reference_ranges.largest_sums(*case)
    for largest in LARGEST:
        npt.assert_array_equal(largest(alone(case[0]), 1, *case[1:]), expected)


@given(tiled(), st.sampled_from([(1, 1), (1, 9), (2, 4), (3, 1)]))
def test_largest_sums_of_windows_are_those_of_their_vectors(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], form: tuple[int, int]
) -> None:
    groups, taps = form
    vectors, numbers, places = case
    channels = groups * -(-vectors.shape[1] // (groups * taps))
    generator = np.random.default_rng(len(vectors))
    pixels = generator.integers(-50, 50, (50, channels)).astype(np.float32)
    lines = Lines(pixels, generator.integers(0, 50, (len(vectors), taps)))

    expected = reference_ranges.largest_sums(gathered(lines, groups), numbers, places)

    for largest in LARGEST:
        npt.assert_array_equal(largest(lines, groups, numbers, places), expected)


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_a_sum_that_is_not_finite_shows(wrong: float) -> None:
    places = (Block(0, 0, 1, 2), Block(1, 0, 1, 2), Block(0, 2, 1, 2))
    tiles = calibrate.Tiles(places, np.ones((3, 2, 2), np.float32))
    vectors = np.array([[1, wrong, 1, 2]], np.float32)

    for largest in LARGEST:
        found = calibrate.largest_sums(alone(vectors), 1, tiles, largest)
        npt.assert_array_equal(found, [wrong, wrong, 3])


@given(st.permutations(range(6)), st.integers(1, 3))
def test_histograms_do_not_depend_on_the_order_or_the_split(order: list[int], size: int) -> None:
    parts = [normals(50, seed=i) * 7.0 ** (i - 3) for i in range(6)]
    together = spread(np.concatenate(parts))

    joined = [
        spread(np.concatenate([parts[i] for i in order[k : k + size]])) for k in range(0, 6, size)
    ]
    whole = joined[0]
    for part in joined[1:]:
        whole = whole.joined(part)

    assert together.counts is not None
    assert whole.counts is not None
    npt.assert_array_equal(whole.largest, together.largest)
    npt.assert_array_equal(whole.counts, together.counts)


def test_bins_are_a_thirty_second_of_an_octave_s_begin_wide() -> None:
    begins = begins_of(np.array([6.0]))[0]

    assert begins[-1] == 6.0
    npt.assert_allclose(np.diff(begins)[-16:], 4 * WIDTH)  # from 4 to 8 there are 32
    assert begins[0] < 6.0 * 2.0 ** (1 - OCTAVES)


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match=r"gives NaN or infinity on the calibration data: give sa"):
        spread(np.array([1.0, np.inf]))


# Percentiles


@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0, 99.9, 99.99, 100.0])
@pytest.mark.parametrize("shape", ["normal", "exponential", "heavy", "sparse"])
def test_percentiles_are_those_of_numpy_within_a_bin(shape: str, percentile: float) -> None:
    rng = np.random.default_rng(3)
    values = {
        "normal": rng.standard_normal(100_000),
        "exponential": rng.exponential(size=100_000),
        "heavy": rng.standard_t(2, 100_000),
        "sparse": rng.standard_normal(100_000) * (rng.random(100_000) < 0.6),
    }[shape].astype(np.float32)

    clip = found(values, Rule("percentile", percentile), Converter(127))

    expected = np.percentile(np.abs(values), percentile)
    assert clip == pytest.approx(expected, rel=WIDTH)


def test_no_range_is_below_a_4096th_of_the_largest_number() -> None:
    values = np.zeros(100_000)
    values[0] = 2.0

    clip = found(values, Rule("percentile", 99.9), Converter(127))

    assert 2.0 / 4096 <= clip <= (1 + WIDTH) * 2.0 / 4096
    assert found(np.zeros(9), Rule("percentile", 99.9), Converter(127)) == 0.0
    assert found(np.zeros(9), Rule("mse"), Converter(127)) == 0.0


# The least squared error

# Steps of evenly spaced quantisers of a normal number, and their mean squared errors:
# Max, IRE Trans. Inform. Theory 6, 7 (1960), table II, for odd numbers of levels. The entries of 63
# and more are minima of the same integral, computed with scipy's `quad` and `minimize_scalar`.
MAX_STEPS = {
    2: (1.224, 0.1902),
    3: (0.6508, 0.04686),
    4: (0.3534, 0.01289),
    5: (0.1932, 0.003693),
    6: (0.10549, 1.0693e-3),
    8: (0.030870, 8.831e-5),
}


@pytest.mark.parametrize("bits", MAX_STEPS)
def test_steps_for_normal_numbers_are_those_that_max_published(bits: int) -> None:
    levels = 2 ** (bits - 1) - 1
    values = ndtri((np.arange(1_000_000) + 0.5) / 1e6)  # normal numbers without chance in them

    step = found(values, Rule("mse"), Converter(levels)) / levels

    expected, error = MAX_STEPS[bits]
    assert step == pytest.approx(expected, rel=0.02)  # the minimum is flat: see its error
    assert squared_error(values, step * levels, levels) == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize("levels", [1, 3, 7, 127])
@pytest.mark.parametrize("shape", ["laplace", "relu", "two", "uniform"])
def test_no_other_range_has_a_smaller_error(shape: str, levels: int) -> None:
    rng = np.random.default_rng(5)
    values = {
        "laplace": rng.laplace(size=20_000),
        "relu": np.maximum(0.0, rng.standard_normal(20_000)),
        "two": rng.choice([0.25, 1.0], 20_000),
        "uniform": rng.uniform(-1, 1, 20_000),
    }[shape].astype(np.float32)
    largest = float(np.abs(values).max())

    clip = found(values, Rule("mse"), Converter(levels))

    least = min(squared_error(values, c, levels) for c in np.linspace(largest / 50, largest, 500))
    # Numbers are spread over bins of 3 %: of two points only, that is an error of its own.
    slack = (WIDTH**2 / 12) * float(np.mean(values**2))
    assert squared_error(values, clip, levels) <= 1.02 * least + slack


def test_noise_of_the_converter_makes_the_best_range_smaller() -> None:
    values = normals(1, 200_000)

    quiet = found(values, Rule("mse"), Converter(127))
    noisy = found(values, Rule("mse"), Converter(127, noise=(4.0**-5 - 4.0**-8) / 3))

    # Noise of the fifth bit's size costs as the steps of a converter of about five bits.
    assert noisy < 0.9 * quiet
    machine = SMALL.override({"converters.adc_enob": 5.0})
    assert Converter.adc(machine).noise == pytest.approx((4.0**-5 - 4.0**-8) / 3)
    assert Converter.adc(machine).levels == 127


def test_one_range_for_several_groups_has_the_least_error_of_all() -> None:
    values = np.stack([normals(5000), 3 * normals(5000, seed=1)])
    unit = np.array([1.0, 4.0])
    together = Wanted.together(Spread.of(values, np.arange(3), True), unit)

    (one,) = ranges(together, Rule("mse"), Converter(7))

    def error(scale: float) -> float:
        clips = zip(values, scale * unit, strict=True)
        return sum(squared_error(row, clip, 7) for row, clip in clips)

    assert error(float(one)) <= 1.02 * min(error(s) for s in np.linspace(0.1, 5, 500))


# Rules


@pytest.mark.parametrize(
    ("method", "per", "message"),
    [
        ("msee", "tile", "calibration_method='msee': there is no such method; did you mean 'mse'?"),
        ("mse:3", "tile", "calibration_method='mse:3': only percentile takes a number"),
        ("percentile:x", "tile", "only percentile takes a number, from 50 to 100, as in perc"),
        ("percentile:101", "tile", "calibration_method='percentile:101': only percentile takes"),
        ("max", "port", "calibration_per='port': ranges are set for each of .'tile', 'row', 'lay"),
    ],
)
def test_rules_that_do_not_exist_are_refused(method: str, per: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Rule.of(method, per)


def test_rules_read_as_they_are_written() -> None:
    assert str(Rule.of("percentile:99.5", "row")) == "percentile:99.5 per row"
    assert str(Rule.of("percentile")) == "percentile:99.99 per tile"
    assert str(Rule.of("mse", "layer")) == "mse per layer"


# Programs


def network() -> onnx.ModelProto:
    """Return a convolution of eleven filters of unlike sizes, Relu, and a wide product."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((11, 2, 3, 3)) * np.geomspace(0.05, 1, 11)[:, None, None, None],
        "w2": rng.laplace(size=(5, 11, 1, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w2"], ["y"], "second"),
    ]
    constants = {name: w.astype(np.float32) for name, w in weights.items()}
    return networks.network(nodes, {"x": ("batch", 2, 16, 16)}, {"y": 4}, constants)


def samples(count: int = 6, seed: int = 1) -> np.ndarray:
    """Return data with long tails."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(4, (count, 2, 16, 16)).astype(np.float32)


def compiled(
    machine: Machine = SMALL, calibration_method: str = "max", calibration_per: str = "tile"
) -> photonpu.Program:
    return photonpu.compile(
        network(),
        machine,
        calibration=samples(),
        calibration_method=calibration_method,
        calibration_per=calibration_per,
    )


def sums_of(program: photonpu.Program, x: np.ndarray) -> list[np.ndarray]:
    """Return the size of each sum of each tile of the first layer, (vectors, rows)."""
    from photonpu.program import windows

    weight = np.asarray(network_weights()["w1"]).reshape(11, 2, 9)
    matrix = weight.transpose(0, 2, 1).reshape(11, 18)
    step = program.photonic_steps[0]
    vectors = windows.vectors(x, step.geometry, step.geometry.streams[0])
    bank = program.tiles
    return [
        np.abs(
            vectors[:, bank.column[t] : bank.column[t] + bank.columns[t]]
            @ matrix[
                bank.row[t] : bank.row[t] + bank.rows[t],
                bank.column[t] : bank.column[t] + bank.columns[t],
            ].T
        )
        for t in range(*step.tiles[0])
    ]


def network_weights() -> Mapping[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in network().graph.initializer}


def test_without_a_rule_nothing_changes() -> None:
    plain = photonpu.compile(network(), SMALL, calibration=samples())
    named = compiled(calibration_method="max", calibration_per="tile")

    npt.assert_array_equal(plain.tiles.adc_range, named.tiles.adc_range)
    assert plain.tiles.adc_range.ndim == 1
    assert plain.notes == named.notes == ()


def test_each_row_has_the_range_of_its_own_largest_sum() -> None:
    program = compiled(calibration_per="row")

    step, bank = program.photonic_steps[0], program.tiles
    found = bank.adc_range * bank.scale[:, None] * step.input_range
    for tile, sizes in enumerate(sums_of(program, samples())):
        npt.assert_allclose(found[tile, : bank.rows[tile]], sizes.max(axis=0), rtol=1e-5)


def test_each_tile_has_the_percentile_of_its_own_sums() -> None:
    program = compiled(calibration_method="percentile:99")

    step, bank = program.photonic_steps[0], program.tiles
    assert step.input_range == pytest.approx(np.percentile(np.abs(samples()), 99), rel=WIDTH)
    found = bank.adc_range * bank.scale * step.input_range
    for tile, sizes in enumerate(sums_of(program, samples())):
        assert found[tile] == pytest.approx(np.percentile(sizes, 99), rel=WIDTH)


def test_all_tiles_of_a_layer_have_one_range_where_that_is_asked_for() -> None:
    for method in METHODS:
        program = compiled(calibration_method=method, calibration_per="layer")

        for step in program.photonic_steps:
            assert len(set(program.tiles.adc_range[slice(*step.tiles[0])])) == 1
    largest = compiled(calibration_per="layer")
    each = compiled()
    first = slice(*each.photonic_steps[0].tiles[0])
    assert largest.tiles.adc_range[0] == pytest.approx(each.tiles.adc_range[first].max())


def test_the_program_says_how_its_ranges_were_set() -> None:
    program = compiled(calibration_method="percentile:99.9", calibration_per="row")

    assert program.notes == ("converter ranges were set by percentile:99.9 per row",)


def test_latency_and_energy_do_not_depend_on_ranges() -> None:
    plain = photonpu.estimate(compiled())
    other = photonpu.estimate(compiled(calibration_method="mse", calibration_per="row"))

    assert (other.latency_s, other.energy_j, other.area_mm2) == (
        plain.latency_s,
        plain.energy_j,
        plain.area_mm2,
    )


def sqnr_db(program: photonpu.Program, layer: int = -1) -> float:
    """Return the ratio of signal and error that the converters alone leave, on other data."""
    trace = Trace()
    photonpu.Session(program, "quantised").run(None, {"x": samples(4, seed=9)}, trace=trace)
    return trace.layers[layer].sqnr_db


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_the_least_error_is_less_than_that_of_the_largest_range(bits: int) -> None:
    few = SMALL.override({"converters.adc_bits": bits, "converters.input_bits": bits})

    plain, best = (sqnr_db(compiled(few, calibration_method=m)) for m in ("max", "mse"))

    # Tails of Student's t of four degrees reach 20 sigma and more: bits are lost to them.
    assert best > plain + 2.0


def test_ranges_of_rows_lose_fewer_bits_than_those_of_tiles_than_those_of_layers() -> None:
    few = SMALL.override({"converters.adc_bits": 5, "converters.input_bits": 12})

    found = {
        per: sqnr_db(compiled(few, calibration_per=per), 0) for per in ("row", "tile", "layer")
    }

    assert found["row"] > found["tile"] > found["layer"]


def test_rows_of_one_range_give_the_bits_of_tiles() -> None:
    from dataclasses import replace

    program = compiled()
    wide = np.repeat(program.tiles.adc_range[:, None], 8, axis=1)
    same = replace(program, tiles=replace(program.tiles, adc_range=wide))
    x = {"x": samples(2)}

    for noise in ("quantised", "full"):
        (one,), (other,) = (photonpu.Session(p, noise).run(None, x) for p in (program, same))
        npt.assert_array_equal(one, other)


def test_programs_with_ranges_of_rows_come_back_from_their_files(tmp_path: Path) -> None:
    program = compiled(calibration_method="mse", calibration_per="row")
    program.save(tmp_path / "rows.ppu")
    back = photonpu.Program.load(tmp_path / "rows.ppu")

    npt.assert_array_equal(back.tiles.adc_range, program.tiles.adc_range)
    (one,), (other,) = (
        photonpu.Session(p, "full").run(None, {"x": samples(2)}) for p in (program, back)
    )
    npt.assert_array_equal(one, other)


@pytest.mark.parametrize(("per", "schema"), [("tile", 1), ("layer", 1), ("row", 2)])
def test_only_ranges_of_rows_ask_for_the_second_schema(
    per: str, schema: int, tmp_path: Path
) -> None:
    from safetensors import safe_open

    compiled(calibration_per=per).save(tmp_path / "p.ppu")

    with safe_open(tmp_path / "p.ppu", "numpy") as file:
        header = file.metadata()["photonpu"]
    assert f'"schema_version":{schema}' in header


def products() -> onnx.ModelProto:
    """Return the product of two activations."""
    nodes = [helper.make_node("MatMul", ["x", "y"], ["z"], "scores")]
    graph = helper.make_graph(
        nodes,
        "products",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 12, 5]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5, 9]),
        ],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 12, 9])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per", ["tile", "row", "layer"])
def test_products_of_two_activations_follow_the_rule(method: str, per: str, tmp_path: Path) -> None:
    data = {"x": normals(4, 12, 5, seed=2), "y": normals(4, 5, 9, seed=3)}

    program = photonpu.compile(
        products(),
        SMALL,
        calibration=data,
        activation_products="mesh",
        calibration_method=method,
        calibration_per=per,
    )

    (step,) = program.reprogrammed_steps
    assert step.adc_range.shape == ((step.tiles, 8) if per == "row" else (step.tiles,))
    assert per != "layer" or len(set(step.adc_range)) == 1
    program.save(tmp_path / "p.ppu")
    (z,) = photonpu.Session(photonpu.Program.load(tmp_path / "p.ppu"), "quantised").run(None, data)
    exact = data["x"] @ data["y"]
    assert np.linalg.norm(z - exact) < 0.05 * np.linalg.norm(exact)


def test_a_tile_of_activations_has_the_largest_of_its_sums_over_its_scale() -> None:
    x, y = normals(4, 12, 5, seed=2), normals(4, 5, 9, seed=3)

    program = photonpu.compile(
        products(), SMALL, calibration={"x": x, "y": y}, activation_products="mesh"
    )

    (step,) = program.reprogrammed_steps
    assert step.held == "left"  # either takes two tiles, and so fewer vectors pass
    for tile, first in enumerate(range(0, 12, 8)):
        part = x[:, first : first + 8]
        sizes = np.abs(part @ y).max(axis=(1, 2)) / np.linalg.norm(part, 2, axis=(1, 2))
        assert step.adc_range[tile] == pytest.approx(sizes.max() / np.abs(y).max(), rel=1e-5)
