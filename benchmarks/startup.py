"""How long users wait before anything happens: ``import photonpu`` and ``photonpu --help``.

Each is a process of its own, and they take turns with one that does nothing, so that other load on
the machine meets all alike; medians are compared. The goal is 0.3 s. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import os
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
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append(run(command))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    nothing = medians["python -c pass"]
    print(f"start-up, medians of {rounds} turns (goal {GOAL_S} s)")
    for name, median in medians.items():
        print(f"  {name:<16}{median:8.3f} s{median / nothing:8.1f}x of python -c pass")


def run(command: tuple[str, ...]) -> float:
    """Return the time that a command takes on the clock, in s."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *command], env=environment, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
