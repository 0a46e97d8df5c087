"""One noisy convolution against other simulators of analogue hardware, side by side in one run.

A 3x3 layer of 64 channels to 64, one image of 64x64, one thread, CPU time. What each package
models differs and is printed below its time; where it has no noise of a sample it stands beside
photonpu without. A package that is missing, or fails, is named and left out
(``pip install aihwkit analogvnn torchonn``; CrossSim comes from Sandia's repository). Not part of
``make bench``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import photonpu

Floats = NDArray[np.float32]
Run = Callable[[], Floats]
Build = Callable[[Floats, Floats], Run]
"""Takes the weight (64, 64, 3, 3) and the image (1, 64, 64, 64); returns what runs the layer."""

PORTS, CHANNELS, SIDE, KERNEL = 64, 64, 64, 3
BITS = 8
SLOW_S = 2.0  # what takes longer runs once
FLOAT = "onnxruntime, float32"
OURS: dict[str, str | frozenset[str]] = {
    "photonpu, all noise": "full",
    "photonpu, errors of a chip": frozenset(
        {"splitter", "phase", "loss", "dac", "crosstalk", "input_dac", "adc"}
    ),
}
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Peer:
    """One way of another package to simulate the layer."""

    models: str
    build: Build
    beside: str = "photonpu, all noise"  # what it is compared with
    goal: str = ""


def main() -> None:
    """Measure in a process that has one thread, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments.rounds)))
        return
    allowed = sorted(os.sched_getaffinity(0))[:1]
    done = subprocess.run(
        [sys.executable, __file__, "--worker", "--rounds", str(arguments.rounds)],
        env=os.environ | dict.fromkeys(VARIABLES, "1"),
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    print(report(json.loads(done.stdout.splitlines()[-1])))


def measure(rounds: int) -> dict[str, Any]:
    """Return seconds and relative errors by contestant, and why the others take no part."""
    rng = np.random.default_rng(0)
    shape = CHANNELS, CHANNELS, KERNEL, KERNEL
    weight: Floats = rng.normal(0, 1 / 24, shape).astype(np.float32)  # 1 / sqrt(64 * 3 * 3)
    image = rng.normal(0, 0.3, (1, CHANNELS, SIDE, SIDE)).clip(-1, 1).astype(np.float32)
    runs: dict[str, Run] = {FLOAT: onnxruntime(weight, image)}
    for name, noise in OURS.items():
        runs[name] = ours(weight, image, noise)
    missing: dict[str, str] = {}
    for name, peer in PEERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run = peer.build(weight, image)
                run()
        except Exception as error:  # a package that is missing, or does not work with its others
            missing[name] = str(error).strip().split("\n")[-1] or type(error).__name__
        else:
            runs[name] = run
    exact = runs[FLOAT]()
    errors = {name: relative(run(), exact) for name, run in runs.items()}
    return {"seconds": take_turns(runs, rounds), "error": errors, "missing": missing}


def relative(found: Floats, exact: Floats) -> float:
    """Return the root mean square error relative to that of the exact output."""
    return float(np.sqrt(((found - exact) ** 2).mean() / (exact**2).mean()))


def take_turns(runs: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Return the median CPU time of each; what is slow runs once, what is fast ten times a turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in runs.items():
            if turn and times[name][0] > SLOW_S:
                continue
            repeats = 10 if turn and times[name][0] < SLOW_S / 20 else 1
            begin = time.process_time()
            for _ in range(repeats):
                run()
            times[name].append((time.process_time() - begin) / repeats)
    return {name: statistics.median(values) for name, values in times.items()}


def report(found: Mapping[str, Any]) -> str:
    """Return the figures as text."""
    seconds, error = found["seconds"], found["error"]
    lines = [f"{'':<28}{'ms':>10}{'/ onnxruntime':>15}{'/ photonpu':>12}  relative error"]
    for name, value in seconds.items():
        peer = PEERS.get(name)
        against = f"{value / seconds[peer.beside]:.2f}" if peer else ""
        lines.append(
            f"{name:<28}{1e3 * value:10.2f}{value / seconds[FLOAT]:15.2f}{against:>12}  "
            f"{error[name]:.3f}"
        )
        if peer:
            goal = f"; goal {peer.goal}" if peer.goal else ""
            lines.append(f"    {peer.models}; beside '{peer.beside}'{goal}")
    lines += [f"{name:<28} takes no part: {why}" for name, why in found["missing"].items()]
    return "\n".join(lines)


def onnx_layer(weight: Floats) -> Any:
    """Return the layer as an ONNX model."""
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    shape = [1, CHANNELS, SIDE, SIDE]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([node], "layer", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def onnxruntime(weight: Floats, image: Floats) -> Run:
    """Run in float32."""
    package = importlib.import_module("onnxruntime")
    options = package.SessionOptions()
    options.intra_op_num_threads = 1
    model = onnx_layer(weight).SerializeToString()
    session = package.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"x": image})[0])


def ours(weight: Floats, image: Floats, noise: str | frozenset[str]) -> Run:
    """Run on a chip of the default machine."""
    program = photonpu.compile(onnx_layer(weight), calibration=image)
    session = photonpu.Session(program, noise=noise)
    return lambda: np.asarray(session.run(None, {"x": image})[0])


def torch_run(layer: Any, image: Floats) -> Run:
    """Run a layer of PyTorch without gradients."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    x = torch.from_numpy(image)

    def run() -> Floats:
        with torch.no_grad():
            return np.asarray(layer(x).detach().numpy(), np.float32)

    return run


def plain(weight: Floats) -> Any:
    """Return PyTorch's own layer with this weight."""
    torch = importlib.import_module("torch")
    layer = torch.nn.Conv2d(CHANNELS, CHANNELS, KERNEL, padding=1, bias=False)
    layer.weight.data = torch.from_numpy(weight.copy())
    return layer.eval()


