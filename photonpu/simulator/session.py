"""Inference of a compiled program on one chip, with onnxruntime's signature."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError, PhotonpuWarning, ProgramError
from photonpu.hardware import Chip, Machine
from photonpu.program import (
    HostStep,
    PhotonicStep,
    Program,
    Step,
    TensorInfo,
)
from photonpu.program.programming import FABRICATION
from photonpu.registry import did_you_mean
from photonpu.simulator import fields, finite, flow, memory, reprogram, streaming
from photonpu.simulator.buffers import Buffers
from photonpu.simulator.feeds import check_feeds, check_values
from photonpu.simulator.flow import Source
from photonpu.simulator.host import HostRunner
from photonpu.simulator.memory import Plan
from photonpu.simulator.noise import Named
from photonpu.simulator.passage import Passage, formed
from photonpu.simulator.receiver import SAMPLINGS, Receiver
from photonpu.simulator.strengths import strengths
from photonpu.simulator.transfer import programming

if TYPE_CHECKING:
    from photonpu.simulator.trace import Trace

Array = NDArray[Any]


class Session:
    """A program on one chip, ready to run.

    Parameters
    ----------
    program
        What to run.
    noise
        ``"ideal"`` computes the exact linear algebra through the phases, ``"quantised"`` has the
        converters only, ``"full"`` every source of `photonpu.simulator.noise.NOISES`; or names
        of sources, or a mapping of names to strengths, as `photonpu.simulator.strengths` says.
    chip
        Seed of one fabricated instance, or a `photonpu.Chip` of measured errors; None for the one
        that the program was compiled for, or seed 0. A program that was compiled for a chip runs
        with its phases as they are: the errors of the chip act in every kind of noise, also
        ``"ideal"``, and nothing corrects them again.
    seed
        Keys what changes from shot to shot. The same seed gives the same bits.
    machine
        In place of the machine that the program was compiled for; ports, topology and cores
        must be the same.
    sampling
        How detector noise is drawn: ``"exact"``, ``"fast"`` or ``"merged"``, as
        `photonpu.simulator.receiver.SAMPLINGS` says.
    memory_limit_mb
        What program, matrices and tensors may take together; three quarters of the machine's
        memory if nobody says. Large tensors and batches then go through in pieces, with the same
        bits. The interpreter and its libraries, about 250 MB, are not in it.
    hosts
        Digital segments that another session of this program has loaded: its `hosts`.

    Warns
    -----
    PhotonpuWarning
        The program was compiled for another chip.

    Raises
    ------
    ProgramError
        The program was compiled for other ports, another topology or another number of cores.
    InputError
        The chip or the seed is out of range, or one sample needs more memory than the limit.
    """

    def __init__(
        self,
        program: Program,
        noise: Named = "full",
        chip: int | Chip | None = None,
        seed: int = 0,
        *,
        machine: Machine | None = None,
        sampling: str = "exact",
        memory_limit_mb: float | None = None,
        hosts: Mapping[str, HostRunner] | None = None,
    ) -> None:
        self.program = program
        self.machine = fitting(program, machine)
        self.strengths = strengths(noise)
        if sampling not in SAMPLINGS:
            raise InputError(
                f"sampling='{sampling}': there is no such way to draw noise"
                f"{did_you_mean(sampling, SAMPLINGS) or f'; there are {list(SAMPLINGS)}'}"
            )
        _check_seed("seed", seed)
        chip = _chip(chip, program, self.machine)
        if memory_limit_mb is None:
            memory_limit_mb = memory.default_limit_mb()
        self.memory_limit_mb = memory_limit_mb
        self._needs = memory.needs(program)
        memory.plan(self._needs, memory_limit_mb, 1)
        self.unread = flow.last_reads(program)

        on_tiles, acting = self.machine, self.strengths
        if program.programming is not None:
            on_tiles = on_tiles.override({"mesh.correction": "none"})
            acting = {**acting, **dict.fromkeys(FABRICATION, 1.0)}

        self.chip = chip
        self.transfers = transfers = programming(on_tiles, chip, acting)
        self.receiver = receiver = Receiver.of(self.machine, self.strengths, chip, seed, sampling)
        self._layers = streaming.layers(program.tiles, program.photonic_steps, transfers, receiver)
        self._reprogrammed = reprogram.layers(program, self.machine, chip, self.strengths, receiver)
        if hosts is None:
            lean = memory.lean(self._needs, memory_limit_mb)
            hosts = {step.name: HostRunner(step, lean=lean) for step in program.host_steps}
        self.hosts = hosts
        self._passage = Passage(program, self._layers, hosts, receiver, self.execute)
        self._looked_at = self._passage.looked_at
        outside = (*program.inputs, *program.outputs)
        self._batched = all(info.shape and isinstance(info.shape[0], str) for info in outside)

    @property
    def sources(self) -> frozenset[str]:
        """Names of the noise sources that act."""
        return frozenset(self.strengths)

    @property
    def largest_batch(self) -> int:
        """Samples that one run may be given: inputs and outputs of more exceed the memory."""
        return memory.largest_batch(self._needs, self.memory_limit_mb)

    def get_inputs(self) -> list[TensorInfo]:
        """Return name, type and shape of each input."""
        return list(self.program.inputs)

    def get_outputs(self) -> list[TensorInfo]:
        """Return name, type and shape of each output."""
        return list(self.program.outputs)

    def run(
        self,
        output_names: Sequence[str] | None,
        feeds: Mapping[str, Array],
        *,
        first: int = 0,
        trace: Trace | None = None,
    ) -> list[Array]:
        """Run the network.

        Parameters
        ----------
        output_names
            Which outputs to return, in this order; None for all.
        feeds
            An array for each input, of its shape and type.
        first
            Index of the first sample of the batch: two runs of half a batch give the bits of
            one run of the whole when the second says where it begins.
        trace
            Takes down what each layer on the mesh gives beside the float network, which runs
            along: a few times the time and twice the memory of a run without.

        Returns
        -------
        list of ndarray
            The outputs.

        Raises
        ------
        InputError
            A name, a shape or a type is wrong, or an array holds NaN or infinity.
        """
        wanted = [info.name for info in self.program.outputs]
        for name in output_names or ():
            if name not in wanted:
                raise InputError(f"no output is called '{name}'; there are: {', '.join(wanted)}")
        looked_at = self._looked_at if trace is None else ()
        checked = check_feeds(self.program.inputs, feeds, looked_at)
        batch = _batch(checked) if self._batched else 1
        plan = memory.plan(self._needs, self.memory_limit_mb, batch)
        names = tuple(output_names or wanted)
        run = partial(self._passage.run, names)
        if trace is not None:
            run = partial(trace.follow, self, names)
        try:
            if plan.together >= batch:
                return run(checked, first, plan)
            parts = [
                run(
                    {name: x[begin : begin + plan.together] for name, x in checked.items()},
                    first + begin,
                    plan,
                )
                for begin in range(0, batch, plan.together)
            ]
        except InputError:
            check_values(checked)  # says more where it is the cause
            raise
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def execute(
        self, step: Step, values: Mapping[str, Array], first: int, plan: Plan
    ) -> dict[str, Array]:
        """Run one step.

        Parameters
        ----------
        step
            One of the program's.
        values
            Tensors by name, those that it reads among them.
        first
            Index of the first sample of the batch.
        plan
            How to stay below the ceiling of memory.

        Returns
        -------
        dict
            What it gives.

        Raises
        ------
        InputError
            What it reads holds NaN or infinity.
        """
        if isinstance(step, HostStep):
            return self.hosts[step.name].run(values)
        if isinstance(step, PhotonicStep):
            x, fresh = values[step.input], Buffers(0)
            taken = fields.parts((Source(step.input),), (x,), step.geometry)
            how = first, plan.scratch_bytes, fresh, fresh
            y, largest, _ = self._layers[step.name](taken, *how)
            finite.bounded(step, largest)
            return {step.output: formed(step, y, x.shape, x.dtype)}
        left, right = (values[name] for name in (step.left, step.right))
        factors = finite.single(step, step.left, left), finite.single(step, step.right, right)
        y = self._reprogrammed[step.name](*factors, first)
        return {step.output: finite.product(step, y).astype(left.dtype, copy=False)}


def _batch(feeds: Mapping[str, Array]) -> int:
    """Return the samples of a run: 1 where inputs have different numbers of them."""
    counts = {len(array) for array in feeds.values()}
    return counts.pop() if len(counts) == 1 else 1


def fitting(program: Program, machine: Machine | None) -> Machine:
    """Return the machine to use, once it is sure that the program fits it.

    Raises
    ------
    ProgramError
        Ports, topology or number of cores differ.
    """
    if machine is None:
        return program.machine
    for what, needs, has in (
        ("ports", program.machine.mesh.ports, machine.mesh.ports),
        ("topology", program.machine.mesh.topology, machine.mesh.topology),
        ("cores", program.machine.cores, machine.cores),
    ):
        if needs != has:
            raise ProgramError(
                f"program needs {what} = {needs} and the machine has {has}: "
                "compile it for this machine"
            )
    return machine


def _check_seed(name: str, value: int) -> None:
    """Refuse seeds that do not fit the counter."""
    if not 0 <= value < 2**64:
        raise InputError(f"{name}={value}: a whole number from 0 to 2^64 - 1 is needed")


def _chip(chip: int | Chip | None, program: Program, machine: Machine) -> Chip:
    """Return the chip to run on; warn if the program was compiled for another."""
    made = program.programming
    if chip is None:
        chip = 0 if made is None else made.chip
    if isinstance(chip, int):
        _check_seed("chip", chip)
        chip = Chip.draw(machine, chip)
    _check_chip(chip, machine)
    if made is not None and chip.digest != made.chip.digest:
        warnings.warn(
            f"program '{program.name}' was compiled for chip '{made.chip.name}' and runs on chip "
            f"'{chip.name}', whose errors its phases do not make up for: compile it for this chip",
            PhotonpuWarning,
            stacklevel=3,
        )
    return chip


def _check_chip(chip: Chip, machine: Machine) -> None:
    """Refuse a chip that is not of this machine's size."""
    cores, _, ports = chip.psi_error.shape
    if (cores, ports) != (machine.cores, machine.mesh.ports):
        raise InputError(
            f"chip '{chip.name}' has {cores} cores of {ports} ports and the machine has "
            f"{machine.cores} of {machine.mesh.ports}: use a chip of this machine"
        )
