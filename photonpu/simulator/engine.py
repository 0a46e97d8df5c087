"""What a chip makes of a photonic step: its tile matrices, and vectors streamed through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu import keyed, mesh
from photonpu.hardware import Chip, LinkBudget, Machine
from photonpu.program import Geometry, PhotonicStep, Program, Stream, TileBank, windows
from photonpu.program.tiles import one_blas_thread
from photonpu.simulator import kernels
from photonpu.units import db_to_field

Singles = NDArray[np.float32]
Run = Callable[[Singles, int], Singles]  # input and index of its first sample to output
_CHIP_SOURCES = frozenset({"splitter", "phase", "loss", "dac", "crosstalk"})
_CHUNK_ELEMENTS = 1 << 22  # of vectors that are gathered at once: 16 MiB
_DETECTOR_STREAM = 0x64657463  # sets shot noise apart from a chip's draws


@dataclass(frozen=True, slots=True)
class Detection:
    """The receiver of every sample: noise variances and converter levels of one session.

    Attributes
    ----------
    floor, slope
        Variance of a sample ``y`` is ``floor + slope * y^2``, in squared units of one port's
        full-scale field.
    adc_levels, dac_levels
        Levels on each side of zero; 0 where the converter is switched off.
    key
        (2,) words that key the shot noise.
    """

    floor: float
    slope: float
    adc_levels: float
    dac_levels: float
    key: NDArray[np.uint32]

    @property
    def perfect(self) -> bool:
        """Whether nothing happens to a vector but its product."""
        return not (self.floor or self.slope or self.adc_levels or self.dac_levels)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The tiles of one stream, in the order in which `kernels.stream` wants them.

    Attributes
    ----------
    weights
        Transposed matrices of the tiles, column of blocks by column of blocks, flat.
    column
        (c, 4) for each column of blocks: first input, last + 1, first tile, last + 1.
    tile
        (t, 4) for each tile: place of its outputs in its column, how many, row, index.
    factor, full_scale
        (t,) scale of each tile, and the largest output that its ADC represents.
    rows
        Rows of the whole matrix.
    """

    weights: Singles
    column: NDArray[np.int32]
    tile: NDArray[np.int32]
    factor: Singles
    full_scale: Singles
    rows: int


def detection(machine: Machine, sources: frozenset[str], chip: int, seed: int) -> Detection:
    """Return the receiver that `machine` has with the noise `sources` switched on."""
    floor = slope = 0.0
    if sources & {"shot", "thermal"}:
        shot_floor, shot_slope, thermal = LinkBudget.of(machine).variance
        if "shot" in sources:
            floor, slope = floor + shot_floor, slope + shot_slope
        if "thermal" in sources:
            floor += thermal
    counter = [[_DETECTOR_STREAM, chip & 0xFFFFFFFF, chip >> 32, 0]]
    return Detection(
        floor=floor,
        slope=slope,
        adc_levels=_levels(machine.converters.adc_bits) if "adc" in sources else 0.0,
        dac_levels=_levels(machine.converters.input_bits) if "input_dac" in sources else 0.0,
        key=keyed.philox(counter, [seed & 0xFFFFFFFF, seed >> 32])[0, :2].copy(),
    )


def _levels(bits: int) -> float:
    """Return the levels of a signed converter on each side of zero."""
    return float(2 ** (bits - 1) - 1)


def tile_matrices(
    program: Program, machine: Machine, chip: Chip, sources: frozenset[str]
) -> NDArray[np.float64]:
    """Return `bank_matrices` of all tiles of a program."""
    return bank_matrices(program.tiles, machine, chip, sources)


def bank_matrices(
    bank: TileBank, machine: Machine, chip: Chip, sources: frozenset[str]
) -> NDArray[np.float64]:
    """Return what tiles multiply by on one chip, in units of their scale.

    Homodyne detection reads the field's component in phase with the local oscillator: the real
    part. The mean loss over the paths of a mesh is calibrated out, its spread is not.

    Returns
    -------
    ndarray
        (T, N, N).
    """
    field = mesh.tile_matrices(
        bank.theta,
        bank.phi,
        bank.psi,
        bank.attenuator,
        bank.core,
        chip,
        machine,
        sources=sources & _CHIP_SOURCES,
    )
    real = np.ascontiguousarray(field.real)
    if "loss" in sources:
        passed = 2 * (machine.mesh.ports - 1) + 1  # MZIs that a path meets on average
        real /= db_to_field(machine.mesh.mzi_loss_db * passed)
    return real


def arranged(
    bank: TileBank, matrices: NDArray[np.float64], tiles: tuple[int, int], rows: int
) -> Matrix:
    """Put the tiles of one stream in order, those that share a block of inputs side by side."""
    inside = np.arange(*tiles)
    order = inside[np.argsort(bank.column[inside], kind="stable")]
    weights, column = [], []
    places: list[tuple[int, int, int, int]] = []
    for begin in np.unique(bank.column[order]).tolist():
        members = order[bank.column[order] == begin]
        width = int(bank.columns[members[0]])
        column.append((begin, begin + width, len(places), len(places) + len(members)))
        weight = np.concatenate([matrices[t, : bank.rows[t], :width] for t in members])
        weights.append(weight.T.ravel())
        offset = 0
        for t in members:
            places.append((offset, int(bank.rows[t]), int(bank.row[t]), int(t)))
            offset += int(bank.rows[t])
    return Matrix(
        weights=np.concatenate(weights).astype(np.float32),
        column=np.array(column, np.int32),
        tile=np.array(places, np.int32),
        factor=bank.scale[order].astype(np.float32),
        full_scale=bank.adc_range[order].astype(np.float32),
        rows=rows,
    )


