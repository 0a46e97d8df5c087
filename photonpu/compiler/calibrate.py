"""Ranges from data: what the input DACs and the ADCs of each layer must represent.

The float network runs on sample data in onnxruntime, the input of every photonic node is read
out, and how large inputs and the partial sums of tiles are is kept: the largest of them, or their
histograms where the rule of `photonpu.compiler.ranges` asks for more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photonpu import keyed
from photonpu.compiler import reference_ranges
from photonpu.compiler.ranges import Rule
from photonpu.compiler.spread import Spread
from photonpu.errors import InputError
from photonpu.program import Geometry, TensorInfo, windows
from photonpu.program.cutting import Block, Reals

if TYPE_CHECKING:
    from photonpu.compiler.kernels_windows import Lines

Array = NDArray[np.generic]
Feeds = Mapping[str, Array]
#: Gives the largest sums of tiles, as `photonpu.compiler.kernels_sums` says.
Largest = Callable[["Lines", int, NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]

SAMPLES = 16  # of the calibration data that are used, evenly spaced
DRAWN = 2**26  # numbers of an input at most, where nobody gives any: drawing takes 40 bytes each
VECTORS = 1024  # of each sample that give a layer's partial sums, evenly spaced


@dataclass(frozen=True, slots=True)
class Tiles:
    """The matrices of one stream: places and zero-padded numbers (T, N, N)."""

    places: tuple[Block, ...]
    numbers: Reals


@dataclass(frozen=True, slots=True)
class Ranges:
    """What calibration found for one photonic node.

    Attributes
    ----------
    inputs
        Its inputs, one group.
    sums
        For each stream the partial sums of each tile, or of each row of each tile.
    """

    inputs: Spread
    sums: tuple[Spread, ...]


def feeds(
    inputs: Sequence[TensorInfo], calibration: Array | Mapping[str, Array] | None
) -> list[Feeds]:
    """Return the samples to calibrate with, one a run.

    Parameters
    ----------
    inputs
        The network's inputs; only the first axis may be free.
    calibration
        An array of samples for a network of one input, or one for each input by name. Without
        any, one sample of standard normal numbers (seed 0).

    Raises
    ------
    InputError
        A name, a shape or a type does not fit, the data hold NaN or infinity, or an input without
        any is too large to be drawn.
    """
    if calibration is None:
        for info in inputs:  # before any is drawn, for they may be large
            if not np.issubdtype(np.dtype(info.dtype), np.floating):
                raise InputError(
                    f"input '{info.name}' is {info.dtype}: give calibration= samples of it, "
                    "random numbers would mean nothing"
                )
            count = math.prod(_sample_shape(info))
            if count > DRAWN:
                raise InputError(
                    f"input '{info.name}' has {count} numbers and {DRAWN} are the most that are "
                    "drawn: give calibration= samples of it"
                )
        return [{info.name: _default(info, index) for index, info in enumerate(inputs)}]
    if not isinstance(calibration, Mapping):
        if len(inputs) != 1:
            names = ", ".join(info.name for info in inputs)
            raise InputError(
                f"calibration is one array and the model has inputs {names}: name each"
            )
        calibration = {inputs[0].name: np.asarray(calibration)}
    missing = [info.name for info in inputs if info.name not in calibration]
    if missing or len(calibration) != len(inputs):
        names = ", ".join(info.name for info in inputs)
        raise InputError(
            f"calibration names {', '.join(calibration)} and the model has inputs {names}"
        )
    split = [list(_samples(info, np.asarray(calibration[info.name]))) for info in inputs]
    counts = {len(samples) for samples in split}
    if len(counts) != 1 or 0 in counts:
        raise InputError(f"calibration has {sorted(counts)} samples: each input needs as many")
    count = counts.pop()
    chosen = np.unique(np.linspace(0, count - 1, min(count, SAMPLES)).astype(int))
    names_of = [info.name for info in inputs]
    return [{n: s[i] for n, s in zip(names_of, split, strict=True)} for i in chosen]


def _default(info: TensorInfo, index: int) -> Array:
    """Return a sample of standard normal numbers in the shape and type of an input."""
    return keyed.normal_array(0, index, shape=_sample_shape(info)).astype(info.dtype)


def _sample_shape(info: TensorInfo) -> tuple[int, ...]:
    """Return the shape of one sample of an input."""
    return tuple(size if isinstance(size, int) else 1 for size in info.shape)


def _samples(info: TensorInfo, data: Array) -> Iterator[Array]:
    """Split calibration data of one input into arrays that the network takes."""
    data = data.astype(info.dtype) if np.can_cast(data.dtype, info.dtype, "same_kind") else data
    fits = data.ndim == len(info.shape) and data.dtype == np.dtype(info.dtype)
    for want, have in zip(info.shape[1:], data.shape[1:], strict=False):
        fits = fits and want == have
    if not fits:
        raise InputError(
            f"calibration of input '{info.name}' is {data.dtype} {data.shape}; samples of "
            f"{info.dtype} {info.shape} are needed"
        )
    if np.issubdtype(data.dtype, np.floating) and not np.isfinite(data).all():
        raise InputError(f"calibration of input '{info.name}' holds NaN or infinity: clean it")
    if not info.shape or info.shape[0] == data.shape[0]:
        yield data
    elif isinstance(info.shape[0], str) or info.shape[0] == 1:
        for i in range(len(data)):
            yield data[i : i + 1]
    else:
        raise InputError(
            f"calibration of input '{info.name}' has {len(data)} samples; its batch is "
            f"{info.shape[0]}"
        )


def measure(
    x: Array, geometry: Geometry, layers: Sequence[Tiles], rule: Rule, largest: Largest
) -> Ranges:
    """Return how large inputs and partial sums are for one input tensor.

    Parameters
    ----------
    x
        The input of the node.
    geometry
        Its geometry.
    layers
        The tiles of each of its streams.
    rule
        Says what of it is asked for.
    largest
        One of the functions of `photonpu.compiler.kernels_sums`.
    """
    from photonpu.compiler import kernels_windows

    single = np.asarray(x, np.float32)
    form = windows.channels_form(single, geometry)
    sums = []
    for stream, tiles in zip(geometry.streams, layers, strict=True):
        chosen, thinned = windows.thinned(form, stream, VECTORS)
        lines = kernels_windows.lines(chosen, thinned)
        if rule.counts or rule.per == "row":
            vectors = kernels_windows.gathered(lines, geometry.groups)
            sums.append(_sums(vectors, tiles, rule))
        else:
            sums.append(Spread(largest_sums(lines, geometry.groups, tiles, largest)))
    whole = np.ascontiguousarray(single).reshape(1, -1)
    return Ranges(Spread.of(whole, np.array([0, 1]), rule.counts), tuple(sums))


def largest_sums(lines: Lines, groups: int, tiles: Tiles, largest: Largest) -> NDArray[np.float64]:
    """Return the largest absolute output of each tile over some vectors of a product's groups."""
    if not (lines.at.size and len(tiles.places)):
        return np.zeros(len(tiles.places))
    from photonpu.compiler import kernels_windows

    numbers = np.fromiter(chain.from_iterable(tiles.places), np.int64).reshape(-1, 4)
    _, column, rows, columns = numbers.T
    places = np.stack([column, columns, rows], axis=1)
    matrices = tiles.numbers.astype(np.float32, copy=False)
    found = largest(lines, groups, matrices, places)
    if not np.isfinite(found).all():
        vectors = kernels_windows.gathered(lines, groups)
        found = reference_ranges.largest_sums(vectors, matrices, places)
    return found.astype(np.float64)


