"""What a session leaves out on the way from step to step changes no number and no message."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.testing as npt
import onnx
import onnx.numpy_helper
import onnx.parser
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import photonpu
from photonpu.errors import InputError, PhotonpuWarning
from photonpu.hardware import Machine
from photonpu.program import Program
from photonpu.simulator import flow, memory
from photonpu.simulator.buffers import Buffers

IDEAL = Machine.preset("ideal").override({"mesh.ports": 8})
QUANTISED = Machine.preset("mzi64-eo").override({"mesh.ports": 8})


def net(body: str, inputs: str = "float[n, 2, 6, 5] x", outputs: str = "y") -> onnx.ModelProto:
    """Return a network of convolutions with the weights `a`, `b` (2 to 2) and `c` (4 to 3)."""
    rng = np.random.default_rng(0)
    sizes = {"a": (2, 2, 3, 3), "b": (2, 2, 1, 1), "c": (3, 4, 3, 3), "t": (2, 2, 2, 2)}
    weights = ", ".join(
        f"float[{', '.join(map(str, size))}] {name} = {{{_numbers(rng.standard_normal(size))}}}"
        for name, size in sizes.items()
        if f" {name})" in body
    )
    results = ", ".join(f"float[n, {rest}] {name}" for name, rest in _shapes(outputs))
    text = f'<ir_version: 8, opset_import: ["" : 17]> net ({inputs}) => ({results}) <{weights}>'
    return onnx.parser.parse_model(f"{text} {{ {body} }}")


def _shapes(names: str) -> Sequence[tuple[str, str]]:
    sizes = {"y": "3, 6, 5", "r": "2, 6, 5", "p": "2, 6, 5", "q": "2, 6, 5", "j": "4, 6, 5"}
    return [(name, sizes[name]) for name in names.split()]


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3f}" for value in values.reshape(-1))


PADDED = "<pads = [1, 1, 1, 1]>"
FORKED = (
    f"p = Conv {PADDED} (x, a)  q = Conv (p, b)  r = Relu(q)  j = Concat <axis = 1> (r, p) "
    f"y = Conv {PADDED} (j, c)"
)
PLAIN = (
    f"p = Conv {PADDED} (x, a)  r = Relu(p)  q = Conv (r, b)  j = Concat <axis = 1> (q, x) "
    f"y = Conv {PADDED} (j, c)"
)
ALONG = (
    f"p = Conv {PADDED} (x, a)  q = Conv (x, b)  h = Concat <axis = 2> (p, q) "
    f"s = Conv <strides = [2, 1]> (h, b)  j = Concat <axis = 1> (q, s)  y = Conv {PADDED} (j, c)"
)
UPSAMPLED = (
    f"p = Conv {PADDED} (x, a)  h = ConvTranspose <strides = [2, 2]> (p, t)  k = Relu(h)  "
    f"s = ConvTranspose <strides = [2, 2], pads = [1, 1, 0, 1]> (k, a)  "
    f"q = Conv <strides = [4, 4], pads = [1, 0, 0, 0]> (s, a)  j = Concat <axis = 1> (x, q) "
    f"y = Conv {PADDED} (j, c)"
)


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 2, 6, 5)).astype(np.float32)


def compiled(model: onnx.ModelProto, machine: Machine = IDEAL) -> Program:
    return photonpu.compile(model, machine, calibration=images())


@pytest.mark.parametrize("body", [FORKED, PLAIN, ALONG, UPSAMPLED])
@pytest.mark.parametrize("outputs", ["y", "y q", "y p", "y j", "y p q j"])
def test_a_network_gives_what_onnxruntime_gives_and_earlier_outputs_stay(
    body: str, outputs: str
) -> None:
    model = net(body, outputs=outputs)
    session = photonpu.Session(compiled(model), noise="ideal")
    direct = onnxruntime.InferenceSession(model.SerializeToString())
    runs = [images(2), -images(2), images(1)]

    found = [session.run(None, {"x": x.copy()}) for x in runs]

    for x, outputs_of_run in zip(runs, found, strict=True):
        for got, want in zip(outputs_of_run, direct.run(None, {"x": x}), strict=True):
            npt.assert_allclose(got, want, atol=1e-4)


def test_an_output_cropped_to_its_beginning_has_memory_of_its_own() -> None:
    # One sample of one channel: what is left of the output was a view, and `s` came to lie in it.
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> net (float[1, 2, 2] x) => '
        "(float[1, 1, 3] y, float[1, 1, 2] s) <float[2, 1, 1] a = {1, 2}, float[1, 1, 1] b = {3}, "
        "float[1, 2, 1] c = {1, -1}> { p = ConvTranspose <strides = [2]> (x, a) "
        "s = Conv (x, c) y = Conv (p, b) }"
    )
    x = np.array([[[0.5, -1.0], [0.25, 2.0]]], np.float32)
    session = photonpu.Session(photonpu.compile(model, IDEAL, calibration=x), noise="ideal")

    y, s = session.run(None, {"x": x})

    npt.assert_allclose(y, [[[3.0, 0.0, 9.0]]], atol=1e-5)
    npt.assert_allclose(s, [[[0.25, -3.0]]], atol=1e-5)


def test_what_is_fed_stays_as_it_was() -> None:
    session = photonpu.Session(compiled(net(PLAIN)), noise="full")
    x = images()

    session.run(None, {"x": x})

    npt.assert_array_equal(x, images())


def test_rectifying_and_joining_for_steps_on_the_mesh_is_left_to_laying_out() -> None:
    found = flow.flow(compiled(net(PLAIN)))

    assert {step.operators[0].op for step in found.skipped.values()} == {"Relu", "Concat"}


def test_a_product_for_one_step_alone_goes_straight_into_its_field() -> None:
    plain, forked = (flow.flow(compiled(net(body))) for body in (PLAIN, FORKED))

    readers = {name: reader.output for name, (reader, _) in plain.direct.items()}
    assert readers == {"p": "q", "q": "y"}
    assert plain.direct["p"][1].rectified
    assert "p" not in forked.direct


@pytest.mark.parametrize("outputs", ["y r", "y j"])
def test_what_others_read_is_made(outputs: str) -> None:
    found = flow.flow(compiled(net(PLAIN, outputs=outputs)))

    assert outputs[-1] not in found.skipped
    assert len(found.skipped) == 1


@pytest.mark.parametrize("noise", ["ideal", "quantised", "full"])
@pytest.mark.parametrize("body", [FORKED, PLAIN, UPSAMPLED])
@pytest.mark.parametrize("scratch_bytes", [1, 2000, 1 << 20])
def test_step_by_step_and_in_pieces_a_network_gives_the_same_bits(
    noise: str, body: str, scratch_bytes: int
) -> None:
    session = photonpu.Session(compiled(net(body), QUANTISED), noise=noise, seed=3)
    values = {"x": images()}
    plan = memory.Plan(together=3, scratch_bytes=1 << 20)
    (found,) = session.run(None, {"x": images()})

    for step in session.program.steps:
        values.update(session.execute(step, values, 0, plan))
    small = memory.Plan(together=3, scratch_bytes=scratch_bytes, kept_bytes=4000)
    (pieces,) = session._passage.run(["y"], {"x": images()}, 0, small)

    npt.assert_array_equal(found, values["y"])
    npt.assert_array_equal(found, pieces)


def test_a_product_beyond_single_precision_is_named_where_only_meshes_read_it() -> None:
    model = net(PLAIN)
    (weight,) = [each for each in model.graph.initializer if each.name == "a"]
    huge = np.full((2, 2, 3, 3), 3e38, np.float32)
    weight.CopyFrom(onnx.numpy_helper.from_array(huge, "a"))
    program = photonpu.compile(model, IDEAL, calibration=images() * np.float32(1e-3))
    first = program.photonic_steps[0].name

    with pytest.raises(InputError, match=f"node '{first}' .*its output is beyond single precis"):
        photonpu.Session(program, noise="ideal").run(None, {"x": images() + np.float32(9)})


@pytest.mark.parametrize("body", [f"r = Relu(x)  y = Conv {PADDED} (r, a)", PLAIN, ALONG])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_input_that_is_no_number_is_named_whoever_finds_it(body: str, bad: float) -> None:
    x = images()
    x[-1, 1, -1, -1] = bad

    with pytest.raises(InputError, match="^input 'x' holds NaN or infinity; clean the data first"):
        photonpu.Session(compiled(net(body)), noise="ideal").run(None, {"x": x})


def test_only_what_rectifying_leaves_is_reported_as_clipped() -> None:
    body = f"r = Relu(x)  p = Conv {PADDED} (r, a)"
    program = compiled(net(body, outputs="p"), QUANTISED)
    session = photonpu.Session(program, noise="quantised")

    session.run(None, {"x": np.full((1, 2, 6, 5), -1e6, np.float32)})

    with pytest.warns(PhotonpuWarning, match=r"its input 'x' reaches 1e\+06 and is clipped"):
        session.run(None, {"x": np.full((1, 2, 6, 5), 1e6, np.float32)})


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=40))
def test_memory_that_is_taken_is_nobody_elses(steps: list[tuple[bool, int]]) -> None:
    buffers = Buffers(2048)
    taken: list[tuple[int, np.ndarray]] = []
    for number, (gives, size) in enumerate(steps):
        if gives and taken:
            buffers.give(taken.pop(size % len(taken))[1])
            continue
        array = buffers.singles((size, 3))
        array[...] = number
        taken.append((number, array))

    for number, array in taken:
        assert (array == number).all()
        buffers.give(array)
    whole = buffers.singles((512,))
    buffers.give(whole)
    assert np.shares_memory(buffers.singles((512,)), whole)


def test_memory_begins_at_a_line_of_the_cache() -> None:
    buffers = Buffers(2048)

    found = [buffers.singles((size,)) for size in (1, 17, 64)]

    assert [array.ctypes.data % 64 for array in found] == [0, 0, 0]


def test_what_does_not_fit_has_memory_of_its_own() -> None:
    buffers = Buffers(100)

    array = buffers.singles((100,))
    array[...] = 1.0
    buffers.give(array)

    assert not np.shares_memory(buffers.singles((16,)), array)
