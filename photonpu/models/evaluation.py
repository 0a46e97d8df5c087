"""How well a program segments: the float network against the ideal and the noisy machine."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import photonpu
from photonpu.errors import InputError
from photonpu.models.baseline import best_threshold
from photonpu.models.datasets import Dataset
from photonpu.models.kept import KeptMasks, fingerprint
from photonpu.models.metrics import METRICS
from photonpu.models.scores import LEVEL, Evaluation, Score, half_width
from photonpu.models.segmenting import (
    Masks,
    Network,
    cases_of_program,
    float_network,
    on_chip,
    segment,
)
from photonpu.progress import progress

if TYPE_CHECKING:
    import onnx

    from photonpu.compiler.checked import Checked
    from photonpu.hardware import Chip, Machine
    from photonpu.program import Program
    from photonpu.simulator.noise import Named

Masks = NDArray[np.bool_]
# Takes a batch (B, C, H, W) and the index of its first sample, gives the network's output.
Network = Callable[[NDArray[np.float32], int], NDArray[Any]]
Runs = Iterator[tuple[str, Network, int]]

_ONNX_FLOATS = {"tensor(float)": "float32", "tensor(double)": "float64"}


def evaluate(
    program: Program,
    dataset: Dataset,
    metrics: Sequence[str] = ("dice", "iou", "hd95"),
    chips: int | Sequence[int | Chip] = 3,
    *,
    noise: Named = "full",
    seed: int = 0,
    machine: Machine | None = None,
    reference: str | Path | bytes | onnx.ModelProto | Checked | None = None,
    threshold: float = 0.5,
    baseline: bool = True,
    batch: int = 8,
    quiet: bool = False,
    keep_masks: bool = False,
    sampling: str = "exact",
    ideal: bool = True,
    until_ci: float | None = None,
    store: str | Path | None = None,
) -> Evaluation:
    """Segment every case with the float network, the ideal machine and noisy chips, and score.

    A mask is where the network's first output is above `threshold`; an output of several
    channels is a score of each class instead, and the mask is where class 0, the background,
    does not win.

    Chips come one after another: both cores work on each, and one is in memory at a time. What
    they share (the float network, the digital segments, the ideal machine's masks) is made once.

    Parameters
    ----------
    program
        The compiled network: one input of shape (batch, C, H, W).
    dataset
        Images of that shape, and the truth.
    metrics
        Names of entries of `METRICS`.
    chips
        How many fabricated instances, drawn from seeds 0, 1, ...; or which.
    noise
        Of the mode ``"noisy"``; as in `photonpu.Session`.
    seed
        Keys what changes from shot to shot.
    machine
        In place of the machine that the program was compiled for.
    reference
        The ONNX model that the program was compiled from, for the mode ``"float"``, which
        onnxruntime computes; without it there is no such mode.
    threshold
        Above it a pixel belongs to the mask: 0.5 for a probability, 0 for a logit.
    baseline
        Whether to add the mode ``"threshold"``: see `photonpu.models.baseline`.
    batch
        Cases to run at a time, if the network's batch is free; no result depends on it.
    quiet
        Show no progress.
    keep_masks
        Whether to keep the masks of all modes, one byte a pixel.
    sampling
        How detector noise is drawn, as in `photonpu.Session`.
    ideal
        Whether to add the mode ``"ideal"``.
    until_ci
        Leave out further chips from the fifth on at which the 95 % interval of the first metric's
        mean over chips (Student's t, of the chips' means over cases) reaches no farther than
        this to either side. Looking after every chip makes such an interval a little too
        narrow. None for all chips.
    store
        SQLite file that keeps the masks of finished runs, each by the hash of all that affects
        them: after Ctrl-C the same call goes on where it stopped. None for none.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        The program does not take these images, its output is no mask of their size, or an
        argument is out of range.
    UnknownNameError
        A metric that is not in the table.
    ProgramError
        The program does not fit `machine`.
    """
    from photonpu.simulator.strengths import described

    scorers = {name: METRICS[name] for name in metrics}
    instances = tuple(range(chips)) if isinstance(chips, int) else tuple(chips)
    _check(scorers, len(instances), batch, threshold, dataset)
    modes = described(noise)
    found: dict[str, list[Masks]] = {}
    count = len(instances) + 1 + (reference is not None)
    with progress("evaluate", total=count * len(dataset), quiet=quiet) as step:
        for mode, network, at_once in _networks(
            program, dataset, reference, instances, noise, seed, machine
        ):
            masks = _segment(network, dataset, min(batch, at_once), threshold, step)
            found.setdefault(mode, []).append(masks)
    notes = list(dataset.notes)
    if baseline:
        best = best_threshold(dataset)
        found["threshold"] = [best.masks]
        notes.append(
            f"'threshold' is the largest piece of channel {best.channel} above "
            f"{best.threshold:.3g}, chosen by the truth of these cases"
        )
    if dataset.empty:
        notes.append(f"{dataset.empty} of {len(dataset)} cases have an empty truth")
    return Evaluation(
        program=program.name,
        dataset=dataset.name,
        machine=(machine or program.machine).name,
        noise=described(noise),
        chips=tuple(
            str(chip) if isinstance(chip, int) else chip.name for chip in instances[:finished]
        ),
        seed=seed,
        threshold=threshold,
        ids=dataset.ids,
        empty=dataset.empty,
        scores={
            mode: {
                name: Score.of(np.stack([values[index] for values in found]))
                for index, name in enumerate(scorers)
            }
            for mode, found in scores.items()
        },
        masks={mode: np.stack(found) for mode, found in masks.items()},
        notes=tuple(notes),
        sampling=sampling,
    )


def _check(
    scorers: Collection[str], chips: int, batch: int, threshold: float, dataset: Dataset
) -> None:
    """Refuse arguments out of range before anything is computed."""
    for name, value, least in (
        ("metrics", len(scorers), 1),
        ("chips", chips, 1),
        ("batch", batch, 1),
        ("dataset", len(dataset), 1),
    ):
        if value < least:
            raise InputError(f"{name}: an evaluation needs {least} or more, and {value} are given")
    if not math.isfinite(threshold):
        raise InputError(f"threshold={threshold}: give a number, 0.5 for a network's probability")


def _networks(
    program: Program,
    dataset: Dataset,
    reference: str | Path | bytes | onnx.ModelProto | Checked | None,
    chips: tuple[int | Chip, ...],
    noise: Named,
    seed: int,
    machine: Machine | None,
) -> Runs:
    """Give each network in turn with its mode and the cases it takes at a time."""
    from photonpu.simulator import Session

    taken = program.inputs
    at_once = _cases_at_once("program", [(info.name, info.shape) for info in taken], dataset)
    # Whatever does not fit is to be told before the first network runs.
    ideal = Session(program, "ideal", machine=machine)
    reference_network = None if reference is None else _float_network(reference, dataset)

    def on_chip(session: Session) -> Network:
        name, dtype = taken[0].name, np.dtype(taken[0].dtype)
        output = program.outputs[0].name
        return lambda images, first: session.run(
            [output], {name: images.astype(dtype, copy=False)}, first=first
        )[0]

    if reference_network is not None:
        yield "float", *reference_network
    yield "ideal", on_chip(ideal), at_once
    for chip in chips:
        session = Session(program, noise, chip, seed, machine=machine)
        yield "noisy", on_chip(session), at_once


def _float_network(
    reference: str | Path | bytes | onnx.ModelProto | Checked, dataset: Dataset
) -> tuple[Network, int]:
    """Return the ONNX model in onnxruntime, and the cases it takes at a time."""
    import onnxruntime

    from photonpu.compiler import reader

    session = onnxruntime.InferenceSession(
        reader.read(reference).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = session.get_inputs()
    at_once = _cases_at_once("reference", [(info.name, info.shape) for info in inputs], dataset)
    name, output = inputs[0].name, session.get_outputs()[0].name
    if inputs[0].type not in _ONNX_FLOATS:
        raise InputError(f"reference: input '{name}' is {inputs[0].type}; images are tensor(float)")
    dtype = np.dtype(_ONNX_FLOATS[inputs[0].type])

    def run(images: NDArray[np.float32], first: int) -> NDArray[Any]:
        return np.asarray(session.run([output], {name: images.astype(dtype, copy=False)})[0])

    return run, at_once


def _cases_at_once(
    what: str, inputs: Sequence[tuple[str, Sequence[int | str | None]]], dataset: Dataset
) -> int:
    """Return how many cases a network takes at a time, once it is sure that they fit it."""
    if len(inputs) != 1:
        names = ", ".join(f"'{name}'" for name, _ in inputs)
        raise InputError(f"{what} has {len(inputs)} inputs ({names}): images go into one")
    name, shape = inputs[0]
    needed = f"{what}: input '{name}' has shape ({', '.join(map(str, shape))})"
    if len(shape) != 4:
        raise InputError(f"{needed}: images have shape (batch, channels, height, width)")
    have = dataset.images.shape[1:]
    if any(
        isinstance(want, int) and want != size for want, size in zip(shape[1:], have, strict=True)
    ):
        raise InputError(
            f"{needed} and the images of '{dataset.name}' have {have}: load them with "
            f"channels={shape[1]} and size=({shape[2]}, {shape[3]})"
        )
    if not isinstance(shape[0], int):
        return len(dataset)
    if shape[0] != 1:
        raise InputError(
            f"{needed}: its batch must be free, or 1; export the model with one of them"
        )
    return 1


def _segment(
    network: Network, dataset: Dataset, batch: int, threshold: float, step: Callable[[int], None]
) -> Masks:
    """Return the masks (S, H, W) that a network gives."""
    masks = np.empty(dataset.masks.shape, dtype=np.bool_)
    for first in range(0, len(dataset), batch):
        images = dataset.images[first : first + batch]
        output = network(images, first)
        masks[first : first + batch] = _mask(output, threshold, (len(images), *dataset.size))
        step(len(images))
    return masks


def _mask(output: NDArray[Any], threshold: float, shape: tuple[int, int, int]) -> Masks:
    """Return the masks (B, H, W) that an output stands for."""
    scores = output[:, None] if output.ndim == 3 else output
    if scores.ndim != 4 or (len(scores), *scores.shape[2:]) != shape or not scores.shape[1]:
        raise InputError(
            f"the network's first output has shape {output.shape}; a mask for each image is "
            f"needed: ({shape[0]}, 1, {shape[1]}, {shape[2]}), or a channel for each class"
        )
    if not np.isfinite(scores).all():
        raise InputError("the network's output holds NaN or infinity: its masks would be arbitrary")
    if scores.shape[1] == 1:
        return np.asarray(scores[:, 0] > threshold)
    return np.asarray(scores.argmax(axis=1) > 0)


def _values(
    scorer: Callable[[Masks, Masks, tuple[float, float]], float],
    runs: Sequence[Masks],
    dataset: Dataset,
) -> NDArray[np.float64]:
    """Score every case of every run, (R, S)."""
    return np.array(
        [
            [
                scorer(mask, truth, (float(spacing[0]), float(spacing[1])))
                for mask, truth, spacing in zip(
                    masks, dataset.masks, dataset.spacing_mm, strict=True
                )
            ]
            for scorer in scorers.values()
        ],
        dtype=np.float64,
    )