def _sharing(tiles: Tiles) -> list[list[int]]:
    """Return the tiles that read the same inputs, inputs by inputs."""
    shared: dict[tuple[int, int], list[int]] = {}
    for index, place in enumerate(tiles.places):
        shared.setdefault((place.column, place.columns), []).append(index)
    return list(shared.values())


def _stacked(tiles: Tiles, members: list[int]) -> Reals:
    """Return the matrices of tiles that read the same inputs, one below the other."""
    width = tiles.places[members[0]].columns
    return np.concatenate([tiles.numbers[i, : tiles.places[i].rows, :width] for i in members])


def _sums(vectors: NDArray[np.float32], tiles: Tiles, rule: Rule) -> Spread:
    """Return how large the outputs of each tile, or of each of its rows, are over some vectors."""
    rows = np.array([place.rows for place in tiles.places])
    first = np.cumsum([0, *rows]) if rule.per == "row" else np.arange(len(rows) + 1)
    parts = []
    for members in _sharing(tiles):
        weight = _stacked(tiles, members)
        low, width = tiles.places[members[0]].column, tiles.places[members[0]].columns
        outputs = weight.astype(np.float32) @ vectors[:, low : low + width].T
        groups = np.concatenate([np.arange(first[i], first[i + 1]) for i in members])
        heights = np.ones(len(groups), int) if rule.per == "row" else rows[members]
        parts.append((groups, Spread.of(outputs, np.cumsum([0, *heights]), rule.counts)))
    return Spread.placed(parts, int(first[-1]), rule.counts)


def widen(one: Ranges | None, other: Ranges) -> Ranges:
    """Return ranges that hold what either holds."""
    if one is None:
        return other
    return Ranges(
        one.inputs.joined(other.inputs),
        tuple(a.joined(b) for a, b in zip(one.sums, other.sums, strict=True)),
    )
