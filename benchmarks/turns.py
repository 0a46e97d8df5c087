"""Contestants that take turns, in processes that have a number of threads each.

A script starts itself once for each number of threads, so that every library is held to it; each
process waits for the names of its contestants (`answer`), and one at a time runs (`take_turns`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Contestants = Mapping[str, Callable[[], object]]
Worker = subprocess.Popen[str]

_NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Medians(NamedTuple):
    """Seconds by contestant: of the process's CPU time, and by the clock on the wall.

    Other load on the machine hardly touches CPU time, which says nothing of several threads.
    """

    cpu: dict[str, float]
    clock: dict[str, float]

    def told(self, threads: int) -> dict[str, float]:
        """Return those that count against other packages: CPU time with one thread."""
        return self.cpu if threads == 1 else self.clock


def start(threads: int, options: Sequence[str]) -> Worker:
    """Start the script anew with these options, in a process of so many threads."""
    allowed = sorted(os.sched_getaffinity(0))[:threads]
    return subprocess.Popen(
        [sys.executable, sys.argv[0], *options],
        env=os.environ | dict.fromkeys(_NAMES, str(threads)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )


def told(worker: Worker) -> Any:
    """Return what a process says next: first its facts."""
    line = worker.stdout.readline() if worker.stdout else ""
    if not line:
        raise SystemExit(f"a process of the benchmark ended with {worker.wait()}")
    return json.loads(line)


def answer(contestants: Contestants, facts: Mapping[str, Any]) -> None:
    """Say the facts, then run each contestant whose name is read and say how long it took."""
    for run in contestants.values():  # to warm up
        run()
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        clock, cpu = time.perf_counter(), time.process_time()
        made = contestants[line.rstrip("\n")]()
        print(json.dumps((time.process_time() - cpu, time.perf_counter() - clock)), flush=True)
        del made  # to let go of it is not what is timed


def take_turns(
    workers: Sequence[Worker],
    contestants: Sequence[str],
    rounds: int,
    *,
    twice: Sequence[str] = (),
    pause_s: float = 0.0,
) -> list[Medians]:
    """Let every contestant of every process run in turns, then end the processes.

    Parameters
    ----------
    workers
        Processes that said their facts.
    contestants
        Names that all of them know.
    rounds
        Turns of each.
    twice
        Names of those that run twice in each turn.
    pause_s
        Before each run, seconds.
    """
    seconds: list[dict[str, list[Any]]] = [{name: [] for name in contestants} for _ in workers]
    for _ in range(rounds):
        for name in contestants:
            for _ in range(2 if name in twice else 1):
                for worker, found in zip(workers, seconds, strict=True):
                    time.sleep(pause_s)
                    print(name, file=worker.stdin, flush=True)
                    found[name].append(told(worker))
    for worker in workers:
        worker.communicate()  # the end of its input is its end
    return [
        Medians(
            *(
                {name: statistics.median(run[kind] for run in runs) for name, runs in found.items()}
                for kind in range(2)
            )
        )
        for found in seconds
    ]
