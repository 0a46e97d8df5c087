"""Calibration on a chip: scale and offset of every output channel, fitted to the float network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import PhotonicStep, Program, windows
from photonpu.simulator import memory
from photonpu.simulator.feeds import check_feeds
from photonpu.simulator.noise import Named
from photonpu.simulator.passage import corrected
from photonpu.simulator.session import Session

Array = NDArray[Any]

LEAST_SHARED = 0.5  # of a channel's variance that must be the float network's


def calibrate_on_chip(
    program: Program,
    chip: int | Chip,
    data: Mapping[str, Array],
    *,
    noise: Named = "full",
    seed: int = 0,
    machine: Machine | None = None,
) -> Program:
    """Return a program whose layers make up, channel by channel, for the errors of one chip.

    Layer by layer, the chip runs the data through what is corrected so far; each channel's scale
    and offset are measured against the float network's outputs, ``y = a f + b`` by least squares,
    and undone. (The other way round, noise in ``y`` would shrink the outputs.) The data should
    show what the network is for: a channel that sees noise alone keeps its scale.

    Parameters
    ----------
    program
        What to correct; what corrected it before is left out.
    chip
        The chip: its seed, or its errors.
    data
        Samples for each input; all go through at once. Some tens of thousands of outputs a channel
        are plenty.
    noise, seed, machine
        As in `photonpu.Session`.

    Returns
    -------
    Program
        For this chip alone: `PhotonicStep.correction` of every layer is set.

    Raises
    ------
    InputError
        The data do not fit the inputs.
    """
    plain = tuple(
        replace(step, correction=None) if isinstance(step, PhotonicStep) else step
        for step in program.steps
    )
    bare = replace(program, steps=plain)
    feeds = check_feeds(bare.inputs, data)
    for name, array in feeds.items():
        if not array.size:
            raise InputError(f"input '{name}': calibration needs one sample or more")
    session = Session(bare, noise, chip, seed, machine=machine)
    twin = Session(bare, "ideal", session.chip, machine=machine, hosts=session.hosts)
    plan = memory.Plan(together=1, scratch_bytes=1 << 25)
    values, floats = dict(feeds), dict(feeds)
    steps = []
    for index, step in enumerate(plain):
        found, exact = session.execute(step, values, 0, plan), twin.execute(step, floats, 0, plan)
        if isinstance(step, PhotonicStep):
            output = found[step.output]
            step = replace(step, correction=_fitted(step, output, exact[step.output]))
            found = {step.output: corrected(step, output)}
        steps.append(step)
        values.update(found)
        floats.update(exact)
        for name in session.unread.get(index, ()):
            values.pop(name, None)
            floats.pop(name, None)
    note = f"scales and offsets of the outputs were fitted on chip '{session.chip.name}'"
    return replace(program, steps=tuple(steps), notes=(*program.notes, note))


def _fitted(step: PhotonicStep, found: Array, exact: Array) -> NDArray[np.float32]:
    """Return (2, channels) what undoes the scale and the offset of an output."""
    axis = windows.channel_axis(step.geometry)
    y, f = (
        np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1).astype(np.float64)
        for array in (found, exact)
    )
    y_mean, f_mean = y.mean(axis=1), f.mean(axis=1)
    y_part, f_part = y - y_mean[:, None], f - f_mean[:, None]
    power, both = (np.einsum("cn,cn->c", f_part, part) for part in (f_part, y_part))
    noisy = np.einsum("cn,cn->c", y_part, y_part)
    # What noise hides says nothing of the scale: such a channel keeps its own.
    sure = (both > 0) & (both**2 > LEAST_SHARED * power * noisy)
    gain = np.divide(power, both, out=np.ones_like(power), where=sure)
    return np.stack([gain, f_mean - gain * y_mean]).astype(np.float32)
