"""Products of two activations on the mesh: what is computed, counted, kept and refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import helper

import photonpu
from photonpu.compiler.inspection import inspect
from photonpu.compiler.listing import table, to_dict
from photonpu.errors import InputError, ProgramError
from photonpu.hardware import Machine
from photonpu.program import Program, ReprogrammedStep, TensorInfo
from photonpu.simulator import reprogram, work
from tests.compiler.networks import network, numbers, run

SMALL = Machine.preset("mzi64-eo").override({"mesh.ports": 8})


def attention(batch: str | int = "batch") -> onnx.ModelProto:
    """Return scores of two heads of width 10, their Softmax, and its product with the values."""
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["s"], name="scores"),
        helper.make_node("Softmax", ["s"], ["a"], name="soft", axis=-1),
        helper.make_node("MatMul", ["a", "v"], ["y"], name="values"),
    ]
    shapes = {"q": [batch, 2, 6, 10], "k": [batch, 2, 10, 12], "v": [batch, 2, 12, 10]}
    return network(nodes, shapes, {"y": 4})


def feeds(batch: int) -> dict[str, np.ndarray]:
    shapes = {"q": (6, 10), "k": (10, 12), "v": (12, 10)}
    return {name: numbers(batch, 2, *shape) for name, shape in shapes.items()}


def compiled(machine: Machine = SMALL) -> Program:
    return photonpu.compile(attention(), machine, calibration=feeds(3), activation_products="mesh")


def test_ideal_meshes_compute_what_onnxruntime_does() -> None:
    x = feeds(3)
    (expected,) = run(attention(), x)

    (y,) = photonpu.Session(compiled(), noise="ideal").run(None, x)

    npt.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("left", "right"),
    [((6, 10), (10, 3)), ((3, 10), (10, 16)), ((2, 3, 10), (10, 9)), ((10,), (4, 10, 9))],
)
def test_any_two_factors_multiply_and_that_of_fewer_tiles_is_held(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    node = helper.make_node("MatMul", ["a", "b"], ["y"], name="it")
    model = network([node], {"a": left, "b": right}, {"y": max(len(left), len(right))})
    x = {"a": numbers(*left), "b": numbers(*right)}
    if len(left) == 1:
        model.graph.output[0].type.tensor_type.shape.dim.pop()

    program = photonpu.compile(model, SMALL, calibration=x, activation_products="mesh")
    (y,) = photonpu.Session(program, noise="ideal").run(None, x)

    npt.assert_allclose(y, np.matmul(x["a"], x["b"]), atol=1e-5 * np.abs(y).max())
    (step,) = program.reprogrammed_steps
    tiles = {"left": 0, "right": 0}
    for held, shape in (("left", left), ("right", right)):
        matrix = shape if len(shape) > 1 else ((1, *shape) if held == "left" else (*shape, 1))
        tiles[held] = math.prod(matrix[:-2]) * math.prod(-(-n // 8) for n in matrix[-2:])
    assert tiles[step.held] == min(tiles.values())


@pytest.mark.parametrize("noise", ["quantised", "full"])
def test_a_sample_gets_the_same_bits_in_any_batch(noise: str) -> None:
    program, x = compiled(), feeds(3)
    session = photonpu.Session(program, noise=noise, chip=1, seed=2)

    (whole,) = session.run(None, x)
    parts = [
        session.run(None, {name: value[i : i + 1] for name, value in x.items()}, first=i)[0]
        for i in range(3)
    ]

    npt.assert_array_equal(whole, np.concatenate(parts))


def test_a_sample_meets_the_same_errors_at_any_place_but_other_noise() -> None:
    x = {name: np.repeat(value, 2, axis=0) for name, value in feeds(1).items()}

    chip = photonpu.Session(compiled(), noise=("splitter", "phase", "loss", "adc")).run(None, x)[0]
    shots = photonpu.Session(compiled(), noise=("shot", "thermal")).run(None, x)[0]

    npt.assert_array_equal(chip[0], chip[1])
    assert not np.array_equal(shots[0], shots[1])


def test_matrices_decomposed_one_by_one_give_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program, x = compiled(), feeds(3)
    (together,) = photonpu.Session(program).run(None, x)

    monkeypatch.setattr(reprogram, "CHUNK_TILES", 1)
    (alone,) = photonpu.Session(program).run(None, x)

    npt.assert_array_equal(alone, together)


def test_converters_err_by_their_step_and_chips_by_more() -> None:
    program, x = compiled(), feeds(3)
    (expected,) = run(attention(), x)

    errors = {
        noise: np.abs(photonpu.Session(program, noise=noise).run(None, x)[0] - expected).max()
        for noise in ("ideal", "quantised", "full")
    }

    assert errors["ideal"] < 1e-5 < errors["quantised"] < errors["full"] < np.abs(expected).max()


def test_the_range_of_an_adc_is_the_largest_partial_sum_in_units_of_tile_and_input() -> None:
    node = helper.make_node("MatMul", ["a", "b"], ["y"], name="it")
    model = network([node], {"a": ["batch", 4, 8], "b": ["batch", 8, 8]}, {"y": 3})
    x = {"a": numbers(5, 4, 8), "b": numbers(5, 8, 8)}

    program = photonpu.compile(model, SMALL, calibration=x, activation_products="mesh")

    (step,) = program.reprogrammed_steps
    sums = np.abs(x["a"].astype(float) @ x["b"].astype(float)).max(axis=(1, 2))
    largest = (sums / np.linalg.norm(x["b"].astype(float), 2, axis=(1, 2))).max()
    assert step.input_range == np.abs(x["a"]).max()
    npt.assert_allclose(step.adc_range * step.input_range, [largest], rtol=1e-6)


def test_cores_take_the_tiles_of_a_sample_in_turn() -> None:
    (step, _) = compiled().reprogrammed_steps

    three = SMALL.override({"cores": 3})
    tiles = reprogram.programmed(step, numbers(4, step.rows, step.columns), three)

    # Two matrices of two tiles a sample: the second sample meets the cores of the first.
    assert (step.matrices, step.tiles) == (2, 2)
    assert tiles.core.tolist() == [0, 1, 2, 0] * 2
    assert tiles.turn.tolist() == [0, 0, 0, 1] * 2


def test_settling_phases_and_decomposition_are_counted_for_each_sample() -> None:
    program = compiled()
    (step, _) = program.reprogrammed_steps

    for batch in (1, 3):
        cost = photonpu.estimate(program, batch)
        setting, product = (layer for layer in cost.layers if layer.name.startswith("scores"))
        tiles = 2 * step.tiles * batch
        assert (setting.name, setting.op) == ("scores (programming)", "Reprogram")
        assert (product.op, product.macs) == ("MatMul", batch * 2 * 6 * 10 * 12)
        assert setting.tiles == tiles
        turns = math.ceil(tiles / SMALL.cores)
        assert setting.latency.programming_s == pytest.approx(
            turns * SMALL.phase.settling_time_us * 1e-6
        )
        phases = tiles * SMALL.mesh.shifters * SMALL.phase.program_energy_pj * 1e-12
        assert setting.energy.programming_j == pytest.approx(phases)
        assert setting.latency.digital_s > 0
        assert product.latency.programming_s == 0
        assert product.vectors == step.vectors * batch
    assert "scores (programming)  Reprogram" in cost.table()


def test_decomposing_a_block_takes_the_textbook_number_of_operations() -> None:
    # m = n = 8: 21 n^3 for the SVD, and twice 28 rotations of 48 operations.
    assert work.decomposition_operations(8, 8) == 21 * 512 + 2 * 28 * 48
    assert work.decomposition_operations(3, 8) == work.decomposition_operations(8, 3)


def test_all_macs_are_on_the_mesh_and_the_report_says_how() -> None:
    found = inspect(attention(), SMALL, activation_products="mesh")

    assert inspect(attention(), SMALL).mac_share == 0
    assert found.mac_share == 1
    assert "reprogrammed for each sample" in table(found)
    values = to_dict(found)["on_mesh"]
    assert isinstance(values, list)
    assert values[0]["reprogrammed"] in ("q", "k")
    assert values[0]["matrices_a_sample"] == 2
    program = compiled()
    assert found.tiles == sum(s.matrices * s.tiles for s in program.reprogrammed_steps)
    assert "reprogrammed for each sample" in program.text()


def test_a_program_file_gives_the_same_steps_back(tmp_path: Path) -> None:
    program, x = compiled(), feeds(2)
    program.save(tmp_path / "it.ppu")

    back = Program.load(tmp_path / "it.ppu")

    one, other = (photonpu.Session(p).run(None, x)[0] for p in (program, back))
    npt.assert_array_equal(one, other)
    assert back.text() == program.text()


@pytest.mark.parametrize(
    ("adc_range", "message"),
    [
        (np.ones(7), "step 'scores': the ranges of its ADCs are float64 .7,., not float64"),
        (np.zeros(4), "step 'scores': the range of an ADC is not positive"),
    ],
)
def test_a_damaged_step_is_refused(adc_range: np.ndarray, message: str, tmp_path: Path) -> None:
    program = compiled()
    scores = program.reprogrammed_steps[0]
    adc_range = adc_range[: scores.tiles] if adc_range[0] == 0 else adc_range
    damaged = replace(scores, adc_range=adc_range)
    steps = tuple(damaged if step is scores else step for step in program.steps)
    replace(program, steps=steps).save(tmp_path / "it.ppu")

    with pytest.raises(ProgramError, match=message):
        Program.load(tmp_path / "it.ppu")


def test_a_product_of_factors_beyond_single_precision_is_refused() -> None:
    program, x = compiled(), feeds(1)
    x["q"][0, 0, 0, 0] = 3e38
    x["k"][0, 0, :, 0] = 3e38

    with pytest.raises(InputError, match="node 'scores' .MatMul.: its output is beyond single"):
        photonpu.Session(program, noise="ideal").run(None, x)


def test_a_handmade_step_runs_without_a_compiler() -> None:
    step = ReprogrammedStep(
        name="it",
        op="MatMul",
        left="a",
        right="b",
        output="y",
        held="right",
        matrices=1,
        rows=3,
        columns=5,
        vectors=2,
        input_range=1.0,
        adc_range=np.ones(1),
        phase_pi=0.0,
        in_elements=25,
        out_elements=6,
        macs=30,
    )
    made = replace(
        compiled(),
        inputs=(TensorInfo("a", "float32", (2, 5)), TensorInfo("b", "float32", (5, 3))),
        outputs=(TensorInfo("y", "float32", (2, 3)),),
        steps=(step,),
    )
    a, b = numbers(2, 5), numbers(5, 3)

    (y,) = photonpu.Session(made, noise="ideal").run(None, {"a": a, "b": b})

    npt.assert_allclose(y, a @ b, atol=1e-5)


@pytest.mark.parametrize("name", ["cifar10_vit_pgd_2_3_16", "ezkl_multihead_attention_random"])
def test_open_attention_models_run_wholly_on_the_mesh(name: str, assets: Path) -> None:
    path = assets / "models" / f"{name}.onnx"
    shape = (2, 3, 32, 32) if "vit" in name else (2, 1, 16, 128)
    x = numbers(*shape)
    (expected,) = run(path.read_bytes(), {"input": x})

    program = photonpu.compile(path, calibration=x, activation_products="mesh")
    (y,) = photonpu.Session(program, noise="ideal").run(None, {"input": x})

    assert np.abs(y - expected).max() <= 1e-5 * np.abs(expected).max()
    assert inspect(path, activation_products="mesh").mac_share == 1
