"""Matrices to phases: against public decompositions and LAPACK, side by side in one run.

``interferometer``, Strawberry Fields, Perceval and TorchONN take part where they are installed;
what is missing is said. For each number of threads there is a process of its own, so that every
library in it is held to that number, and all take turns; other packages are compared with one
thread. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import turns
from numpy.typing import NDArray

import photonpu
from photonpu import mesh
from photonpu.models import zoo
from photonpu.program.cutting import Block
from photonpu.program.tiles import bank_all
from photonpu.simulator import engine

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]

TOPOLOGY = "clements"
GROWTH = (16, 4, 1)  # the network's tiles are divided by these
SLOW_PORTS = 8  # for those that take minutes at 64
REPEATS = 10  # of ours in a turn: theirs take longer than that
LONG_S = 10.0  # after which a package has no further turn
TOGETHER = 256  # matrices in a batch of ours, and of those that take batches
# What is timed, what it is divided by, and the project's goal for the ratio.
RATIOS = (
    ("phases of a complex unitary", "np.linalg.svd", "-"),
    ("phases of a real unitary", "np.linalg.svd", "-"),
    ("singular values, U and V", "np.linalg.svd", "below 1"),
    ("tile to phases, all of it", "np.linalg.svd", "1.25"),
)
PAUSE_S = 0.2  # for threads of BLAS spin on for a while after a run
SCALED = ("singular values", "phases of", "tile to phases", "network")


def main() -> None:
    """Measure with each number of threads, and print one table."""
    arguments = parse()
    if arguments.worker == "compare":
        with contextlib.redirect_stdout(sys.stderr):  # packages may have something to say
            lines = compare(arguments)
        print(json.dumps(lines))
        return
    if arguments.worker:
        turns.answer(*prepare(arguments))
        return
    workers = [start("measure", threads, arguments) for threads in arguments.threads]
    facts = [turns.told(worker) for worker in workers]
    counts = facts[0]["matrices"]
    medians = turns.take_turns(workers, list(counts), arguments.rounds, pause_s=PAUSE_S)
    for threads, fact, found in zip(arguments.threads, facts, medians, strict=True):
        seconds = found.told(threads)
        each_us = {name: seconds[name] / count * 1e6 for name, count in counts.items()}
        print(report(threads, each_us, fact["error"]))
    if {1, 2} <= set(arguments.threads):
        one, two = (medians[arguments.threads.index(threads)].clock for threads in (1, 2))
        print("\n2 threads against 1, clock on the wall (goal 1.7 or more)")
        for name in [name for name in counts if name.startswith(SCALED)]:
            print(f"  {name:<30}{one[name] / two[name]:8.2f}x")
    print(turns.told(start("compare", 1, arguments)))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ports", type=int, default=64)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument(
        "--features", type=int, default=32, help="channels of the U-Net's first level"
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant")
    parser.add_argument("--worker", choices=("measure", "compare"), help=argparse.SUPPRESS)
    return parser.parse_args()


def start(worker: str, threads: int, arguments: argparse.Namespace) -> turns.Worker:
    """Start a process that has `threads` threads, to measure or to compare."""
    names = ("ports", "batch", "features", "rounds")
    options = [f"--{name}={getattr(arguments, name)}" for name in names]
    return turns.start(threads, [f"--worker={worker}", f"--threads={threads}", *options])


def prepare(arguments: argparse.Namespace) -> tuple[turns.Contestants, dict[str, Any]]:
    """Return what is timed, and facts; the process has its number of threads already."""
    ports, batch = arguments.ports, arguments.batch
    unitaries = mesh.haar(ports, batch, seed=0)
    gauss = np.random.default_rng(0).standard_normal((batch, ports, ports))
    orthogonals = np.linalg.qr(gauss)[0]
    tiles = network_tiles(ports, arguments.features)
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "np.linalg.svd": (batch, lambda: np.linalg.svd(gauss)),
        "singular values, U and V": (batch, lambda: mesh.factor(gauss)),
        "phases of a complex unitary": (batch, lambda: mesh.decompose(unitaries, TOPOLOGY)),
        "phases of a real unitary": (batch, lambda: mesh.decompose(orthogonals, TOPOLOGY)),
        "one complex unitary alone": (1, lambda: mesh.decompose(unitaries[:1], TOPOLOGY)),
        "one real unitary alone": (1, lambda: mesh.decompose(orthogonals[:1], TOPOLOGY)),
        "tile to phases, all of it": (batch, lambda: phases_of(gauss)),
    }
    for share in GROWTH:
        part = tiles[: max(1, len(tiles) // share)]
        contestants[f"network, {len(part)} tiles"] = (len(part), partial(phases_of, part))
    back = mesh.matrix(mesh.decompose(unitaries, TOPOLOGY), TOPOLOGY)
    real_back = mesh.matrix(mesh.decompose(orthogonals, TOPOLOGY), TOPOLOGY)
    facts = {
        "matrices": {name: count for name, (count, _) in contestants.items()},
        "error": {
            "complex": float(np.abs(back - unitaries).max()),
            "real": float(np.abs(real_back - orthogonals).max()),
        },
    }
    return {name: run for name, (_, run) in contestants.items()}, facts


def network_tiles(ports: int, features: int) -> Floats:
    """Return the tiles of the Buda U-Net, 7.76 million parameters at 32 features."""
    model = zoo.build("buda-unet", height=32, width=32, features=features)
    machine = photonpu.Machine.preset("mzi64-eo").override({"mesh.ports": ports})
    image = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    program = photonpu.compile(model, machine, calibration=image)
    chip = photonpu.Chip.ideal(machine)
    return engine.tile_matrices(program, machine, chip, frozenset())


def phases_of(tiles: Floats) -> object:
    """Turn tiles into phases and attenuations, as the compiler does."""
    ports = tiles.shape[1]
    places = tuple(Block(0, 0, ports, ports) for _ in tiles)
    return bank_all([(places, tiles)], ports, TOPOLOGY, cores=1)


def report(threads: int, each: Mapping[str, float], error: Mapping[str, float]) -> str:
    """Return the figures of one number of threads as text."""
    clock = "clock on the wall" if threads > 1 else "CPU time"
    lines = [f"\n{threads} thread{'s' if threads > 1 else ''}, {clock}, us a matrix"]
    goals = {name: (reference, goal) for name, reference, goal in RATIOS}
    for name, value in each.items():
        line = f"  {name:<30}{value:10.1f}"
        if name in goals:
            reference, goal = goals[name]
            line += f" {value / each[reference]:8.2f} x {reference}, goal {goal}"
        elif name.startswith("network"):
            line += f" {1e6 / value:10.0f} tiles a second, singular values included"
        lines.append(line)
    lines.append(f"  U -> phases -> U within {error['complex']:.1e}, real {error['real']:.1e}")
    return "\n".join(lines)


def compare(arguments: argparse.Namespace) -> str:
    """Return the times of public packages beside ours, medians of turns."""
    lines = [f"\nother packages, CPU time of one matrix; ours in a batch of {TOGETHER} beside it"]
    for name, goal, matrices, run in others(arguments.ports):
        mesh.decompose(matrices, TOPOLOGY)
        ours: list[float] = []
        theirs: list[float] = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(matrices)  # some compile when they are first called
                while len(theirs) < arguments.rounds and sum(theirs) < LONG_S:
                    for _ in range(REPEATS):
                        ours.append(timed(partial(mesh.decompose, matrices, TOPOLOGY))[0])
                    seconds, (count, back) = timed(partial(run, matrices))
                    theirs.append(seconds)
                wrong = np.abs(back() - matrices[:count]).max()
        except Exception as error:  # a package that is missing, or does not work with its others
            lines.append(f"  {name:<18} takes no part: {error}")
            continue
        each, mine = statistics.median(theirs) / count, statistics.median(ours) / len(matrices)
        lines.append(
            f"  {name:<18}{matrices.shape[1]:4d} ports {each * 1e6:12.0f} us, ours "
            f"{mine * 1e6:8.1f} us: {each / mine:10.0f} x, goal {goal}; error {wrong:.1e}"
        )
    return "\n".join(lines)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time that something takes, and what it gives."""
    begin = time.process_time()
    result = run()
    return time.process_time() - begin, result


