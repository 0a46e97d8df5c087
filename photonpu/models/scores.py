"""What an evaluation found: scores of every case on every chip, their means and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.models.metrics import UNITS, bootstrap_interval
from photonpu.registry import UnknownNameError, did_you_mean
from photonpu.tables import text_table

Floats = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Score:
    """One metric in one mode; R runs (chips, or one) of S cases.

    Attributes
    ----------
    values
        (R, S), NaN where the metric is undefined.
    mean
        Over cases, each the mean of its runs; undefined values are left out.
    interval
        Ends of the bootstrap interval of `mean` over cases, level 0.95.
    """

    values: Floats
    mean: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, values: Floats) -> Score:
        """Summarise the values of R runs of S cases, (R, S)."""
        kept = values.view()
        kept.setflags(write=False)
        cases = _mean(kept, axis=0)
        return cls(kept, float(_mean(cases, axis=0)), bootstrap_interval(cases, LEVEL))

    @property
    def runs(self) -> Floats:
        """(R,) mean over the cases of each run: of each chip, where there are several."""
        return _mean(self.values, axis=1)

    @property
    def undefined(self) -> int:
        """Number of values that are left out of the means, of all R * S."""
        return int(np.count_nonzero(np.isnan(self.values)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a program does on a data set.

    Attributes
    ----------
    program, dataset, machine
        Names.
    noise
        The noise of the mode ``"noisy"``, as `photonpu.simulator.strengths.described` has it.
    chips
        Names of the chips, in the order of the runs of the mode ``"noisy"``.
    seed, threshold
        As they were handed over.
    ids
        The cases.
    empty
        How many cases have an empty truth.
    scores
        By mode (``"float"``, ``"ideal"``, ``"noisy"``, ``"threshold"``) and metric.
    masks
        By mode, (R, S, H, W) bool; empty unless they were to be kept.
    notes
        What a reader of the numbers should know.
    sampling
        How detector noise was drawn.
    """

    program: str
    dataset: str
    machine: str
    noise: str | tuple[str, ...]
    chips: tuple[str, ...]
    seed: int
    threshold: float
    ids: tuple[str, ...]
    empty: int
    scores: Mapping[str, Mapping[str, Score]]
    masks: Mapping[str, NDArray[np.bool_]]
    notes: tuple[str, ...]
    sampling: str = "exact"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(self.scores["noisy"])

    def score(self, mode: str, metric: str = "dice") -> Score:
        """Return one score.

        Raises
        ------
        UnknownNameError
            There is no such mode or metric in this evaluation.
        """
        for kind, name, known in (
            ("mode", mode, tuple(self.scores)),
            ("metric", metric, self.metrics),
        ):
            if name not in known:
                raise UnknownNameError(
                    f"this evaluation has no {kind} '{name}' but {', '.join(known)}"
                    f"{did_you_mean(name, known)}"
                )
        return self.scores[mode][metric]

    def chip_yield(self, minimum: float, metric: str = "dice") -> float:
        """Return the share of chips whose mean is at least `minimum`, 0 to 1.

        Raises
        ------
        UnknownNameError
            `metric` is not in this evaluation.
        InputError
            `minimum` is NaN.
        """
        if math.isnan(minimum):
            raise InputError("minimum is NaN: give the mean that a chip needs to pass")
        return float(np.mean(self.score("noisy", metric).runs >= minimum))

    def chip_interval(self, metric: str = "dice") -> tuple[float, float]:
        """Return the 95 % interval of the mean over chips, each the mean of its cases.

        Other than `Score.interval`, which is over cases, it says how sure the mean of all chips
        that could be made is on these cases: Student's t; without end for one chip.

        Raises
        ------
        UnknownNameError
            `metric` is not in this evaluation.
        """
        runs = self.score("noisy", metric).runs
        mean, half = float(_mean(runs, axis=0)), half_width(runs)
        return mean - half, mean + half

    def difference(self, mode: str, against: str, metric: str = "dice") -> Score:
        """Return one mode minus another, case by case; its interval is that of paired cases.

        Parameters
        ----------
        mode
            The mode to judge, of any number of runs.
        against
            The mode to compare with, of one run, such as ``"float"``.
        metric
            Which metric; a case counts where both modes define it.

        Raises
        ------
        UnknownNameError
            There is no such mode or metric in this evaluation.
        InputError
            `against` has several runs, so no run of it belongs to a run of `mode`.
        """
        other = self.score(against, metric).values
        if len(other) != 1:
            raise InputError(f"against='{against}' has {len(other)} runs: compare with a mode of 1")
        return Score.of(self.score(mode, metric).values - other)

    def table(self) -> str:
        """Return mean and interval by mode and metric as aligned text, notes below."""
        header = ["", *(_titled(name) for name in self.metrics), "chips"]
        rows = [
            [mode, *(_shown(score) for score in scores.values()), _spread(self, mode)]
            for mode, scores in self.scores.items()
        ]
        legend = (
            f"mean [95 % bootstrap interval over cases]; {len(self.ids)} cases of {self.dataset}, "
            f"{len(self.chips)} chip{'s' * (len(self.chips) != 1)} of {self.machine}"
        )
        paired = (
            f"noisy minus {other}, case by case: {self.metrics[0]} "
            + _shown(self.difference("noisy", other, self.metrics[0]), sign="+")
            for other in ("float", "ideal")
            if other in self.scores
        )
        if len(self.chips) > 1:
            low, high = self.chip_interval(self.metrics[0])
            legend += f"\nover chips: {self.metrics[0]} 95 % interval [{low:.3f}, {high:.3f}]"
        notes = (f"note: {note}" for note in self.notes)
        return "\n".join([text_table(header, rows, "l" * len(header)), legend, *paired, *notes])

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as JSON has them: lists, and None for what is undefined."""
        return {
            "program": self.program,
            "dataset": self.dataset,
            "machine": self.machine,
            "noise": self.noise if isinstance(self.noise, str) else list(self.noise),
            "sampling": self.sampling,
            "seed": self.seed,
            "threshold": self.threshold,
            "cases": list(self.ids),
            "empty_truths": self.empty,
            "chips": list(self.chips),
            "units": {name: UNITS.get(name, "") for name in self.metrics},
            "interval_level": LEVEL,
            "chip_interval": {
                name: [_plain(end) for end in self.chip_interval(name)] for name in self.metrics
            },
            "scores": {
                mode: {name: _score_dict(score) for name, score in scores.items()}
                for mode, scores in self.scores.items()
            },
            "notes": list(self.notes),
        }


def half_width(values: Floats) -> float:
    """Return how far the interval of level 0.95 of a mean reaches to either side: Student's t.

    Parameters
    ----------
    values
        (n,) independent values, NaN left out; fewer than two have no interval: infinity.
    """
    from scipy.special import stdtrit

    kept = values[~np.isnan(values)]
    if len(kept) < 2:
        return math.inf
    quantile = float(stdtrit(len(kept) - 1, (1 + LEVEL) / 2))
    return quantile * float(kept.std(ddof=1)) / math.sqrt(len(kept))


def _mean(values: Floats, axis: int) -> Floats:
    """Return the mean along an axis without the NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _score_dict(score: Score) -> dict[str, Any]:
    """Return a score as JSON has it."""
    return {
        "mean": _plain(score.mean),
        "interval": [_plain(end) for end in score.interval],
        "undefined": score.undefined,
        "runs": [_plain(value) for value in score.runs],
        "values": [[_plain(value) for value in run] for run in score.values],
    }


def _plain(value: float) -> float | None:
    """Return a number that JSON has; it has no NaN."""
    return float(value) if math.isfinite(value) else None


def _titled(name: str) -> str:
    """Return a metric's name with its unit."""
    return f"{name} ({UNITS[name]})" if UNITS.get(name) else name


def _shown(score: Score, sign: str = "") -> str:
    """Return ``mean [low, high]``, and how many values are left out."""
    if math.isnan(score.mean):
        return "undefined"
    low, high = score.interval
    text = f"{score.mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{text} ({score.undefined} undefined)" if score.undefined else text


def _spread(evaluation: Evaluation, mode: str) -> str:
    """Return the worst and best chip by the first metric, if this mode has chips."""
    if mode != "noisy":
        return ""
    name = evaluation.metrics[0]
    runs = evaluation.scores[mode][name].runs
    runs = runs[~np.isnan(runs)]
    return f"{name} {runs.min():.3f} to {runs.max():.3f}" if runs.size else ""
