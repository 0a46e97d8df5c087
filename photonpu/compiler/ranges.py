"""How the ranges of converters follow from what calibration saw, by a rule of the user's choice.

From the largest value (Jacob et al., arXiv:1712.05877); from a percentile (Wu et al.,
arXiv:2004.09602); or as the range with the least squared error of rounding and clipping together
(Max, IRE Trans. Inform. Theory 6, 7, 1960, for evenly spaced levels; Banner et al.,
arXiv:1810.05723, for networks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import kernels_ranges
from photonpu.compiler.spread import BINS, OCTAVES, Counts, Spread, begins_of, codes
from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.registry import did_you_mean

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Per = Literal["tile", "row", "layer"]

_USUAL_PERCENTILE = 99.99
_HALVINGS = 40  # until a percentile is found
_STEPS = (2, 8, 32)  # parts of an octave that the search for the least error goes by, in turn
_REACH = 4  # of them to either side, from the second search on


@dataclass(frozen=True, slots=True)
class Rule:
    """How ranges are set.

    Attributes
    ----------
    method
        An entry of `METHODS`.
    percentile
        Of absolute values that are to be represented, for the method of that name.
    per
        What has an ADC range of its own: each tile, each row of a tile (each output port), or each
        layer. Input DACs have one for each layer.
    """

    method: str = "max"
    percentile: float = _USUAL_PERCENTILE
    per: Per = "tile"

    @classmethod
    def of(cls, method: str = "max", per: str = "tile") -> Rule:
        """Return a rule from the arguments of `photonpu.compile`.

        Raises
        ------
        InputError
            There is no such method, no percentile like this, or nothing else that has a range.
        """
        name, colon, number = method.partition(":")
        if name not in METHODS:
            raise InputError(
                f"calibration_method='{method}': there is no such method"
                f"{did_you_mean(name, METHODS) or f'; there are {list(METHODS)}'}"
            )
        percentile = _percentile(method, number) if colon else _USUAL_PERCENTILE
        for known in get_args(Per):
            if per == known:
                return cls(name, percentile, known)
        raise InputError(
            f"calibration_per='{per}': ranges are set for each of {list(get_args(Per))}"
        )

    @property
    def counts(self) -> bool:
        """Whether it asks for more than the largest value."""
        return self.method != "max"

    def __str__(self) -> str:
        """Return it as a user writes it, as ``percentile:99.9 per row``."""
        number = f":{self.percentile:g}" if self.method == "percentile" else ""
        return f"{self.method}{number} per {self.per}"


def _percentile(method: str, number: str) -> float:
    """Return the number of ``percentile:99.9``."""
    try:
        percentile = float(number) if method.startswith("percentile:") else np.nan
    except ValueError:
        percentile = np.nan
    if not 50 <= percentile <= 100:
        raise InputError(
            f"calibration_method='{method}': only percentile takes a number, from 50 to 100, "
            "as in percentile:99.9"
        )
    return percentile


@dataclass(frozen=True, slots=True)
class Converter:
    """What the least error depends on: levels to either side of zero, and noise of its own.

    Attributes
    ----------
    levels
        Levels on each side of zero.
    noise
        Variance of its noise for each unit of the square of its range.
    """

    levels: float
    noise: float = 0.0

    @classmethod
    def adc(cls, machine: Machine) -> Converter:
        """Return the ADC of a machine; fewer effective bits are noise, as the simulator has it."""
        bits, effective = machine.converters.adc_bits, machine.converters.adc_enob
        noise = 0.0 if effective is None else max(0.0, 4.0**-effective - 4.0**-bits) / 3.0
        return cls(2.0 ** (bits - 1) - 1, noise)

    @classmethod
    def dac(cls, machine: Machine) -> Converter:
        """Return the input DAC of a machine."""
        return cls(2.0 ** (machine.converters.input_bits - 1) - 1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Ranges to be found: one for each of several sets of groups.

    Attributes
    ----------
    spread
        The numbers of G groups.
    unit
        (G,) positive: a range of 1 reaches to this, in the unit of the numbers.
    owner
        (G,) the set that a group belongs to.
    largest
        (R,) the range of each set that nothing exceeds.
    """

    spread: Spread
    unit: Floats
    owner: Longs
    largest: Floats

    @classmethod
    def alone(cls, spread: Spread) -> Wanted:
        """Ask for a range for each group, in the unit of its numbers."""
        groups = len(spread.largest)
        return cls(spread, np.ones(groups), np.arange(groups), spread.largest)

    @classmethod
    def together(cls, spread: Spread, unit: Floats) -> Wanted:
        """Ask for one range for all groups."""
        owner = np.zeros(len(unit), np.int64)
        return cls(spread, unit, owner, np.max(spread.largest / unit, initial=0.0, keepdims=True))

    def over_sets(self, found: Floats) -> Floats:
        """Add up what was found for groups, (G, ...), set by set."""
        sums = np.zeros((len(self.largest), *found.shape[1:]))
        np.add.at(sums, self.owner, found)
        return sums


def ranges(wanted: Wanted, rule: Rule, converter: Converter) -> Floats:
    """Return the ranges that a rule gives, (R,); 0 where no number was other than zero.

    No range is below 1/4096 of the largest number.
    """
    return METHODS[rule.method](wanted, rule, converter)


