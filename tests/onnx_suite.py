"""ONNX's backend test suite with a judge between it and a backend."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.runner import Runner

from photonpu import backend
from photonpu.backend import PreparedModel
from photonpu.compiler.versions import clamp
from photonpu.hardware import Machine

#: Meshes of a size at which thousands of small tiles are quick to decompose.
MACHINE = Machine.preset("ideal").override({"mesh.ports": 16})
#: Operators with a lowering.
PRODUCTS = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul"}
    | {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
)
#: Largest difference from onnxruntime that is allowed, as a share of the largest output.
GATE = 1e-5


@dataclass
class Verdict:
    """What is known of one case.

    Attributes
    ----------
    products
        Which operators with a lowering the model has, subgraphs and functions included.
    photonic
        Products that ran on the mesh.
    error
        Distance from onnxruntime.
    failure
        Why it failed; None if it passed.
    """

    products: frozenset[str] = frozenset()
    photonic: int = 0
    error: float = 0.0
    failure: str | None = None


class OrtModel(BackendRep):
    """A whole model in one onnxruntime session, its versions clamped to what that knows."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            clamp(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        names = [value.name for value in self._session.get_inputs()]
        arrays = [np.asarray(x) if isinstance(x, np.generic) else x for x in inputs]
        return tuple(self._session.run(None, dict(zip(names, arrays, strict=True))))


class JudgedModel(BackendRep):
    """Our model; if it has a product it must agree with onnxruntime where that can run it."""

    def __init__(self, model: onnx.ModelProto, verdict: Verdict) -> None:
        self._ours: PreparedModel = backend.prepare(model, machine=MACHINE)
        self._model = model
        self._verdict = verdict

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        outputs = self._ours.run(inputs)
        self._verdict.photonic += self._ours.photonic_steps(inputs)
        if self._verdict.products:
            try:
                expected = OrtModel(self._model).run(inputs)
            except Exception:  # what onnxruntime can't run is left to the suite's own outputs
                return outputs
            self._verdict.error = max(self._verdict.error, distance(outputs, expected))
            if not self._verdict.error <= GATE:
                raise AssertionError(f"{self._verdict.error:.1e} from onnxruntime")
        return outputs


@dataclass
class Judge:
    """A backend as the suite wants it, that notes what it sees of the case at hand."""

    build: Callable[[onnx.ModelProto, Verdict], BackendRep]
    verdict: Verdict = field(default_factory=Verdict)

    def supports_device(self, device: str) -> bool:
        return backend.supports_device(device)

    def prepare(self, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> BackendRep:
        self.verdict.products = operators(model) & PRODUCTS
        return self.build(model, self.verdict)


OURS = JudgedModel


def theirs(model: onnx.ModelProto, verdict: Verdict) -> BackendRep:
    """Let onnxruntime run the suite."""
    return OrtModel(model)


def judged(build: Callable[[onnx.ModelProto, Verdict], BackendRep]) -> dict[str, Verdict]:
    """Run every case of ONNX's suite for the CPU; names begin with the kind of the case."""
    judge = Judge(build)
    verdicts = {}
    for test in _cases(Runner(cast("type[Backend]", judge)).test_suite):
        kind, name = test.id().split(".")[-2:]
        if name.endswith("_cpu"):
            judge.verdict = verdicts[f"{kind}/{name}"] = Verdict()
            result = unittest.TestResult()
            test.run(result)
            for _, text in [*result.errors, *result.failures]:
                judge.verdict.failure = text.strip().splitlines()[-1]
            if result.skipped:
                judge.verdict.failure = "skipped"
    return verdicts


def _cases(suite: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
    if isinstance(suite, unittest.TestCase):
        yield suite
    else:
        for part in suite:
            yield from _cases(part)


def operators(model: onnx.ModelProto) -> frozenset[str]:
    """Name the operators of a model, those of its subgraphs and functions too."""
    found: set[str] = set()
    inside: list[Sequence[onnx.NodeProto]] = [model.graph.node]
    inside += [function.node for function in model.functions]
    while inside:
        for node in inside.pop():
            found.add(node.op_type)
            inside += [g.node for record in node.attribute for g in (record.g, *record.graphs)]
    return frozenset(found)


def distance(outputs: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the largest difference as a share of the largest expected number, over outputs."""
    worst = 0.0
    for ours, other in zip(outputs, expected, strict=True):
        if other.shape != ours.shape or other.dtype != ours.dtype:
            return np.inf
        if other.dtype.kind != "f" or not other.size:
            worst = worst if np.array_equal(ours, other) else np.inf
            continue
        finite = np.isfinite(other)
        if not np.isfinite(ours[finite]).all() or not np.array_equal(
            ours[~finite], other[~finite], equal_nan=True
        ):
            return np.inf
        gap = np.abs(ours[finite].astype(np.float64) - other[finite])
        if gap.any():
            worst = max(worst, float(gap.max() / np.abs(other[finite]).max()))
    return worst
