"""Products of two activations: each matrix is decomposed when it is known, and then streamed.

A tile of a matrix meets the errors of the core that takes it, as a tile of the program does; its
phases are those of the exact decomposition, rounded and moved as the machine says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.program import Program, ReprogrammedStep, TileBank, factors
from photonpu.program.tiles import bank, cut, one_blas_thread
from photonpu.simulator import engine, kernels
from photonpu.simulator.engine import Detection

Singles = NDArray[np.float32]
Run = Callable[[Singles, Singles, int], Singles]  # factors and index of the first sample


def layers(
    program: Program, machine: Machine, chip: Chip, sources: frozenset[str], receiver: Detection
) -> dict[str, Run]:
    """Prepare the products of two activations of a program for running.

    Parameters
    ----------
    program
        The program.
    machine, chip, sources
        What it runs on, and which of the chip's errors act.
    receiver
        Converters and detector.

    Returns
    -------
    dict
        For each step by name a callable that takes both factors and the index of the first sample,
        and gives the product.
    """
    found: dict[str, Run] = {}
    first_tile = len(program.tiles)  # no two tiles share the key of their noise
    for step in program.reprogrammed_steps:
        found[step.name] = _layer(step, machine, chip, sources, receiver, first_tile)
        first_tile += step.tiles
    return found


def _layer(
    step: ReprogrammedStep,
    machine: Machine,
    chip: Chip,
    sources: frozenset[str],
    receiver: Detection,
    first_tile: int,
) -> Run:
    def run(left: Singles, right: Singles, first: int) -> Singles:
        vectors, matrices, entry = factors.split(left, right, step.held)
        tiles = programmed(step, matrices, machine)
        fields = engine.bank_matrices(tiles, machine, chip, sources)
        places = [(m * step.tiles, (m + 1) * step.tiles) for m in range(len(matrices))]
        if receiver.perfect:
            rows = _exact(vectors, tiles, fields, places, entry)
        else:
            start = first * step.vectors
            rows = _detected(vectors, step, tiles, fields, entry, receiver, start, first_tile)
        return factors.join(rows, left.shape, right.shape, step.held)

    return run


def programmed(step: ReprogrammedStep, matrices: Singles, machine: Machine) -> TileBank:
    """Turn matrices of activations into phases.

    Parameters
    ----------
    step
        The product.
    matrices
        (P, R, C) of one or more samples.
    machine
        What they are for.

    Returns
    -------
    TileBank
        The tiles of one matrix after the other. Which core takes one depends on its place in its
        sample alone, so that a sample meets the same errors in any batch.
    """
    parts = [cut(matrix[None], machine.mesh.ports) for matrix in matrices]
    places = tuple(place for part, _ in parts for place in part)
    tiles = bank(
        places,
        np.concatenate([numbers for _, numbers in parts]),
        machine.mesh.topology,
        machine.cores,
    )
    order = np.arange(len(places)) % (step.matrices * step.tiles)
    return replace(
        tiles,
        core=(order % machine.cores).astype(np.int32),
        turn=(order // machine.cores).astype(np.int32),
        adc_range=np.tile(step.adc_range, len(matrices)),
    )


def _exact(
    vectors: Singles,
    tiles: TileBank,
    fields: NDArray[np.float64],
    places: list[tuple[int, int]],
    entry: NDArray[np.intp],
) -> Singles:
    """Multiply without converters or detector: (E, V, R)."""
    _, _, columns = vectors.shape
    rows = int((tiles.row + tiles.rows).max())
    dense = [engine.dense(tiles, fields, place, (rows, columns)) for place in places]
    with one_blas_thread():
        return np.stack(
            [inputs @ dense[matrix] for inputs, matrix in zip(vectors, entry, strict=True)]
        )


def _detected(
    vectors: Singles,
    step: ReprogrammedStep,
    tiles: TileBank,
    fields: NDArray[np.float64],
    entry: NDArray[np.intp],
    receiver: Detection,
    start: int,
    first_tile: int,
) -> Singles:
    """Multiply with converters and detector noise: (E, V, R)."""
    inputs = kernels.quantise(vectors, step.input_range, receiver.dac_levels)
    arranged = {}
    found = []
    for index, matrix in enumerate(entry.tolist()):
        if matrix not in arranged:
            begin = matrix * step.tiles
            ordered = engine.arranged(tiles, fields, (begin, begin + step.tiles), step.rows)
            keys = ordered.tile.copy()
            keys[:, 3] += first_tile - begin
            arranged[matrix] = replace(ordered, tile=keys)
        found.append(
            engine.stream_vectors(
                np.ascontiguousarray(inputs[index]),
                arranged[matrix],
                step.input_range,
                start + index * inputs.shape[1],
                receiver,
            )
        )
    return np.stack(found)