def _largest(wanted: Wanted, rule: Rule, converter: Converter) -> Floats:
    """Let nothing be clipped."""
    del rule, converter
    return wanted.largest


def _at_percentile(wanted: Wanted, rule: Rule, converter: Converter) -> Floats:
    """Find what a share of the numbers does not exceed, by halving; linear within a bin."""
    del converter
    counts, begins = _histogram(wanted.spread)
    ends = np.concatenate([begins, wanted.spread.largest[:, None]], axis=1)
    upto = np.cumsum(counts, axis=1, dtype=np.float64)
    goal = wanted.over_sets(upto[:, -1]) * rule.percentile / 100
    groups, first = np.arange(len(ends)), BINS - codes(wanted.spread.largest)
    low, high = wanted.largest * 2.0**-OCTAVES, wanted.largest.copy()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        limit = middle[wanted.owner] * wanted.unit
        inside = np.clip(codes(limit) + first, 0, BINS)
        end, before = ends[groups, inside], ends[groups, np.maximum(0, inside - 1)]
        begin = np.where(inside > 0, before, 0.0)
        beyond = np.divide(end - limit, end - begin, out=np.zeros_like(end), where=end > begin)
        reached = upto[groups, inside] - counts[groups, inside] * np.clip(beyond, 0.0, 1.0)
        enough = wanted.over_sets(reached) >= goal
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _of_least_error(wanted: Wanted, rule: Rule, converter: Converter) -> Floats:
    """Search for the least squared error of rounding, clipping and the converter's own noise."""
    del rule
    if converter.levels < 1:
        return wanted.largest
    counts, begins = _histogram(wanted.spread)
    noise = converter.noise * counts.sum(axis=1)
    factor = np.ones_like(wanted.largest)
    steps = np.arange(0, -OCTAVES * _STEPS[0], -1)
    for parts in _STEPS:
        tried = np.minimum(1.0, factor[:, None] * 2.0 ** (steps / parts))
        full = tried * np.where(wanted.largest > 0, wanted.largest, 1.0)[:, None]
        clips = full[wanted.owner] * wanted.unit[:, None]
        errors = kernels_ranges.conversion_errors(
            begins, wanted.spread.largest, counts, clips, converter.levels
        )
        best = wanted.over_sets(errors + noise[:, None] * clips**2).argmin(axis=1)
        factor = np.take_along_axis(tried, best[:, None], axis=1)[:, 0]
        steps = np.arange(_REACH, -_REACH - 1, -1)
    return wanted.largest * factor


def _histogram(spread: Spread) -> tuple[Counts, Floats]:
    """Return the counts of a spread, and where its bins begin."""
    if spread.counts is None:
        raise ValueError("nothing was counted")
    return spread.counts, begins_of(spread.largest)


METHODS: Mapping[str, Callable[[Wanted, Rule, Converter], Floats]] = {
    "max": _largest,
    "percentile": _at_percentile,
    "mse": _of_least_error,
}


def input_range_of(inputs: Spread, rule: Rule, machine: Machine) -> float:
    """Return the full scale of a layer's input DACs; 1 where calibration saw only zeros."""
    found = float(ranges(Wanted.alone(inputs), rule, Converter.dac(machine))[0])
    return found if found > 0 else 1.0


def adc_ranges(
    widest: Floats,
    sums: Sequence[Spread],
    unit: Floats,
    rows: Sequence[int],
    rule: Rule,
    machine: Machine,
) -> Floats:
    """Return the ranges of the ADCs of one layer.

    Parameters
    ----------
    widest
        (T,) a range for each tile that nothing can overrun: for what calibration saw nothing of.
    sums
        Stream by stream, how large the partial sums of its tiles, or of their rows, are.
    unit
        (T,) one unit of output of each tile, in the unit of the sums.
    rows
        Rows of each tile.
    rule, machine
        How to set ranges, and for which ADCs.

    Returns
    -------
    ndarray
        (T,), or (T, N) with ranges for each row, in units of output.
    """
    converter = Converter.adc(machine)
    if rule.per == "layer":
        return _for_a_layer(widest, sums, unit, rule, converter)
    found = np.concatenate([ranges(Wanted.alone(part), rule, converter) for part in sums])
    tile = np.arange(len(rows)).repeat(rows if rule.per == "row" else 1)
    known = (found > 0) & (unit[tile] > 0)
    relative: Floats = np.divide(found, unit[tile], out=widest[tile], where=known)
    if rule.per == "tile":
        return relative
    wide: Floats = np.repeat(widest[:, None], machine.mesh.ports, axis=1)
    wide[tile, np.concatenate([np.arange(count) for count in rows])] = relative
    return wide


def _for_a_layer(
    widest: Floats, sums: Sequence[Spread], unit: Floats, rule: Rule, converter: Converter
) -> Floats:
    """Return one range for all tiles of a layer, (T,)."""
    known = np.flatnonzero(unit > 0)
    every = Spread.placed(_numbered(sums), len(unit), rule.counts).only(known)
    found = ranges(Wanted.together(every, unit[known]), rule, converter)[0]
    return np.full(len(unit), found if found > 0 else widest.max(initial=1.0))


def _numbered(sums: Sequence[Spread]) -> Iterator[tuple[Longs, Spread]]:
    """Give the groups of several parts numbers that run through."""
    first = 0
    for part in sums:
        yield np.arange(first, first + len(part.largest)), part
        first += len(part.largest)
