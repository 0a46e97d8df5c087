"""Large networks below a ceiling of memory, against onnxruntime: a process for each, in turn.

A U-Net of 31 million parameters on an image of 512x512, a 3-D MeshNet on a volume of 256^3, and
the vision transformer ViT-B/16 with its products of two activations digital or on the mesh; random
weights. The process that compiles, the one that runs with ``Session(memory_limit_mb=...)`` and the
one of onnxruntime each tell their peak of resident memory. Minutes each; not in ``make bench``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import photonpu
from photonpu.models import zoo

if TYPE_CHECKING:
    import onnx

Floats = NDArray[np.float32]

INTERPRETER_MB = 250  # with libraries; a session's ceiling does not count them
SEED = 0
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Case:
    """A network, its input, and what its session may take."""

    build: Callable[[], onnx.ModelProto]
    shape: tuple[int, ...]
    memory_limit_mb: int
    activation_products: str = "digital"


def main() -> None:
    """Measure each case in processes of its own, and print a table."""
    arguments = parse()
    if arguments.worker:
        name, folder, job = arguments.worker
        print(json.dumps(JOBS[job](CASES[name], Path(folder))))
        return
    for name in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            found = {job: run_worker(job, name, folder, arguments.threads) for job in JOBS}
        print(report(name, CASES[name], found), flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def run_worker(job: str, name: str, folder: str, threads: int) -> dict[str, float]:
    """Run one job in a process that has `threads` threads."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", name, folder, job],
        env=os.environ | dict.fromkeys(VARIABLES, str(threads)),
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(name: str, case: Case, found: dict[str, dict[str, float]]) -> str:
    """Return the figures of one case as text."""
    compiled, ours, theirs = (found[job] for job in ("compile", "photonpu", "onnxruntime"))
    ceiling = case.memory_limit_mb + INTERPRETER_MB
    held = "within" if ours["peak_mb"] <= ceiling else "ABOVE"
    session = {"clock": ours["session_clock"], "cpu": ours["session_cpu"]}
    held = f"peak {ours['peak_mb']:.0f} MB, {held} {case.memory_limit_mb} + {INTERPRETER_MB} MB"
    rows = {
        "compile": (compiled, f"peak {compiled['peak_mb']:.0f} MB"),
        "session": (session, ""),
        "all noise": (ours, f"{held}; error {theirs['error']:.3f} of the output"),
        "onnxruntime": (theirs, f"peak {theirs['peak_mb']:.0f} MB"),
    }
    size = f"{compiled['parameters']:,.0f} parameters, {compiled['tiles']:,.0f} tiles"
    lines = [
        f"{name}: {size}, {compiled['share']:.1%} of MACs on the mesh",
        f"  {'':<12}{'clock, s':>10}{'processor, s':>14}",
    ]
    lines += [
        f"  {what:<12}{times['clock']:10.1f}{times['cpu']:14.1f}  {more}"
        for what, (times, more) in rows.items()
    ]
    clock, cpu = (ours[kind] / theirs[kind] for kind in ("clock", "cpu"))
    return "\n".join([*lines, f"  {'ratio':<12}{clock:10.2f}{cpu:14.2f}"])


def warm_up(case: Case, folder: Path) -> dict[str, float]:
    """Have all kernels compiled into the cache on disk, by a network of the same kind, small."""
    del folder
    model = vit(width=64, heads=2, layers=1)
    x = image(CASES["vit"])
    program = photonpu.compile(model, calibration=x, activation_products=case.activation_products)
    photonpu.Session(program, memory_limit_mb=case.memory_limit_mb).run(None, {"x": x})
    return {}


def export(case: Case, folder: Path) -> dict[str, float]:
    """Leave the network in the folder."""
    import onnx

    onnx.save(case.build(), folder / "model.onnx")
    return {}


def compiling(case: Case, folder: Path) -> dict[str, float]:
    """Compile, and leave the program in the folder."""
    sample = image(case)
    begin = now()
    program = photonpu.compile(
        folder / "model.onnx", calibration=sample, activation_products=case.activation_products
    )
    took = since(begin)
    program.save(folder / "program.ppu")
    macs = sum(step.macs for step in program.mesh_steps)
    left = sum(operator.macs for step in program.host_steps for operator in step.operators)
    return {
        **took,
        "tiles": len(program.tiles),
        "parameters": program.parameters,
        "share": macs / (macs + left),
        "peak_mb": peak_mb(),
    }


def ours(case: Case, folder: Path) -> dict[str, float]:
    """Run the program on one chip, below the ceiling."""
    program = photonpu.Program.load(folder / "program.ppu")
    begin = now()
    session = photonpu.Session(program, memory_limit_mb=case.memory_limit_mb)
    made, begin = since(begin), now()
    (y, *_) = session.run(None, {program.inputs[0].name: image(case)})
    found = {
        **since(begin),
        "session_clock": made["clock"],
        "session_cpu": made["cpu"],
        "peak_mb": peak_mb(),
    }
    np.save(folder / "noisy.npy", y)
    return found