def aihwkit(kind: str) -> Build:
    """Return how to simulate with IBM's aihwkit, on tiles of 64x64, its ranges fixed."""

    def build(weight: Floats, image: Floats) -> Run:
        enums = importlib.import_module("aihwkit.simulator.parameters.enums")
        convert = importlib.import_module("aihwkit.nn.conversion").convert_to_analog
        config = getattr(importlib.import_module("aihwkit.simulator.configs"), kind)()
        config.mapping.max_input_size = config.mapping.max_output_size = PORTS
        config.mapping.weight_scaling_omega = 1.0
        config.forward.bound_management = enums.BoundManagementType.NONE
        config.forward.noise_management = enums.NoiseManagementType.NONE
        config.forward.inp_res = config.forward.out_res = 1 / (2**BITS - 2)
        config.forward.out_bound, config.forward.out_noise = 4.0, 0.01
        return torch_run(convert(plain(weight), config).eval(), image)

    return build


def cross_sim(device: Mapping[str, Any]) -> Build:
    """Return how to simulate with CrossSim, on tiles of 64 rows, with some errors of devices."""

    def build(weight: Floats, image: Floats) -> Run:
        package = importlib.import_module("simulator")
        convert = importlib.import_module("simulator.algorithms.dnn.torch.convert").from_torch
        parameters = package.CrossSimParameters()
        parameters.core.rows_max = parameters.core.cols_max = PORTS
        parameters.core.mapping.inputs.mvm.min = -1.0
        parameters.core.mapping.inputs.mvm.max = 1.0
        parameters.xbar.device.infinite_on_off_ratio = True
        for kind, model in device.items():
            error = getattr(parameters.xbar.device, kind)
            error.enable, error.model, error.magnitude = True, model, 0.01
        parameters.xbar.dac.mvm.model, parameters.xbar.dac.mvm.bits = "QuantizerDAC", BITS
        parameters.xbar.adc.mvm.model, parameters.xbar.adc.mvm.bits = "QuantizerADC", BITS
        parameters.xbar.adc.mvm.calibrated_range = [-4.0, 4.0]
        return torch_run(convert(plain(weight), parameters).eval(), image)

    return build


def analog_vnn(weight: Floats, image: Floats) -> Run:
    """Simulate with AnalogVNN, whose layers round and disturb what goes into PyTorch's own."""
    torch = importlib.import_module("torch")
    rounding = importlib.import_module("analogvnn.nn.precision.ReducePrecision").ReducePrecision
    noise = importlib.import_module("analogvnn.nn.noise.GaussianNoise").GaussianNoise
    normal = noise(std=0.01, precision=2**BITS)
    levels = 2 ** (BITS - 1) - 1
    convolution = plain(weight)
    layers = [rounding(levels), normal, convolution, normal, rounding(levels)]
    return torch_run(torch.nn.Sequential(*layers).eval(), image)


def torch_onn(weight: Floats, image: Floats) -> Run:
    """Simulate with TorchONN, whose weight is built anew from noisy phases in each run.

    On a CPU it looks names up in its CUDA extension although it does not call them.
    """
    torch = importlib.import_module("torch")
    meshes = importlib.import_module("torchonn.op.matrix_parametrization")
    absent = type("Absent", (), {"__getattr__": lambda *_: None})()
    vars(meshes).setdefault("matrix_parametrization_cuda", absent)
    layer = importlib.import_module("torchonn.layers").MZIBlockConv2d(
        CHANNELS, CHANNELS, KERNEL, padding=1, bias=False, miniblock=PORTS, mode="usv",
        in_bit=BITS, w_bit=BITS, decompose_alg="clements",
    )  # fmt: skip
    tiles = weight.reshape(CHANNELS, -1).reshape(CHANNELS // PORTS, PORTS, -1, PORTS)
    factors = np.linalg.svd(tiles.transpose(0, 2, 1, 3).copy())
    for name, value in zip("USV", factors, strict=True):
        parameter = getattr(layer, name).data
        parameter.copy_(torch.from_numpy(value).reshape(parameter.shape))
    layer.switch_mode_to("phase")
    layer.sync_parameters("usv")
    layer.set_gamma_noise(0.002)
    layer.train()(torch.from_numpy(image))  # finds the ranges of its quantisers
    return torch_run(layer.eval(), image)


NORMAL, EACH_TILE = "NormalIndependentDevice", "5 or more"
PEERS = {
    "aihwkit": Peer(
        "input DAC; Gaussian noise and ADC of each output of each 64x64 tile, in C++",
        aihwkit("InferenceRPUConfig"),
        goal=EACH_TILE,
    ),
    "aihwkit, PyTorch": Peer(
        "the same, in PyTorch", aihwkit("TorchInferenceRPUConfig"), goal=EACH_TILE
    ),
    "CrossSim, static errors": Peer(
        "input DAC; errors of devices, drawn once; ADC of each tile of 64 rows",
        cross_sim({"programming_error": NORMAL}),
        beside="photonpu, errors of a chip",
        goal=EACH_TILE,
    ),
    "CrossSim, read noise": Peer(
        "the same with the devices' noise, drawn anew for each vector",
        cross_sim({"read_noise": NORMAL}),
        goal=EACH_TILE,
    ),
    "AnalogVNN": Peer(
        "rounding and Gaussian noise of inputs and outputs of the whole layer; no tiles",
        analog_vnn,
    ),
    "TorchONN": Peer(
        "rounded inputs, noisy phases of 64-port meshes; no detector noise, no ADC of a tile",
        torch_onn,
    ),
}


if __name__ == "__main__":
    main()
