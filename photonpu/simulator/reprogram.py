"""Products of two activations: each matrix is decomposed when it is known, and then streamed.

A tile of a matrix meets the errors of the core that takes it, as a tile of the program does; its
phases are those of the exact decomposition, rounded and moved as the machine says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.program import Program, ReprogrammedStep, TileBank, factors
from photonpu.program.cutting import cut
from photonpu.program.tiles import bank
from photonpu.simulator.modulator import encoded
from photonpu.simulator.noise import Strength
from photonpu.simulator.panels import Span, panels
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.streaming import stream_vectors
from photonpu.simulator.transfer import Transfers, transferring

Singles = NDArray[np.float32]
CHUNK_TILES = 1024  # that are decomposed at once: 130 MiB of phases and fields at 64 ports
Run = Callable[[Singles, Singles, int], Singles]  # factors and index of the first sample


def layers(
    program: Program,
    machine: Machine,
    chip: Chip,
    strengths: Mapping[str, Strength],
    receiver: Receiver,
) -> dict[str, Run]:
    """Prepare the products of two activations of a program for running.

    Parameters
    ----------
    program
        The program.
    machine, chip, strengths
        What it runs on, and how strongly noise acts.
    receiver
        Converters and detector.

    Returns
    -------
    dict
        For each step by name a callable that takes both factors and the index of the first sample,
        and gives the product.
    """
    found: dict[str, Run] = {}
    if not program.reprogrammed_steps:
        return found
    transfers = transferring(machine, chip, strengths)
    first_tile = len(program.tiles)  # no two tiles share the key of their noise
    for step in program.reprogrammed_steps:
        found[step.name] = _layer(step, machine, transfers, receiver, first_tile)
        first_tile += step.tiles
    return found


def _layer(
    step: ReprogrammedStep,
    machine: Machine,
    transfers: Transfers,
    receiver: Receiver,
    first_tile: int,
) -> Run:
    def run(left: Singles, right: Singles, first: int) -> Singles:
        vectors, matrices, entry = factors.split(left, right, step.held)
        vectors = encoded(vectors, step.input_range, receiver.dac_levels, receiver.response)
        count, each, _ = vectors.shape
        rows = np.empty((count, each, step.rows), np.float32)
        order = np.argsort(entry, kind="stable")
        bounds = np.searchsorted(entry[order], np.arange(len(matrices) + 1))
        chunk = max(1, CHUNK_TILES // step.tiles)
        for begin in range(0, len(matrices), chunk):
            tiles = programmed(step, matrices[begin : begin + chunk], machine, begin)
            spans = [
                Span(first, first + step.tiles, step.input_range, first_tile)
                for first in range(0, len(tiles), step.tiles)
            ]
            for place, matrix in enumerate(panels(tiles, spans, transfers, receiver)):
                here = slice(*bounds[begin + place : begin + place + 2])
                for index in order[here].tolist():
                    start = first * step.vectors + index * each
                    rows[index] = stream_vectors(vectors[index], matrix, start, receiver)
        return factors.join(rows, left.shape, right.shape, step.held)

    return run


def programmed(
    step: ReprogrammedStep, matrices: Singles, machine: Machine, begin: int = 0
) -> TileBank:
    """Turn matrices of activations into phases.

    Parameters
    ----------
    step
        The product.
    matrices
        (P, R, C) of one or more samples.
    machine
        What they are for.
    begin
        Index of the first of them in the batch.

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
    order = (begin * step.tiles + np.arange(len(places))) % (step.matrices * step.tiles)
    return replace(
        tiles,
        core=(order % machine.cores).astype(np.int32),
        turn=(order // machine.cores).astype(np.int32),
        adc_range=np.concatenate([step.adc_range] * len(matrices)),
    )
