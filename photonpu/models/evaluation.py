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

    from photonpu.compiler.untrusted.checked import Checked
    from photonpu.hardware import Chip, Machine
    from photonpu.program import Program
    from photonpu.simulator.host import HostRunner
    from photonpu.simulator.noise import Named

Floats = NDArray[np.float64]
Scorer = Callable[[Masks, Masks, tuple[float, float]], float]

LEAST_CHIPS = 5  # before an interval is trusted enough to stop at it


@dataclass(frozen=True, slots=True)
class Run:
    """One network on all cases: its mode, all that affects its masks, and how to get it."""

    mode: str
    subject: Mapping[str, object]
    network: Callable[[], tuple[Network, int]]


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
    memory_limit_mb: float | None = None,
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
    memory_limit_mb
        What program, matrices and tensors of the machine may take together, as in
        `photonpu.Session`; no result depends on it. Images, masks and the float network, which
        onnxruntime runs as a whole, come on top.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        The program does not take these images, its output is no mask of their size, an argument
        is out of range, or one image needs more memory than the limit.
    UnknownNameError
        A metric that is not in the table.
    ProgramError
        The program does not fit `machine`.
    DataError
        `store` is a file of another kind, or is damaged.
    StorageError
        `store` cannot be written; what was finished is in it.
    """
    from photonpu.simulator.strengths import described

    scorers = {name: METRICS[name] for name in metrics}
    instances = tuple(range(chips)) if isinstance(chips, int) else tuple(chips)
    _check(scorers, len(instances), batch, threshold, dataset)
    if until_ci is not None and not 0 < until_ci < math.inf:
        raise InputError(f"until_ci={until_ci}: give half the width of an interval, such as 0.01")
    runs = _Runs(program, dataset, noise, seed, machine, sampling, threshold, memory_limit_mb)
    asked = [*runs.given(reference), *(runs.ideal() if ideal else ()), *runs.noisy(instances)]
    scores: dict[str, list[Floats]] = {}
    masks: dict[str, list[Masks]] = {}
    finished = 0
    with (
        _store(store) as kept,
        progress("evaluate", len(asked) * len(dataset), quiet=quiet) as tell,
    ):
        for run in asked:
            found = _masks(run, dataset, batch, threshold, kept, tell)
            scores.setdefault(run.mode, []).append(_values(scorers, found, dataset))
            if keep_masks:
                masks.setdefault(run.mode, []).append(found)
            finished += run.mode == "noisy"
            if until_ci is not None and _settled(scores.get("noisy", []), until_ci):
                break
    notes = [*dataset.notes, *_stopped(until_ci, scores["noisy"], metrics[0], len(instances))]
    if baseline:
        best = best_threshold(dataset)
        scores["threshold"] = [_values(scorers, best.masks, dataset)]
        if keep_masks:
            masks["threshold"] = [best.masks]
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


class _Runs:
    """The runs of one evaluation; whatever does not fit is told when they are listed."""

    def __init__(
        self,
        program: Program,
        dataset: Dataset,
        noise: Named,
        seed: int,
        machine: Machine | None,
        sampling: str,
        threshold: float,
        memory_limit_mb: float | None,
    ) -> None:
        from photonpu.simulator.session import fitting

        self._memory_limit_mb = memory_limit_mb
        self._program, self._dataset = program, dataset
        self._noise, self._seed, self._sampling = noise, seed, sampling
        self._at_once = cases_of_program(program, dataset)
        self._machine = fitting(program, machine)
        self._hosts: Mapping[str, HostRunner] | None = None
        values = self._machine.values().items()
        self._images: dict[str, object] = {
            "photonpu": photonpu.__version__,
            "images": fingerprint(dataset.images),
            "threshold": threshold,
        }
        self._subject: dict[str, object] = {
            **self._images,
            "program": fingerprint(
                program.inputs, program.outputs, program.steps, program.tiles, program.programming
            ),
            "machine": {key: value for key, value in values if key not in ("name", "description")},
        }

    def given(
        self, reference: str | Path | bytes | onnx.ModelProto | Checked | None
    ) -> Iterator[Run]:
        """Give the run of the float network, if there is one."""
        if reference is not None:
            from photonpu.compiler import reader, weights

            proto = reader.read(reference)
            loaded = float_network(proto, self._dataset)
            model = {"model": weights.digest(proto)}
            yield Run("float", {**self._images, **model}, lambda: loaded)

    def ideal(self) -> Iterator[Run]:
        """Give the run of the ideal machine."""
        yield Run("ideal", {**self._subject, "noise": "ideal"}, lambda: self._on("ideal", None))

    def noisy(self, chips: Sequence[int | Chip]) -> Iterator[Run]:
        """Give one run a chip."""
        from photonpu.simulator.strengths import described, strengths

        common = {
            **self._subject,
            "noise": described(self._noise),
            "strengths": fingerprint(strengths(self._noise)),
            "seed": self._seed,
            "sampling": self._sampling,
        }
        for chip in chips:
            which = chip if isinstance(chip, int) else fingerprint(chip)
            yield Run("noisy", {**common, "chip": which}, partial(self._on, self._noise, chip))

    def _on(self, noise: Named, chip: int | Chip | None) -> tuple[Network, int]:
        """Return the program on one chip; its digital segments are loaded once for all."""
        from photonpu.simulator import Session

        session = Session(
            self._program,
            noise,
            chip,
            self._seed,
            machine=self._machine,
            sampling=self._sampling,
            memory_limit_mb=self._memory_limit_mb,
            hosts=self._hosts,
        )
        self._hosts = session.hosts
        return on_chip(session), min(self._at_once, session.largest_batch)


def _store(path: str | Path | None) -> contextlib.AbstractContextManager[KeptMasks | None]:
    """Open a store, if there is to be one."""
    return contextlib.nullcontext() if path is None else KeptMasks(path)


def _masks(
    run: Run,
    dataset: Dataset,
    batch: int,
    threshold: float,
    kept: KeptMasks | None,
    tell: Callable[[int], None],
) -> Masks:
    """Return the masks (S, H, W) of a run, kept ones if there are."""
    found = None if kept is None else kept.get(run.subject, dataset.masks.shape)
    if found is not None:
        tell(len(dataset))
        return found
    begin = time.perf_counter()
    network, at_once = run.network()
    found = segment(network, dataset, min(batch, at_once), threshold, tell)
    if kept is not None:
        kept.put(run.subject, found, time.perf_counter() - begin)
    return found


def _settled(values: Sequence[Floats], until_ci: float) -> bool:
    """Whether the first metric's interval over chips is narrow enough to stop."""
    return len(values) >= LEAST_CHIPS and half_width(_chip_means(values)) <= until_ci


def _chip_means(values: Sequence[Floats]) -> Floats:
    """Return the first metric's mean over cases of each chip, (R,)."""
    return Score.of(np.stack([found[0] for found in values])).runs


def _stopped(
    until_ci: float | None, values: Sequence[Floats], metric: str, chips: int
) -> Iterator[str]:
    """Say where an evaluation with `until_ci` stopped."""
    if until_ci is not None:
        width = half_width(_chip_means(values))
        yield (
            f"stopped after {len(values)} of {chips} chips: {100 * LEVEL:.0f} % interval of the "
            f"mean {metric} over chips +/- {width:.2g}, asked for {until_ci:g}"
        )


def _values(scorers: Mapping[str, Scorer], masks: Masks, dataset: Dataset) -> Floats:
    """Score every case of one run, (metrics, S)."""
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
