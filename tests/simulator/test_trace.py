"""Traces and attributions of small networks, against errors that are known by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.simulator import PhotonicMatrix, Session
from photonpu.simulator.attribution import attribute
from photonpu.simulator.trace import LayerTrace, Trace

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 4, "cores": 1})
X = np.array([[0.5, 1.0], [1.0, -0.25]], np.float32)


def traced(noise: str | tuple[str, ...], weight: np.ndarray, x: np.ndarray = X) -> Trace:
    trace = Trace()
    program = PhotonicMatrix(weight, MACHINE).program
    Session(program, noise).run(None, {"x": x}, trace=trace)
    return trace


def test_a_trace_changes_no_bit_of_the_outputs() -> None:
    session = Session(PhotonicMatrix(np.eye(2), MACHINE).program, "full")
    plain = session.run(None, {"x": X})[0]
    npt.assert_array_equal(session.run(None, {"x": X}, trace=Trace())[0], plain)


def test_the_error_is_that_of_the_converter_by_hand() -> None:
    # 3 levels a side of a range of 1: .5 -> 2/3 (1.5 rounds to even), -.25 -> -1/3; 1 stays.
    machine = MACHINE.override({"converters.input_bits": 3})
    trace = Trace()
    program = PhotonicMatrix(np.eye(2), machine).program
    Session(program, "input_dac").run(None, {"x": X}, trace=trace)
    (layer,) = trace.layers
    expected = math.sqrt(((1 / 6) ** 2 + (1 / 12) ** 2) / (0.25 + 1 + 1 + 0.0625))
    assert layer.error == pytest.approx(expected, rel=1e-5)
    assert layer.own == pytest.approx(expected, rel=1e-5)
    assert layer.sqnr_db == pytest.approx(20 * math.log10(1 / expected), rel=1e-5)
    assert layer.enob == pytest.approx((20 * math.log10(1 / expected) - 1.76) / 6.02, rel=1e-5)
    assert layer.input_clipped == 0.0
    assert layer.adc_clipped is None
    assert trace.outputs == {"y": pytest.approx(expected, rel=1e-5)}


def test_inputs_beyond_their_range_are_counted() -> None:
    # One of four numbers lies beyond 1.
    (layer,) = traced("input_dac", np.eye(2), np.array([[0.5, 3.0], [1.0, 0.0]], np.float32)).layers
    assert layer.input_clipped == 0.25


def test_partial_sums_beyond_their_range_are_counted() -> None:
    # In units of the scale 1 the sums are .5, 1, 1 and -.25; the range is .75.
    program = PhotonicMatrix(np.eye(2), MACHINE).program
    narrow = replace(program, tiles=replace(program.tiles, adc_range=np.full(1, 0.75)))
    trace = Trace()
    Session(narrow, "adc").run(None, {"x": X}, trace=trace)
    (layer,) = trace.layers
    assert layer.adc_clipped == 0.5
    assert layer.adc_use == pytest.approx(1 / 0.75, rel=1e-5)


def test_the_ideal_machine_has_no_error() -> None:
    (layer,) = traced("ideal", np.eye(2)).layers
    assert layer.error == layer.own == 0.0
    assert layer.sqnr_db == math.inf
    assert (layer.input_clipped, layer.adc_clipped, layer.adc_use) == (None, None, None)


def test_two_runs_add_up_to_one_run_of_both() -> None:
    session = Session(PhotonicMatrix(np.eye(2), MACHINE).program, "full")
    whole, parts = Trace(), Trace()
    session.run(None, {"x": X}, trace=whole)
    session.run(None, {"x": X[:1]}, trace=parts)
    session.run(None, {"x": X[1:]}, first=1, trace=parts)
    assert parts.layers[0].error == pytest.approx(whole.layers[0].error, rel=1e-12)


def test_a_trace_prints_and_is_json() -> None:
    trace = traced("full", np.eye(2))
    assert trace.table().splitlines()[2].startswith("matrix  MatMul")
    assert "y       (output)" in trace.table()
    again = json.loads(json.dumps(trace.to_dict()))
    assert again["layers"][0]["enob"] == trace.layers[0].enob
    assert again["outputs"]["y"] == trace.outputs["y"]


def test_bars_are_as_long_as_errors() -> None:
    assert isinstance(traced("full", np.eye(2)).layers[0], LayerTrace)
    lines = traced("full", np.eye(2)).bars(width=10).splitlines()
    assert lines[2].endswith("#" * 10)


def test_a_source_alone_has_the_error_of_a_session_with_it_alone() -> None:
    weight = np.random.default_rng(3).standard_normal((4, 4))
    program = PhotonicMatrix(weight, MACHINE).program
    x = np.random.default_rng(4).uniform(-1, 1, (40, 4)).astype(np.float32)
    found = attribute(program, {"x": x}, ("input_dac", "adc"))
    exact = x @ weight.T
    for entry in (*found.layers, *found.outputs):
        for alone, without in (("input_dac", "adc"), ("adc", "input_dac")):
            y = Session(program, alone).run(None, {"x": x})[0]
            expected = np.linalg.norm(y - exact) / np.linalg.norm(exact)
            assert entry.alone[alone] == pytest.approx(expected, rel=1e-3)
            assert entry.without[without] == pytest.approx(expected, rel=1e-3)
    assert found.layers[0].all > 0
    assert found.sources == ("input_dac", "adc")
    assert found.table().count("input_dac") == 2
    json.dumps(found.to_dict())


def test_no_source_has_nothing_to_attribute() -> None:
    program = PhotonicMatrix(np.eye(2), MACHINE).program
    with pytest.raises(InputError, match="noise='ideal' has no source: there is nothing"):
        attribute(program, {"x": X}, "ideal")