def dense(
    bank: TileBank, matrices: NDArray[np.float64], tiles: tuple[int, int], shape: tuple[int, int]
) -> Singles:
    """Put the tiles of one stream together: the (columns, rows) matrix they stand for."""
    whole = np.zeros(shape)
    for t in range(*tiles):
        row, column, rows, width = bank.row[t], bank.column[t], bank.rows[t], bank.columns[t]
        whole[row : row + rows, column : column + width] += (
            bank.scale[t] * matrices[t, :rows, :width]
        )
    return np.ascontiguousarray(whole.T, np.float32)


def layer(
    bank: TileBank, step: PhotonicStep, matrices: NDArray[np.float64], receiver: Detection
) -> Run:
    """Prepare a step for running: one matrix a stream where no sample needs detecting.

    Parameters
    ----------
    bank
        The program's tiles.
    step
        The step.
    matrices
        (T, N, N) of one chip, as `tile_matrices` gives them.
    receiver
        Converters and detector.

    Returns
    -------
    callable
        Takes the input tensor and the index of its first sample, gives the output tensor.
    """
    shapes = [step.geometry.matrix_shape(stream) for stream in step.geometry.streams]
    if not receiver.perfect:
        detected = tuple(
            arranged(bank, matrices, tiles, rows)
            for tiles, (rows, _) in zip(step.tiles, shapes, strict=True)
        )
        return lambda x, first: run_detected(x, step, detected, receiver, first)
    exact = tuple(
        dense(bank, matrices, tiles, shape) for tiles, shape in zip(step.tiles, shapes, strict=True)
    )
    return lambda x, first: run_exact(x, step, exact)


def run_exact(x: Singles, step: PhotonicStep, matrices: tuple[Singles, ...]) -> Singles:
    """Run a step without converters or detector: one product a stream.

    Parameters
    ----------
    x
        The step's input tensor.
    step
        What to run.
    matrices
        For each stream the (columns, rows) matrix that `dense` gives.

    Returns
    -------
    ndarray
        The step's output tensor.
    """
    form = windows.channels_form(x, step.geometry)
    out = _empty_output(form, step.geometry)
    for stream, weight in zip(step.geometry.streams, matrices, strict=True):
        for first, last in _chunks(form, step.geometry, stream):
            vectors = windows.vectors(form[first:last], step.geometry, stream)
            with one_blas_thread():
                rows = vectors @ weight
            windows.scatter(rows, step.geometry, stream, out[first:last])
    return _finish(out, x, step)


def run_detected(
    x: Singles,
    step: PhotonicStep,
    matrices: tuple[Matrix, ...],
    receiver: Detection,
    first_sample: int,
) -> Singles:
    """Run a step with converters and detector noise: one ADC sample for each tile's output.

    Parameters
    ----------
    x
        The step's input tensor.
    step
        What to run.
    matrices
        For each stream the tiles as `arranged` gives them.
    receiver
        Converters and detector.
    first_sample
        Index of the batch's first sample, which keys the noise.

    Returns
    -------
    ndarray
        The step's output tensor.
    """
    form = windows.channels_form(x, step.geometry)
    form = kernels.quantise(form, step.input_range, receiver.dac_levels)
    out = _empty_output(form, step.geometry)
    for stream, matrix, count in zip(step.geometry.streams, matrices, step.vectors, strict=True):
        each = math.prod(stream.window.count(form.shape[2:]))
        for first, last in _chunks(form, step.geometry, stream):
            vectors = windows.vectors(form[first:last], step.geometry, stream)
            start = first_sample * count + first * each
            rows = stream_vectors(vectors, matrix, step.input_range, start, receiver)
            windows.scatter(rows, step.geometry, stream, out[first:last])
    return _finish(out, x, step)


def stream_vectors(
    vectors: Singles, matrix: Matrix, input_range: float, start: int, receiver: Detection
) -> Singles:
    """Stream vectors through one matrix; the kernel's threads each call a BLAS of one thread."""
    with one_blas_thread():
        return kernels.stream(
            vectors,
            matrix.weights,
            matrix.column,
            matrix.tile,
            matrix.factor * np.float32(input_range),
            matrix.full_scale,
            matrix.rows,
            start,
            receiver.adc_levels,
            receiver.floor,
            receiver.slope,
            receiver.key,
        )


def _empty_output(form: Singles, geometry: Geometry) -> Singles:
    """Return zeros of the shape ``(batch, out_channels, *spatial)`` of the output."""
    size = geometry.output_size(form.shape[2:])
    return np.zeros((len(form), geometry.out_channels, *size), np.float32)


def _finish(out: Singles, x: Singles, step: PhotonicStep) -> Singles:
    """Add the bias, digitally, and give the output the model's shape."""
    if step.bias is not None:
        out += step.bias.reshape(-1, *(1,) * (out.ndim - 2))
    return windows.output_form(out, step.geometry, x.shape)


def _chunks(form: Singles, geometry: Geometry, stream: Stream) -> Iterator[tuple[int, int]]:
    """Yield ranges of samples whose vectors together stay within the memory bound."""
    rows, width = geometry.matrix_shape(stream)
    elements = math.prod(stream.window.count(form.shape[2:])) * (rows + width)
    size = max(1, _CHUNK_ELEMENTS // max(1, elements))
    for first in range(0, len(form), size):
        yield first, min(len(form), first + size)
