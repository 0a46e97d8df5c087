"""Run the points of a grid: compile where the machine asks for it, measure, commit at once.

A point's id is the hash of all that affects its outcome, so a second run of the same sweep takes
what is in the store and goes on where the first one stopped.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from photonpu.errors import PhotonpuError, StorageError
from photonpu.hardware import Machine
from photonpu.program import Program
from photonpu.progress import progress
from photonpu.sweep.store import Store
from photonpu.sweep.study import Outcome, Point

# A program holds the phases of its tiles, so it is made for these; the rest is the machine's.
COMPILED_FOR = ("mesh.ports", "mesh.topology", "cores")
# Ranges of the least error are made for these, too.
RANGED_FOR = ("converters.adc_bits", "converters.adc_enob", "converters.input_bits")


@dataclass(frozen=True, slots=True)
class Work:
    """What is done for a point, as functions.

    Attributes
    ----------
    compile
        Makes the program for a machine; called at most once for each value of `compiled_for`.
    measure
        Finds the outcome of a program on a machine.
    subject
        All that affects the outcomes but the machine, by name; it goes into every id.
    compiled_for
        Keys of the machine that the program depends on.
    """

    compile: Callable[[Machine], Program]
    measure: Callable[[Program, Machine], Outcome]
    subject: Mapping[str, object]
    compiled_for: tuple[str, ...] = COMPILED_FOR


def run(
    settings: Sequence[Mapping[str, object]],
    base: Machine,
    work: Work,
    store: Store,
    *,
    quiet: bool = False,
) -> tuple[Point, ...]:
    """Return one point for each of `settings`, measuring those that `store` does not have.

    Points of one program follow one another, so that one program at a time is in memory.

    Parameters
    ----------
    settings
        What each point sets on the machine.
    base
        The machine that they are set on.
    work
        What is done for a point.
    store
        Where finished points are, and go.
    quiet
        Show no progress.

    Raises
    ------
    StorageError
        The store cannot be written. Finished points are in it.
    SweepError
        The store is damaged.
    """
    points: dict[int, Point] = {}
    groups: dict[tuple[object, ...], list[tuple[int, Machine]]] = {}
    for index, params in enumerate(settings):
        try:
            machine = base.override(params)
        except PhotonpuError as error:
            identity = _identity({**work.subject, "params": repr(params)})
            points[index] = Point(identity, params, Outcome(error=str(error)))
            continue
        made_for = tuple(machine.get(key) for key in work.compiled_for)
        groups.setdefault(made_for, []).append((index, machine))
    with progress("sweep", total=len(settings), quiet=quiet) as step:
        step(len(points))
        for group in groups.values():
            program: Program | PhotonpuError | None = None
            for index, machine in group:
                subject = {**work.subject, "machine": _numbers(machine)}
                identity = _identity(subject)
                outcome = store.get(identity)
                if outcome is None:
                    begin = time.perf_counter()
                    if program is None:
                        program = _attempt(work.compile, machine)
                    outcome = _outcome(work, program, machine)
                    store.put(identity, subject, outcome, time.perf_counter() - begin)
                points[index] = Point(identity, settings[index], outcome)
                step(1)
    return tuple(points[index] for index in range(len(settings)))


def _attempt(compile: Callable[[Machine], Program], machine: Machine) -> Program | PhotonpuError:
    """Return the program, or why there is none."""
    try:
        return compile(machine)
    except StorageError:
        raise
    except PhotonpuError as error:
        return error


def _outcome(work: Work, program: Program | PhotonpuError, machine: Machine) -> Outcome:
    """Return what is found, or an outcome with the reason why nothing is."""
    if isinstance(program, PhotonpuError):
        return Outcome(error=str(program))
    try:
        return work.measure(program, machine)
    except StorageError:
        raise
    except PhotonpuError as error:
        return Outcome(error=str(error))


def _numbers(machine: Machine) -> dict[str, object]:
    """Return all of a machine but what it is called."""
    return {
        key: value for key, value in machine.values().items() if key not in ("name", "description")
    }


def _identity(subject: Mapping[str, object]) -> str:
    """Return the hash of everything that affects an outcome."""
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()
