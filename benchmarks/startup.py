"""How long users wait before anything happens: ``import photonpu`` and ``photonpu --help``.

Each is a process of its own, and they take turns with one that does nothing, so that other load on
the machine meets all alike; medians are compared. CPU time stands beside the clock's, since other
load stretches only the latter. The goal is 0.3 s on an idle machine. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 0.3
COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import photonpu": ("-c", "import photonpu"),
    "photonpu --help": ("-m", "photonpu", "--help"),
}


def main() -> None:
    """Measure in turns, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each command")
    rounds = parser.parse_args().rounds
    for command in COMMANDS.values():
        run(command)  # compiles the modules, and brings them into the file cache
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append(run(command))
    medians = {
        name: tuple(map(statistics.median, zip(*times, strict=True)))
        for name, times in taken.items()
    }
    nothing = medians["python -c pass"]
    print(f"start-up, medians of {rounds} turns (goal {GOAL_S} s on the clock)")
    for name, (clock, cpu) in medians.items():
        ratio = f"{clock / nothing[0]:6.1f}x of python -c pass"
        print(f"  {name:<16}{clock:8.3f} s{ratio}   CPU {cpu:6.3f} s{cpu / nothing[1]:6.1f}x")


def run(command: tuple[str, ...]) -> tuple[float, float]:
    """Return the time that a command takes on the clock and of the CPU, in s."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, check=True
    )
    clock = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock, cpu


if __name__ == "__main__":
    main()