#: Decomposes some or all of the matrices; returns how many, and what builds them again.
Run = Callable[[Any], tuple[int, Callable[[], Any]]]


def others(ports: int) -> Iterable[tuple[str, str, NDArray[Any], Run]]:
    """Yield names, goals for the ratio, matrices, and what decomposes them."""
    unitaries = mesh.haar(ports, TOGETHER, seed=1)
    drawn = np.random.default_rng(1).standard_normal((TOGETHER, ports, ports))
    orthogonals = np.linalg.qr(drawn)[0]
    yield "interferometer", "-", unitaries, first(interferometer)
    yield "  the same, real", "5,000", orthogonals, first(interferometer)
    yield "Strawberry Fields", "-", unitaries, first(strawberry_fields)
    yield "Perceval", "-", mesh.haar(min(ports, SLOW_PORTS), TOGETHER, seed=1), first(perceval)
    yield "TorchONN", "50", orthogonals, torch_onn


def first(run: Callable[[Complexes], Callable[[], Complexes]]) -> Run:
    """Return what decomposes the first matrix alone."""
    return lambda matrices: (1, run(matrices[0]))


def torch_onn(orthogonals: Floats) -> tuple[int, Callable[[], Floats]]:
    """Decompose a batch of real matrices with TorchONN (pip install torchonn), in NumPy."""
    package = importlib.import_module("torchonn.op.matrix_parametrization")
    decomposer = package.RealUnitaryDecomposerBatch(alg="clements")
    found = decomposer.decompose_clements_batch(orthogonals.copy())
    return len(orthogonals), lambda: np.asarray(decomposer.reconstruct_clements_batch(*found))


def interferometer(unitary: Complexes) -> Callable[[], Complexes]:
    """Decompose with ``interferometer`` (pip install interferometer)."""
    package = importlib.import_module("interferometer")
    found = package.square_decomposition(unitary)
    return lambda: np.asarray(found.calculate_transformation())


def strawberry_fields(unitary: Complexes) -> Callable[[], Complexes]:
    """Decompose with Strawberry Fields (pip install strawberryfields)."""
    package = importlib.import_module("strawberryfields.decompositions")
    before, diagonal, after = package.rectangular(unitary)

    def back() -> Complexes:
        product = np.eye(len(unitary), dtype=np.complex128)
        for turn in before:
            product = package.T(*turn) @ product
        product = np.diag(diagonal) @ product
        for turn in reversed(after):
            product = package.Ti(*turn) @ product
        return product

    return back


def perceval(unitary: Complexes) -> Callable[[], Complexes]:
    """Decompose with Perceval (pip install perceval-quandela), which optimises numerically."""
    package = importlib.import_module("perceval")
    block = (
        package.BS()
        // (0, package.PS(phi=package.P("a")))
        // package.BS()
        // (0, package.PS(phi=package.P("b")))
    )
    circuit = package.Circuit.decomposition(
        package.Matrix(unitary),
        block,
        phase_shifter_fn=package.PS,
        shape=package.InterferometerShape.TRIANGLE,
    )
    return lambda: np.asarray(circuit.compute_unitary())


if __name__ == "__main__":
    main()
