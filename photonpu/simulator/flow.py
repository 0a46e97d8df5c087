"""How tensors go from step to step of a program with the fewest passes over memory.

A digital step that only rectifies, or only joins channels, for steps on the mesh alone, does not
run: what lays out their inputs does it on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from photonpu.program import HostStep, PhotonicStep, Program, Step


@dataclass(frozen=True, slots=True)
class Source:
    """Some channels of what a step on the mesh takes.

    Attributes
    ----------
    name
        The tensor's name.
    rectified
        Whether its negative numbers count as zeros.
    """

    name: str
    rectified: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """What a session does at each step.

    Attributes
    ----------
    sources
        By step on the mesh, of which tensors its input is made, joined along the channels.
    skipped
        By the tensor that they would give, the digital steps that do not run.
    rectifiers
        Names of those that only rectify what nobody reads after them: in its own place.
    direct
        By product, the step whose field it may be written into straight away, and as what of it.
    kept
        Names of the products that may lie in memory which later tensors use again.
    unread
        For each step, by its index, the tensors that nobody reads after it.
    """

    sources: Mapping[str, tuple[Source, ...]]
    skipped: Mapping[str, HostStep]
    rectifiers: frozenset[str]
    direct: Mapping[str, tuple[PhotonicStep, Source]]
    kept: frozenset[str]
    unread: Mapping[int, tuple[str, ...]]


def flow(program: Program) -> Flow:
    """Return how tensors go through a program."""
    outside = {info.name for info in (*program.inputs, *program.outputs)}
    readers = _readers(program)
    skipped = {
        step.outputs[0]: step
        for step in program.host_steps
        if _skips(step, readers) and not outside.intersection(step.outputs)
    }
    products = {step.output: step for step in program.photonic_steps if step.output not in outside}

    def sources(step: PhotonicStep) -> tuple[Source, ...]:
        """Return of what the input of a step is made."""
        host = skipped.get(step.input)
        names = (step.input,) if host is None else host.inputs
        rectified = host is not None and _is(host, "Relu")
        return tuple(Source(name, rectified) for name in names)

    found = {step.name: sources(step) for step in program.photonic_steps}

    def taken(step: Step) -> tuple[str, ...]:
        """Return the tensors that a step reads as it runs."""
        if isinstance(step, PhotonicStep):
            return tuple(source.name for source in found[step.name])
        return () if _first(step) in skipped else reads(step)

    unread = last_reads(program, taken)
    rectifiers = {
        step.name: step
        for index, step in enumerate(program.steps)
        if isinstance(step, HostStep)
        and _is(step, "Relu")
        and _first(step) not in skipped
        and {*step.inputs} <= products.keys() & {*unread.get(index, ())}
    }
    handed_out = {step.inputs[0] for step in rectifiers.values() if _first(step) in outside}
    return Flow(
        sources=found,
        skipped=skipped,
        rectifiers=frozenset(rectifiers),
        direct=_direct(program, readers, skipped, found, outside),
        kept=frozenset(products.keys() - handed_out),
        unread=unread,
    )


def _direct(
    program: Program,
    readers: Mapping[str, list[Step]],
    skipped: Mapping[str, HostStep],
    sources: Mapping[str, tuple[Source, ...]],
    outside: Collection[str],
) -> dict[str, tuple[PhotonicStep, Source]]:
    """Return `Flow.direct`: one product at most for each step that reads some, the last of them."""
    found: dict[str, tuple[PhotonicStep, Source]] = {}
    for reader in program.photonic_steps:
        through = [reader, *(skipped[name] for name in [reader.input] if name in skipped)]
        alone = len(readers[reader.input]) == 1
        mine = {source.name: source for source in sources[reader.name]}
        for step in reversed(program.photonic_steps):
            only = step.output in mine and step.output not in outside and alone
            if only and readers[step.output] == [through[-1]] and _hands_over(step, reader):
                found[step.output] = reader, mine[step.output]
                break
    return found


def _hands_over(step: PhotonicStep, reader: PhotonicStep) -> bool:
    """Return whether what a step gives, nothing added to it, is all that its reader looks at."""
    windows = [stream.window for stream in reader.geometry.streams]
    pads = {(window.pads_begin, window.pads_end) for window in windows}
    return (
        step.geometry.access == reader.geometry.access == "channels"
        and step.correction is None
        and windows[0].kernel != ()
        and len(pads) == 1
        and min(*windows[0].pads_begin, *windows[0].pads_end) >= 0
        and reader.input_range > 0
    )


def reads(step: Step) -> tuple[str, ...]:
    """Return the names of the tensors that a step reads."""
    if isinstance(step, HostStep):
        return step.inputs
    return (step.input,) if isinstance(step, PhotonicStep) else (step.left, step.right)


def last_reads(
    program: Program, read: Callable[[Step], tuple[str, ...]] = reads
) -> dict[int, tuple[str, ...]]:
    """Return for each step, by its index, the tensors that nobody reads after it.

    Parameters
    ----------
    program
        The program.
    read
        Gives the names of the tensors that a step reads.
    """
    kept = {info.name for info in program.outputs}
    last = {name: i for i, step in enumerate(program.steps) for name in (*gives(step), *read(step))}
    found: dict[int, tuple[str, ...]] = {}
    for name, index in last.items():
        if name not in kept:
            found[index] = (*found.get(index, ()), name)
    return found


def gives(step: Step) -> tuple[str, ...]:
    """Return the names of the tensors that a step gives."""
    return step.outputs if isinstance(step, HostStep) else (step.output,)


def _readers(program: Program) -> dict[str, list[Step]]:
    """Return the steps that read each tensor, by its name."""
    found: dict[str, list[Step]] = {}
    for step in program.steps:
        for name in reads(step):
            found.setdefault(name, []).append(step)
    return found


def _is(step: HostStep, op: str) -> bool:
    """Return whether a digital step is one operator `op` of tensors, and gives one."""
    operators = [operator.op for operator in step.operators]
    return operators == [op] and len(step.outputs) == 1 and not step.constants


def _first(step: Step) -> str:
    """Return the first tensor that a step gives; nothing where it gives none."""
    return "".join(gives(step)[:1])


def _skips(step: HostStep, readers: Mapping[str, list[Step]]) -> bool:
    """Return whether laying out does what a digital step does, for all who read what it gives.

    Whether channels are what is joined shows in the shapes of a run.
    """
    found = readers.get(_first(step), [])
    if not found or not all(isinstance(reader, PhotonicStep) for reader in found):
        return False
    on_channels = all(
        isinstance(reader, PhotonicStep) and reader.geometry.access == "channels"
        for reader in found
    )
    return _is(step, "Relu") or (_is(step, "Concat") and len(step.inputs) > 1 and on_channels)
