"""Programs written by hand: matrix products of given sizes, with phases of zero or as given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from photonpu import mesh
from photonpu.hardware import Machine
from photonpu.mesh.values import Rows
from photonpu.program import (
    Geometry,
    HostOperator,
    HostStep,
    PhotonicStep,
    Program,
    Stream,
    TensorInfo,
    TileBank,
    Window,
)
from photonpu.simulator.panels import Panels, Span, panels
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.transfer import Transfer, Transfers


def packed(
    bank: TileBank,
    matrices: np.ndarray,
    input_range: float,
    receiver: Receiver,
    number: int,
    share: np.ndarray | None = None,
) -> Panels:
    """Return tiles that multiply by known matrices as the panels of one stream."""

    def write(tiles: TileBank, rows: Rows) -> np.ndarray | None:
        mesh.write_rows(matrices, tiles.core, rows)
        return share

    transfers = Transfers(lambda _: Transfer(matrices, share), write, share is not None)
    span = Span(0, len(bank), input_range, number)
    return panels(bank, [span], transfers, receiver)[0]


@dataclass(frozen=True)
class Product:
    """A matrix of (rows, columns) that `vectors` vectors a sample stream through."""

    name: str
    rows: int
    columns: int
    vectors: int
    bias: bool = False


def program(
    products: Sequence[Product],
    machine: Machine,
    operators: Sequence[HostOperator] = (),
    phase: float = 0.0,
) -> Program:
    """Return a program of `products`, then `operators`; all phases are `phase`."""
    blocks: list[tuple[int, int, int, int]] = []
    steps: list[PhotonicStep | HostStep] = []
    for product in products:
        first = len(blocks)
        blocks += _blocks(product, machine.mesh.ports)
        steps.append(_step(product, first, len(blocks)))
    if operators:
        steps.append(HostStep("digital/0", b"", ("y",), ("z",), tuple(operators)))
    return Program(
        name="handmade",
        machine=machine,
        inputs=(TensorInfo("x", "float32", ("batch", 10)),),
        outputs=(TensorInfo("z", "float32", ("batch", 4)),),
        steps=tuple(steps),
        tiles=_bank(np.array(blocks, dtype=np.int32).reshape(-1, 4), machine, phase),
        model_sha256="0" * 64,
        parameters=0,
    )


def _blocks(product: Product, ports: int) -> list[tuple[int, int, int, int]]:
    corners = itertools.product(range(0, product.rows, ports), range(0, product.columns, ports))
    return [
        (row, column, min(ports, product.rows - row), min(ports, product.columns - column))
        for row, column in corners
    ]


def _step(product: Product, first: int, last: int) -> PhotonicStep:
    stream = Stream(Window((), (), (), (), ()), ((),))
    return PhotonicStep(
        name=product.name,
        op="Gemm",
        input="x",
        output="y",
        geometry=Geometry("last", 1, product.columns, product.rows, (stream,)),
        tiles=((first, last),),
        vectors=(product.vectors,),
        input_range=1.0,
        bias=np.zeros(product.rows, np.float32) if product.bias else None,
        in_elements=product.columns * product.vectors,
        out_elements=product.rows * product.vectors,
        macs=product.rows * product.columns * product.vectors,
    )


def _bank(blocks: np.ndarray, machine: Machine, phase: float) -> TileBank:
    count, ports, mzis = len(blocks), machine.mesh.ports, machine.mesh.mzis
    row, column, rows, columns = blocks.T
    return TileBank(
        theta=np.broadcast_to(phase, (count, 2, mzis)),
        phi=np.broadcast_to(phase, (count, 2, mzis)),
        psi=np.broadcast_to(phase, (count, 2, ports)),
        attenuator=np.broadcast_to(phase, (count, ports)),
        scale=np.ones(count),
        row=row,
        column=column,
        rows=rows,
        columns=columns,
        core=(np.arange(count) % machine.cores).astype(np.int32),
        turn=(np.arange(count) // machine.cores).astype(np.int32),
        adc_range=np.ones(count),
    )
