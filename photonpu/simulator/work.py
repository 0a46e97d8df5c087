"""What a program asks of a machine, in counts: latency and energy are functions of these.

A layer streams its vectors through one tile after another, weight-stationary: each core holds a
tile until all vectors have passed it, twice where a detector reads intensities. Where the last
turn of a stream leaves cores idle, they take copies of its tiles and share the vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Machine
from photonpu.program import (
    HostStep,
    PhotonicStep,
    Program,
    ReprogrammedStep,
    TensorInfo,
    TileBank,
)
from photonpu.program.cutting import blocks
from photonpu.program.tiles import held_phases

#: What the row of an estimate is called in which a mesh takes the matrices of a product.
REPROGRAM = "Reprogram"
_OPERATIONS_A_SAMPLE = 2  # times the tile's scale, and added to the partial sum


@dataclass(frozen=True, slots=True)
class Work:
    """What one layer of a batch asks for.

    Attributes
    ----------
    name, op
        The node and its ONNX operator.
    tiles
        Tiles that the layer is cut into.
    vectors
        Vectors that stream through each of them, all streams together.
    macs
        Multiply-accumulates on the meshes, padding not counted.
    programmings
        Times that a core takes a new tile, copies included.
    turns
        Times that the cores wait for their phases to settle, one for each row of tiles that
        they take side by side.
    cycles
        Clock cycles in which vectors pass.
    held_programming, held_vectors
        Phases, in units of pi, that are held while they settle and for each vector: summed over
        programmings, and over vectors and tiles.
    dac_samples, adc_samples
        Conversions at the inputs and at the outputs.
    accumulations
        Digital operations of the accumulators that follow the ADCs at their rate.
    operations
        Operations of the digital unit.
    sram_bits, dram_bits
        Read and written.
    """

    name: str
    op: str
    tiles: int = 0
    vectors: int = 0
    macs: int = 0
    programmings: int = 0
    turns: int = 0
    cycles: int = 0
    held_programming: float = 0.0
    held_vectors: float = 0.0
    dac_samples: int = 0
    adc_samples: int = 0
    accumulations: int = 0
    operations: int = 0
    sram_bits: int = 0
    dram_bits: int = 0


def count(program: Program, machine: Machine, batch: int) -> Iterator[Work]:
    """Yield the work of each layer, and last that of fetching inputs and handing out outputs.

    Parameters
    ----------
    program
        The compiled network.
    machine
        What it runs on; with the ports and cores that it was compiled for.
    batch
        Samples that pass a tile while it is programmed.
    """
    held = held_phases(program.tiles, machine.mesh.topology)
    for step in program.steps:
        if isinstance(step, PhotonicStep):
            yield _photonic(program.tiles, held, step, machine, batch)
        elif isinstance(step, ReprogrammedStep):
            yield from _reprogrammed(step, machine, batch)
        else:
            yield from _digital(step, machine, batch)
    elements = sum(map(_elements, (*program.inputs, *program.outputs))) * batch
    bits = elements * machine.memory.word_bits
    yield Work("inputs and outputs", "Transfer", sram_bits=bits, dram_bits=bits)


def _photonic(
    tiles: TileBank, held: NDArray[np.float64], step: PhotonicStep, machine: Machine, batch: int
) -> Work:
    turns = cycles = programmings = dac = adc = rows = 0
    held_programming = held_vectors = 0.0
    passes = machine.detector.passes
    for stream, (first, last), windows in zip(
        step.geometry.streams, step.tiles, step.vectors, strict=True
    ):
        number, vectors = last - first, windows * batch
        copies = _copies(number, vectors, machine.cores)
        turns += math.ceil(number / machine.cores)
        cycles += math.ceil(passes * number * vectors / (machine.cores * machine.wavelengths))
        programmings += copies
        dac += vectors * int(tiles.columns[first:last].sum())
        adc += vectors * int(tiles.rows[first:last].sum())
        rows += vectors * step.geometry.matrix_shape(stream)[0]
        phases = float(held[first:last].sum())
        held_programming += phases * copies / max(number, 1)
        held_vectors += phases * vectors * passes
    weight_bits = sum(last - first for first, last in step.tiles) * (
        machine.mesh.shifters * machine.phase.dac_bits
    )
    spilled = _spilled((step.in_elements + step.out_elements) * batch, machine)
    words = dac + adc + max(adc - rows, 0)  # partial sums are written, and read but the first
    stored = machine.memory.weights_in_dram
    return Work(
        step.name,
        step.op,
        tiles=sum(last - first for first, last in step.tiles),
        vectors=sum(step.vectors) * batch,
        macs=step.macs * batch,
        programmings=programmings,
        turns=turns,
        cycles=cycles,
        held_programming=held_programming,
        held_vectors=held_vectors,
        dac_samples=dac * passes,
        adc_samples=adc,
        accumulations=_OPERATIONS_A_SAMPLE * adc
        + (0 if step.bias is None else step.out_elements * batch),
        sram_bits=words * machine.memory.word_bits + (0 if stored else weight_bits),
        dram_bits=spilled + (weight_bits if stored else 0),
    )


def _reprogrammed(step: ReprogrammedStep, machine: Machine, batch: int) -> Iterator[Work]:
    """Yield the work of setting a product's matrices, and that of streaming through them.

    The digital unit decomposes each tile, its phases pass the memory on chip, and the cores settle
    for each tile that they take.
    """
    ports, cores = machine.mesh.ports, machine.cores
    matrices, vectors = step.matrices * batch, step.vectors * batch
    number, passes = step.tiles * matrices, machine.detector.passes
    passed = passes * step.tiles * vectors
    copies = _copies(number, vectors // matrices, cores)
    columns, rows = math.ceil(step.columns / ports), math.ceil(step.rows / ports)
    operations = sum(
        decomposition_operations(place.rows, place.columns)
        for place in blocks(1, step.rows, step.columns, ports)
    )
    dac, adc = vectors * step.columns * rows, vectors * step.rows * columns
    phase_bits = number * machine.mesh.shifters * machine.phase.dac_bits
    held_bits = matrices * step.rows * step.columns * machine.memory.word_bits
    spilled = _spilled((step.in_elements + step.out_elements) * batch, machine)
    words = dac + adc + max(adc - vectors * step.rows, 0)
    yield Work(
        f"{step.name} (programming)",
        REPROGRAM,
        tiles=number,
        programmings=copies,
        turns=math.ceil(number / cores),
        held_programming=step.phase_pi * copies,
        operations=matrices * operations,
        sram_bits=held_bits + 2 * phase_bits,
    )
    yield Work(
        step.name,
        step.op,
        tiles=number,
        vectors=vectors,
        macs=step.macs * batch,
        cycles=math.ceil(passed / (cores * machine.wavelengths)),
        held_vectors=step.phase_pi * passed,
        dac_samples=dac * passes,
        adc_samples=adc,
        accumulations=_OPERATIONS_A_SAMPLE * adc,
        sram_bits=words * machine.memory.word_bits,
        dram_bits=spilled,
    )


def decomposition_operations(rows: int, columns: int) -> int:
    """Return the operations that turn one block of a matrix into phases.

    With m its longer side and n its shorter one, ``4 m^2 n + 8 m n^2 + 9 n^3`` for the singular
    value decomposition (Golub and Van Loan, Matrix Computations, 4th ed., figure 8.6.1), and for
    the mesh of each side of length N ``N (N - 1) / 2`` plane rotations of two rows of N real
    numbers, 6 N each (ibid., 5.1.9). Ports beyond the block are never mixed.
    """
    m, n = max(rows, columns), min(rows, columns)
    singular_values = 4 * m * m * n + 8 * m * n * n + 9 * n**3
    return singular_values + sum(3 * side * side * (side - 1) for side in (rows, columns))


def _copies(number: int, vectors: int, cores: int) -> int:
    """Return how often a core takes one of `number` tiles; a copy needs a vector to share."""
    idle = -number % cores
    return number + min(idle, (number % cores) * max(vectors - 1, 0))


def _digital(step: HostStep, machine: Machine, batch: int) -> Iterator[Work]:
    for operator in step.operators:
        elements = (operator.elements_in + operator.elements_out) * batch
        yield Work(
            operator.name,
            operator.op,
            operations=operator.operations * batch,
            sram_bits=elements * machine.memory.word_bits,
            dram_bits=_spilled(elements, machine),
        )


def _spilled(elements: int, machine: Machine) -> int:
    """Return the bits of activations that do not fit on chip."""
    capacity = int(machine.memory.sram_mb * 8e6)
    return max(0, elements * machine.memory.word_bits - capacity)


def _elements(info: TensorInfo) -> int:
    """Return the elements of one sample; a free axis is the batch."""
    return math.prod(size for size in info.shape if isinstance(size, int))
