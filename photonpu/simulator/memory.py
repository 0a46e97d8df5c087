"""How much memory a session takes, told before it runs, and how to stay below a ceiling.

What counts is the program, what was made of it for one chip, and the tensors of a run: a tensor
lives from the step that gives it to the last that reads it, and a digital step may hold all that
its operators give at once. The interpreter and its libraries come on top: about 250 MB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from photonpu.errors import InputError
from photonpu.program import HostStep, PhotonicStep, Program, Step, Stream, TileBank
from photonpu.simulator import reprogram, slabs
from photonpu.simulator.flow import gives, last_reads

_MB = 1_000_000
_ARENA = 2  # onnxruntime's memory grows by powers of two
_SINGLE, _DOUBLE = 4, 8  # bytes
_SHARE = 0.75  # of the machine's memory that a session takes when nobody says more
_UNKNOWN_MB = 8000  # where the system does not tell its memory
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a session takes, bytes.

    Attributes
    ----------
    program
        The program and the matrices made of it, as long as the session lives.
    preparation
        On top of it, while it is prepared.
    sample
        Inputs and outputs of one sample.
    tensors
        On top of these, other tensors of one sample where a run holds most.
    fullest
        Name of the step at which it does.
    slab
        The least that the largest step takes to lay out its input.
    kept
        What digital steps keep of one sample from one run to the next, where they may.
    """

    program: int
    preparation: int
    sample: int
    tensors: int
    fullest: str
    slab: int
    kept: int

    def least(self, batch: int) -> int:
        """Return the least that a run of `batch` samples takes."""
        run = batch * self.sample + self.tensors + self.slab
        return self.program + max(self.preparation, run)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run stays below a ceiling.

    Attributes
    ----------
    together
        Samples that go through the network at once.
    scratch_bytes
        What a step may take to lay out its input.
    kept_bytes
        What of all this may stay for the next run.
    """

    together: int
    scratch_bytes: int
    kept_bytes: int = 0


def default_limit_mb() -> int:
    """Return three quarters of the memory that this machine, or its container, has, in MB."""
    import os

    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN_MB
    for path in _LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found = min(found, int(text))
    return int(_SHARE * found / _MB)


def needs(program: Program) -> Needs:
    """Return what running a program takes."""
    sizes = tensor_bytes(program)
    outside = {info.name for info in (*program.inputs, *program.outputs)}
    ports = program.machine.mesh.ports
    square = ports * ports
    largest = max((b - a for step in program.photonic_steps for a, b in step.tiles), default=0)
    tensors, fullest = _fullest(program, sizes, outside)
    return Needs(
        program=sum(getattr(program.tiles, field.name).nbytes for field in fields(TileBank))
        + _SINGLE * square * len(program.tiles)
        + sum(len(step.model) for step in program.host_steps)
        + sum(value.nbytes for step in program.host_steps for value in step.constants.values()),
        preparation=_DOUBLE * square * largest,
        sample=sum(sizes[name] for name in outside),
        tensors=tensors,
        fullest=fullest,
        slab=max((_least(step, sizes, program) for step in program.mesh_steps), default=0),
        kept=_ARENA * sum(_inner(step) for step in program.host_steps),
    )


@lru_cache(maxsize=64)
def plan(needed: Needs, limit_mb: float, batch: int) -> Plan:
    """Return how to run `batch` samples below a ceiling.

    Raises
    ------
    InputError
        Nothing would do.
    """
    limit = int(limit_mb * _MB)
    least = needed.least(batch)
    if least > limit:
        raise InputError(
            f"memory_limit_mb={limit_mb:g}: {_samples(batch)} of this program need "
            f"{math.ceil(least / _MB)} MB: {_share(needed.program)} for the program and its "
            f"matrices, {_share(batch * needed.sample)} for inputs and outputs, "
            f"{_share(needed.tensors + needed.slab)} for one sample at '{needed.fullest}'; "
            "raise the limit, or give fewer or smaller samples"
        )
    room = limit - needed.program - batch * needed.sample - needed.slab
    each = needed.tensors if lean(needed, limit_mb) else needed.tensors + needed.kept
    together = max(1, min(batch, room // max(1, each)))
    free = room + needed.slab - together * each
    scratch = max(needed.slab, min(slabs.SCRATCH_BYTES, free))
    kept = 0 if lean(needed, limit_mb) else together * needed.tensors + scratch
    return Plan(together, scratch, kept)


def largest_batch(needed: Needs, limit_mb: float) -> int:
    """Return how many samples may be handed to one run below a ceiling; 1 where none fits."""
    room = int(limit_mb * _MB) - needed.program - needed.tensors - needed.slab
    return max(1, room // max(1, needed.sample))


def lean(needed: Needs, limit_mb: float) -> bool:
    """Return whether digital steps must give their memory back after each run."""
    return needed.least(1) + slabs.SCRATCH_BYTES + needed.kept > limit_mb * _MB


def _samples(count: int) -> str:
    return "one sample" if count == 1 else f"{count} samples"


def _share(size: int) -> str:
    return f"{size / _MB:.0f} MB"


def tensor_bytes(program: Program) -> dict[str, int]:
    """Return about how much each tensor between steps takes for one sample.

    What a digital step gives to other digital steps alone is no larger than what the largest of
    its operators gives.
    """
    sizes = {
        info.name: np.dtype(info.dtype).itemsize
        * math.prod(size for size in info.shape if isinstance(size, int))
        for info in (*program.inputs, *program.outputs)
        if info.dtype != "object"
    }
    for step in program.mesh_steps:
        sizes.setdefault(step.output, _SINGLE * step.out_elements)
        if isinstance(step, PhotonicStep):
            sizes.setdefault(step.input, _SINGLE * step.in_elements)
    for host in program.host_steps:
        largest = max((operator.elements_out for operator in host.operators), default=0)
        for name in host.outputs:
            sizes.setdefault(name, _SINGLE * largest)
    return {**{info.name: 0 for info in (*program.inputs, *program.outputs)}, **sizes}


def _fullest(program: Program, sizes: Mapping[str, int], outside: set[str]) -> tuple[int, str]:
    """Return the most that inner tensors take at once, and the step at which they do."""
    last, live = last_reads(program), set[str]()
    most, fullest = 0, ""
    for index, step in enumerate(program.steps):
        live |= set(gives(step)) - outside
        held = sum(sizes[name] for name in live)
        if isinstance(step, HostStep):
            held += max(0, _inner(step) - sum(sizes[name] for name in step.outputs))
        if held >= most:
            most, fullest = held, step.name
        live -= set(last.get(index, ()))
    return most, fullest


def _inner(step: HostStep) -> int:
    """Return what the operators of a digital step give, all together."""
    return _SINGLE * sum(operator.elements_out for operator in step.operators)


def _least(step: Step, sizes: Mapping[str, int], program: Program) -> int:
    """Return the least that a step on the mesh takes besides its tensors."""
    ports = program.machine.mesh.ports
    if not isinstance(step, PhotonicStep):
        if isinstance(step, HostStep):
            return 0
        return 32 * ports * ports * min(reprogram.CHUNK_TILES, step.matrices * step.tiles)
    geometry = step.geometry
    return max(slabs.least_bytes(_spatial(step, s), geometry, s) for s in geometry.streams)


def _spatial(step: PhotonicStep, stream: Stream) -> tuple[int, ...]:
    """Return a spatial size of the step's input: as long along each axis, for want of better."""
    axes = len(stream.window.kernel)
    if step.geometry.access != "channels" or not axes:
        return (1,) * axes
    side = math.ceil((step.in_elements / step.geometry.in_channels) ** (1 / axes))
    return (side,) * axes
