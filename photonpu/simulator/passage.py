"""The way of samples through a network, from step to step, in memory that is used again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from photonpu.program import HostStep, PhotonicStep, Program, Step, windows
from photonpu.simulator import fields, finite, streaming
from photonpu.simulator.buffers import Buffers
from photonpu.simulator.fields import Laid, Target
from photonpu.simulator.flow import Source, flow
from photonpu.simulator.host import HostRunner
from photonpu.simulator.memory import Plan
from photonpu.simulator.receiver import Receiver

Array = NDArray[Any]
#: A step, tensors by name, index of the first sample, how to save memory; to what it gives.
Execute = Callable[[Step, Mapping[str, Array], int, Plan], dict[str, Array]]


@dataclass(frozen=True, slots=True)
class _Run:
    """What there is while samples go through the network.

    Attributes
    ----------
    values
        Tensors, by name.
    laid
        Those that lie in the field of the step that reads them.
    first
        Index of the first sample.
    plan
        How to stay below the ceiling of memory.
    buffers
        Memory of tensors.
    """

    values: dict[str, Array]
    laid: dict[str, Laid]
    first: int
    plan: Plan
    buffers: Buffers


class Passage:
    """What takes the samples of one run after another through a program.

    Parameters
    ----------
    program
        The program.
    layers
        Its products with constant matrices, by name.
    hosts
        Its digital steps, by name.
    receiver
        Converters and detectors.
    execute
        Runs any step by itself.
    """

    def __init__(
        self,
        program: Program,
        layers: Mapping[str, streaming.Run],
        hosts: Mapping[str, HostRunner],
        receiver: Receiver,
        execute: Execute,
    ) -> None:
        self._steps, self._flow = program.steps, flow(program)
        self._layers, self._hosts = layers, hosts
        self._receiver, self._execute = receiver, execute
        self._idle: deque[Buffers] = deque(maxlen=1)
        self._fresh = Buffers(0)

    @property
    def looked_at(self) -> frozenset[str]:
        """Names of the tensors in which a product would find what is not finite."""
        return frozenset(s.name for sources in self._flow.sources.values() for s in sources)

    def run(
        self, names: Sequence[str], feeds: Mapping[str, Array], first: int, plan: Plan
    ) -> list[Array]:
        """Run the network on samples that go through it together.

        Parameters
        ----------
        names
            Which outputs to return.
        feeds
            All inputs, by name.
        first
            Index of the first sample.
        plan
            How to stay below the ceiling of memory.

        Raises
        ------
        InputError
            What a step reads or gives is not finite.
        """
        buffers = self._buffers(plan.kept_bytes)
        run = _Run(dict(feeds), {}, first, plan, buffers)
        for index, step in enumerate(self._steps):
            self._go(step, run)
            for name in self._flow.unread.get(index, ()):
                gone = run.values.pop(name, None)
                if gone is not None and not any(gone is other for other in run.values.values()):
                    buffers.give(gone)
        self._idle.append(buffers)
        return [run.values[name] for name in names]

    def _buffers(self, size: int) -> Buffers:
        """Return the memory that the run before left, or new one."""
        try:
            found = self._idle.pop()
        except IndexError:
            return Buffers(size)
        return found if found.size == size else Buffers(size)

    def _go(self, step: Step, run: _Run) -> None:
        """Run one step, or leave it out."""
        values = run.values
        if isinstance(step, PhotonicStep):
            self._multiply(step, run)
        elif isinstance(step, HostStep) and self._flow.skipped.keys() & {*step.outputs}:
            pass
        elif isinstance(step, HostStep) and step.name in self._flow.rectifiers:
            x = values[step.inputs[0]]
            values[step.outputs[0]] = np.maximum(x, 0, out=x)
        else:
            values.update(self._execute(step, values, run.first, run.plan))

    def _multiply(self, step: PhotonicStep, run: _Run) -> None:
        """Run one product."""
        sources = self._flow.sources[step.name]
        tensors: list[Array | Laid] = [
            run.laid.pop(name) if (name := source.name) in run.laid else run.values[name]
            for source in sources
        ]
        if len(tensors) > 1 and not fields.joinable([x.shape for x in tensors], step.geometry):
            joined = self._hosts[self._flow.skipped[step.input].name].run(run.values)
            sources, tensors = (Source(step.input),), [joined[step.input]]
        shape, dtype = tensors[0].shape, getattr(tensors[0], "dtype", np.float32)
        target = self._target(step, shape, run) if dtype == np.float32 else None
        outputs = run.buffers if step.output in self._flow.kept else self._fresh
        taken = fields.parts(sources, tensors, step.geometry)
        how = run.first, run.plan.scratch_bytes, run.buffers, target or outputs
        y, largest, greatest = self._layers[step.name](taken, *how)
        finite.bounded(step, largest)
        if target is not None:
            most = greatest if target.coder[2] else largest
            run.laid[step.output] = Laid(y, target.shape, most)
            return
        run.values[step.output] = formed(step, y, shape, dtype)
        if dtype != y.dtype:
            outputs.give(y)

    def _target(self, step: PhotonicStep, shape: tuple[int, ...], run: _Run) -> Target | None:
        """Return the field of the next step, if the output for an input of `shape` may go there."""
        if step.output not in self._flow.direct:
            return None
        reader, mine = self._flow.direct[step.output]
        spatial = shape[2:]
        shapes = {mine: windows.output_shape(shape, step.geometry)}
        sources = self._flow.sources[reader.name]
        for source in sources:
            if source.name in run.values:
                shapes[source] = run.values[source.name].shape
        if len(shapes) < len(sources) or not streaming.whole(step.geometry, spatial):
            return None
        in_order = {source: shapes[source] for source in sources}
        room = run.plan.scratch_bytes - fields.laid_bytes(step.geometry, shape[0], spatial)
        return fields.target(reader, in_order, mine, self._receiver, room, run.buffers)


def formed(
    step: PhotonicStep, y: NDArray[np.float32], shape: tuple[int, ...], dtype: DTypeLike
) -> Array:
    """Return an output as the model has it.

    Parameters
    ----------
    step
        Whose output it is.
    y
        (batch, out_channels, *spatial).
    shape, dtype
        Of the step's input.

    Raises
    ------
    InputError
        It overflows single precision.
    """
    if step.geometry.access != "channels":  # else it has the form of the tensor
        y = windows.output_form(y, step.geometry, shape)
    return corrected(step, y).astype(dtype, copy=False)


def corrected(step: PhotonicStep, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an output with the correction of its channels, if there is one.

    Raises
    ------
    InputError
        It overflows single precision.
    """
    if step.correction is None:
        return y
    shape = [1] * y.ndim
    shape[windows.channel_axis(step.geometry)] = -1
    gain, offset = (row.reshape(shape) for row in step.correction)
    y *= gain
    y += offset
    return finite.product(step, y)
