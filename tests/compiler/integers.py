"""Quantised operators to compile, and what counts as the same integers.

What is allowed beside the expected integers: one step, and that only where the exact number lies
within `MARGIN` steps of the boundary between two integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import photonpu
from photonpu.hardware import Machine
from tests.compiler.networks import Array, run

MACHINE = Machine.preset("ideal").override({"mesh.ports": 8})
MARGIN = 1e-4
#: onnxruntime adds two products of 8 bits in 16 bits on processors without VNNI, which must hold.
LARGEST_WEIGHT = 63
MICROSOFT = "com.microsoft"
KINDS = {"uint8": np.uint8, "int8": np.int8}


def whole(kind: str, *shape: int, seed: int = 0, bound: int | None = None) -> Array:
    """Draw integers over all of their range, or up to `bound`."""
    limits = np.iinfo(KINDS[kind])
    low, high = (limits.min, limits.max) if bound is None else (max(-bound, limits.min), bound)
    values = np.random.default_rng([seed, *shape]).integers(low, high, shape, endpoint=True)
    return values.astype(KINDS[kind])


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Any],
    constants: Mapping[str, Any],
    kind: type[Any],
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a model of fixed shapes whose output is ``y``."""

    def element(dtype: Any) -> int:
        return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info(n, element(v.dtype), v.shape) for n, v in inputs.items()],
        [helper.make_tensor_value_info("y", element(kind), None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@dataclass(frozen=True)
class Case:
    """One quantised product: its data, its constants, and what its output is an integer of.

    Attributes
    ----------
    model, x
        One operator, and its input.
    exact
        The output before rounding and saturation, its zero point added.
    kind
        Element type of the output.
    """

    model: onnx.ModelProto
    x: Array
    exact: Array
    kind: type[Any]


def ideal(model: onnx.ModelProto, x: Array, products: int = 1) -> Array:
    """Compile a model of one input, see its products on the mesh, and run it on ideal hardware."""
    program = photonpu.compile(model, MACHINE, calibration={"x": x})
    assert len(program.photonic_steps) == products
    return np.asarray(photonpu.Session(program, noise="ideal").run(None, {"x": x})[0])


def assert_rounded(found: Array, expected: Array, exact: Array) -> None:
    """Check integers: equal, or one step away where `exact` is as good as between two."""
    assert found.dtype == expected.dtype
    steps = np.abs(found.astype(np.int64) - expected.astype(np.int64))
    from_boundary = np.abs(exact - np.floor(exact) - 0.5)
    assert steps.max(initial=0) <= 1
    assert (from_boundary[steps == 1] <= MARGIN).all()


def saturated(exact: Array, kind: type[Any]) -> Array:
    limits = np.iinfo(kind)
    return np.clip(np.rint(exact), limits.min, limits.max).astype(kind)


def check(case: Case) -> None:
    """Hold ideal hardware and onnxruntime against exact arithmetic, and against each other."""
    found = ideal(case.model, case.x)
    (reference,) = run(case.model, {"x": case.x})
    for expected in (saturated(case.exact, case.kind), reference):
        assert_rounded(found, expected, case.exact)
