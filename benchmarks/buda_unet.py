"""The Buda U-Net against onnxruntime: compile, one chip and inference, as ratios in one run.

For each number of threads a process of its own is started, so that every library in it is held to
that number; inside it the contestants take turns, and medians are compared. With one thread it is
the process's CPU time that counts, which other load on the machine does not touch; with more it is
the clock on the wall, and the machine should be idle. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

import photonpu
from photonpu import mesh
from photonpu.models import zoo
from photonpu.program.tiles import singular_values
from photonpu.simulator import engine

Seconds = dict[str, float]

# Name, what it is divided by, and the project's goal for the ratio.
RATIOS = (
    ("compile", "svd", "1.25"),
    ("  factoring", "svd", "-"),
    ("  phases", "svd", "-"),
    ("chip", "onnxruntime", "1.2"),
    ("ideal", "onnxruntime", "-"),
    ("quantised", "onnxruntime", "1.3"),
    ("full", "onnxruntime", "2.6 (4 without a vector type)"),
    ("  fast", "onnxruntime", "2.0"),
    ("  merged", "onnxruntime", "1.4"),
)
# Of a machine of 16 ports, which takes four times as many samples.
GOALS_16 = {"quantised": "2.0", "full": "5"}
SCALED = ("compile", "chip", "quantised", "full")
PAUSE_S = 0.5


def main() -> None:
    """Measure with each number of threads, and print one table."""
    arguments = parse()
    if arguments.worker:
        print(json.dumps(measure(arguments)))
        return
    results = {threads: run_worker(threads, arguments) for threads in arguments.threads}
    for threads, result in results.items():
        print(report(threads, result["seconds"], arguments.ports))
        print("  " + ", ".join(f"{key} {value:,}" for key, value in result["facts"].items()))
    if {1, 2} <= set(results):
        one, two = results[1]["seconds"], results[2]["seconds"]
        print("\n2 threads against 1 (goal 1.7 or more)")
        for name in SCALED:
            print(f"  {name:<12}{one[name] / two[name]:8.2f}x")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=256, help="sides of the image, pixels")
    parser.add_argument("--features", type=int, default=32, help="channels of the first level")
    parser.add_argument("--ports", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each slow contestant")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_worker(threads: int, arguments: argparse.Namespace) -> dict[str, Seconds]:
    """Run `measure` in a process that has `threads` threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    command = [sys.executable, __file__, "--worker", "--threads", str(threads)]
    for name in ("size", "features", "ports", "rounds"):
        command += [f"--{name}", str(getattr(arguments, name))]
    environment = os.environ | dict.fromkeys(names, str(threads))
    allowed = sorted(os.sched_getaffinity(0))[:threads]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    return dict(json.loads(done.stdout))


def measure(arguments: argparse.Namespace) -> dict[str, Mapping[str, float]]:
    """Time every contestant in turns; the process has its number of threads already."""
    import onnxruntime

    size, (threads,) = arguments.size, arguments.threads
    model = zoo.build("buda-unet", height=size, width=size, features=arguments.features)
    image = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
    machine = photonpu.Machine.preset("mzi64-eo").override({"mesh.ports": arguments.ports})

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    runtime = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    program = photonpu.compile(model, machine, calibration=image)
    tiles = tile_matrices(program)
    sessions = {
        noise: photonpu.Session(program, noise=noise) for noise in ("ideal", "quantised", "full")
    }
    for sampling in ("fast", "merged"):
        sessions[f"  {sampling}"] = photonpu.Session(
            program, noise="full", sampling=sampling, hosts=sessions["full"].hosts
        )

    def runs(noise: str) -> Callable[[], object]:
        return lambda: sessions[noise].run(None, {"image": image})

    def chip() -> object:  # drawn, its matrices made and packed; digital segments stay loaded
        return photonpu.Session(program, noise="full", chip=1, hosts=sessions["full"].hosts)

    factors = singular_values(tiles)[0].reshape(-1, *tiles.shape[1:])
    contestants: dict[str, Callable[[], object]] = {
        "onnxruntime": lambda: runtime.run(None, {"image": image}),
        "svd": lambda: np.linalg.svd(tiles),
        "compile": lambda: photonpu.compile(model, machine, calibration=image),
        "  factoring": lambda: singular_values(tiles),
        "  phases": lambda: mesh.decompose(factors, machine.mesh.topology),
        "chip": chip,
        **{noise: runs(noise) for noise in sessions},
    }
    facts = {
        "threads": threads,
        "MACs": sum(step.macs for step in program.photonic_steps),
        "tiles": len(program.tiles),
        "constants in the model": program.parameters,
        "ADC samples": adc_samples(program),
    }
    clock = time.process_time if threads == 1 else time.perf_counter
    return {"seconds": take_turns(contestants, arguments.rounds, clock), "facts": facts}


def tile_matrices(program: photonpu.Program) -> NDArray[np.float64]:
    """Return the tiles of a program as matrices, for the factorisation to compare with."""
    chip = photonpu.Chip.ideal(program.machine)
    return engine.tile_matrices(program, program.machine, chip, frozenset())


def adc_samples(program: photonpu.Program) -> int:
    """Count the ADC samples of one image."""
    return sum(
        vectors * int(program.tiles.rows[first:last].sum())
        for step in program.photonic_steps
        for vectors, (first, last) in zip(step.vectors, step.tiles, strict=True)
    )


def take_turns(
    contestants: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> Seconds:
    """Run all contestants once to warm up, then in turns; return the median of each.

    Before each turn there is a pause, for onnxruntime's threads spin on for a while after a run.
    """
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            # What is quick is repeated within its turn, five times and more in all.
            for _ in range(2 if name in ("onnxruntime", "svd") else 1):
                time.sleep(PAUSE_S)
                begin = clock()
                run()
                times[name].append(clock() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def report(threads: int, seconds: Seconds, ports: int) -> str:
    """Return the ratios of one number of threads as text."""
    clock = "clock on the wall" if threads > 1 else "CPU time"
    lines = [f"\n{threads} thread{'s' if threads > 1 else ''}, {clock}"]
    lines += [f"  {name:<12}{seconds[name]:9.3f} s" for name in ("onnxruntime", "svd")]
    for name, reference, goal in RATIOS:
        if ports != 64:
            goal = GOALS_16.get(name, "-") if ports == 16 else "-"
        ratio = seconds[name] / seconds[reference]
        lines.append(
            f"  {name:<12}{seconds[name]:9.3f} s {ratio:9.2f} x {reference:<12} goal {goal}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