def theirs(case: Case, folder: Path) -> dict[str, float]:
    """Run onnxruntime in float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ[VARIABLES[0]])
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    feeds = {session.get_inputs()[0].name: image(case)}
    begin = now()
    (y, *_) = session.run(None, feeds)
    took, peak = since(begin), peak_mb()
    noisy = np.load(folder / "noisy.npy")
    error = np.sqrt(((noisy - y) ** 2).mean() / (y**2).mean())
    return {**took, "peak_mb": peak, "error": float(error)}


def now() -> dict[str, float]:
    """Return the time of the clock, and that of the processor on this process."""
    return {"clock": time.perf_counter(), "cpu": time.process_time()}


def since(begin: dict[str, float]) -> dict[str, float]:
    """Return both times since `begin`, s."""
    return {name: value - begin[name] for name, value in now().items()}


def image(case: Case) -> Floats:
    """Return the input."""
    return np.random.default_rng(SEED).standard_normal(case.shape, dtype=np.float32)


def peak_mb() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class Graph:
    """A graph that grows node by node, its weights drawn."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(SEED)

    def constant(self, value: NDArray[Any]) -> str:
        """Enter a constant and return its name."""
        from onnx import numpy_helper

        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def drawn(self, *shape: int, fan_in: int) -> str:
        """Enter a weight that keeps the size of what it multiplies."""
        normal = self.rng.standard_normal(shape, dtype=np.float32)
        return self.constant(normal / np.float32(np.sqrt(fan_in)))

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Enter a node and return its output."""
        from onnx import helper

        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def shaped(self, x: str, *sizes: int) -> str:
        """Enter a Reshape."""
        return self.add("Reshape", x, self.constant(np.array(sizes, np.int64)))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """Enter a product with a weight, and a bias."""
        product = self.add("MatMul", x, self.drawn(inputs, outputs, fan_in=inputs))
        return self.add("Add", product, self.drawn(outputs, fan_in=10_000))

    def model(self, shape: tuple[int, ...], output: str) -> onnx.ModelProto:
        """Return all as a model of the input ``x``."""
        from onnx import TensorProto, helper

        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "large", [x], [y], self.weights)
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


VOLUME = (1, 1, 256, 256, 256)
PHOTO = (1, 3, 224, 224)


def meshnet() -> onnx.ModelProto:
    """Build MeshNet (Fedorov et al., arXiv:1612.00940) as Brainchop has it: five channels."""
    graph, x, channels = Graph(), "x", 1
    for dilation in (1, 2, 4, 8, 16, 8, 4, 2, 1):
        weight = graph.drawn(5, channels, 3, 3, 3, fan_in=13 * channels)
        sizes = {"dilations": [dilation] * 3, "pads": [dilation] * 6}
        x, channels = graph.add("Relu", graph.add("Conv", x, weight, **sizes)), 5
    return graph.model(VOLUME, graph.add("Conv", x, graph.drawn(3, 5, 1, 1, 1, fan_in=5)))


def vit(width: int = 768, heads: int = 12, layers: int = 12, patch: int = 16) -> onnx.ModelProto:
    """Build ViT-B/16 (Dosovitskiy et al., arXiv:2010.11929), 1,000 classes."""
    graph, tokens = Graph(), (PHOTO[2] // patch) ** 2
    weight = graph.drawn(width, 3, patch, patch, fan_in=3 * patch**2)
    x = graph.add("Conv", "x", weight, strides=[patch, patch])
    x = graph.add("Transpose", graph.shaped(x, 1, width, tokens), perm=[0, 2, 1])
    x = graph.add("Concat", graph.drawn(1, 1, width, fan_in=1), x, axis=1)
    tokens += 1
    x = graph.add("Add", x, graph.drawn(1, tokens, width, fan_in=1))
    for _ in range(layers):
        x = graph.add("Add", x, attention(graph, norm(graph, x, width), tokens, width, heads))
        hidden = graph.linear(norm(graph, x, width), width, 4 * width)
        x = graph.add("Add", x, graph.linear(gelu(graph, hidden), 4 * width, width))
    first = graph.constant(np.array(0, np.int64))
    x = graph.add("Gather", norm(graph, x, width), first, axis=1)
    return graph.model(PHOTO, graph.linear(x, width, 1000))


def norm(graph: Graph, x: str, width: int) -> str:
    """Enter a layer normalisation."""
    one, zero = (graph.constant(np.full(width, value, np.float32)) for value in (1, 0))
    return graph.add("LayerNormalization", x, one, zero, epsilon=1e-6)


def gelu(graph: Graph, x: str) -> str:
    """Enter ``x (1 + erf(x / sqrt 2)) / 2``."""
    root, one, half = (graph.constant(np.array(v, np.float32)) for v in (np.sqrt(0.5), 1, 0.5))
    share = graph.add("Add", graph.add("Erf", graph.add("Mul", x, root)), one)
    return graph.add("Mul", graph.add("Mul", x, share), half)


def attention(graph: Graph, x: str, tokens: int, width: int, heads: int) -> str:
    """Enter self-attention of so many heads, with the product after it."""
    each = width // heads
    query, key, value = (
        graph.shaped(graph.linear(x, width, width), 1, tokens, heads, each) for _ in range(3)
    )
    query, value = (graph.add("Transpose", part, perm=[0, 2, 1, 3]) for part in (query, value))
    key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
    scale = graph.constant(np.array(each**-0.5, np.float32))
    scores = graph.add("Mul", graph.add("MatMul", query, key), scale)
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    mixed = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.linear(graph.shaped(mixed, 1, tokens, width), width, width)


CASES = {
    "unet": Case(
        lambda: zoo.build("buda-unet", features=64, height=512, width=512), (1, 3, 512, 512), 2000
    ),
    "meshnet": Case(meshnet, VOLUME, 1500),
    "vit": Case(vit, PHOTO, 3000),
    "vit, all on the mesh": Case(vit, PHOTO, 3000, activation_products="mesh"),
}
JOBS: dict[str, Callable[[Case, Path], dict[str, float]]] = {
    "warm up": warm_up,
    "export": export,
    "compile": compiling,
    "photonpu": ours,
    "onnxruntime": theirs,
}

if __name__ == "__main__":
    main()
