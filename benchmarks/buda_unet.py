"""The Buda U-Net against onnxruntime: compile, one chip and inference, as ratios in one run.

For each number of threads there is a process of its own, so that every library in it is held to
that number. All contestants of all processes take turns, one at a time, and medians are compared.
Against other packages it is the process's CPU time that counts with one thread, which other load on
the machine does not touch, and the clock on the wall with more; one number of threads against
another it is the clock, and onnxruntime tells what the machine gives. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import turns
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
SCALED = ("onnxruntime", "compile", "chip", "quantised", "full")
REPEATED = ("onnxruntime", "svd")  # what others are divided by: twice in each turn
PAUSE_S = 0.5  # for onnxruntime's threads spin on for a while after a run


def main() -> None:
    """Measure with each number of threads, and print one table."""
    arguments = parse()
    if arguments.worker:
        turns.answer(*prepare(arguments))
        return
    options = [f"--{name}={getattr(arguments, name)}" for name in ("size", "features", "ports")]
    workers = [
        turns.start(threads, ["--worker", f"--threads={threads}", *options])
        for threads in arguments.threads
    ]
    facts = [turns.told(worker) for worker in workers]
    names, rounds = facts[0].pop("contestants"), arguments.rounds
    found = turns.take_turns(workers, names, rounds, twice=REPEATED, pause_s=PAUSE_S)
    for threads, medians in zip(arguments.threads, found, strict=True):
        print(report(threads, medians.told(threads), arguments.ports))
    print("\n" + ", ".join(f"{key} {value:,}" for key, value in facts[0].items()))
    if {1, 2} <= set(arguments.threads):
        one, two = (found[arguments.threads.index(threads)].clock for threads in (1, 2))
        print("\n2 threads against 1, clock on the wall (goal 1.7 or more)")
        for name in SCALED:
            print(f"  {name:<12}{one[name] / two[name]:8.2f}x")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=256, help="sides of the image, pixels")
    parser.add_argument("--features", type=int, default=32, help="channels of the first level")
    parser.add_argument("--ports", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(arguments: argparse.Namespace) -> tuple[turns.Contestants, dict[str, Any]]:
    """Return what is timed, and facts; the process has its number of threads already."""
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
    facts: dict[str, Any] = {
        "contestants": list(contestants),
        "MACs": sum(step.macs for step in program.photonic_steps),
        "tiles": len(program.tiles),
        "constants in the model": program.parameters,
        "ADC samples": adc_samples(program),
    }
    return contestants, facts


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
