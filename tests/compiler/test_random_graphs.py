"""Random graphs: compiled for an ideal machine they compute what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photonpu import Machine, Session, compile
from tests.compiler.networks import Array, run
from tests.compiler.random_graphs import graphs

#: Largest difference that is allowed, as a share of the largest output.
GATE = 1e-4
MACHINES = {ports: Machine.preset("ideal").override({"mesh.ports": ports}) for ports in (4, 8, 16)}

#: A Reshape that was drawn may hold the batch of a network that leaves it free.
pytestmark = pytest.mark.filterwarnings("ignore:node .* holds the batch")


def assert_agrees_with_onnxruntime(model: onnx.ModelProto, x: Array, ports: int) -> None:
    program = compile(model, MACHINES[ports], calibration=x)
    found = Session(program, noise="ideal").run(None, {"x": x})
    for ours, theirs in zip(found, run(model, {"x": x}), strict=True):
        assert ours.shape == theirs.shape
        largest = float(np.abs(theirs).max(initial=0.0))
        assert float(np.abs(ours - theirs).max(initial=0.0)) <= GATE * largest + 1e-12


@settings(max_examples=80)
@given(drawn=graphs(), ports=st.sampled_from(sorted(MACHINES)))
def test_a_random_graph_computes_what_onnxruntime_does(
    drawn: tuple[onnx.ModelProto, Array], ports: int
) -> None:
    assert_agrees_with_onnxruntime(*drawn, ports)


@pytest.mark.slow
@settings(max_examples=1000)
@given(drawn=graphs(), ports=st.sampled_from(sorted(MACHINES)))
def test_a_thousand_random_graphs_compute_what_onnxruntime_does(
    drawn: tuple[onnx.ModelProto, Array], ports: int
) -> None:
    assert_agrees_with_onnxruntime(*drawn, ports)
