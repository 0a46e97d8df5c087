"""Products of two activations: one factor is programmed into the mesh anew for each sample.

Which of the two is held there follows from the shapes: that which takes fewer tiles, since each
tile of each matrix is decomposed and settles for every sample; of equals, that which lets fewer
vectors pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.ranges import Rule, adc_ranges, input_range_of
from photonpu.compiler.spread import Spread
from photonpu.hardware import Machine
from photonpu.program import ReprogrammedStep, factors
from photonpu.program.cutting import blocks, cut
from photonpu.program.tiles import bank, held_phases, one_blas_thread

Array = NDArray[np.generic]

PHASE_TILES = 16  # of the first sample that tell how large phases are, evenly spaced


@dataclass(frozen=True, slots=True)
class ActivationProduct:
    """A product of two tensors that are both computed at run time.

    Attributes
    ----------
    left, right
        Names of the factors.
    held
        Which of them is programmed into the mesh; the other one streams.
    matrices
        Matrices of the held factor, one sample's.
    rows, columns
        Size of one of them, as the mesh multiplies by it.
    vectors
        Vectors that stream through all of them together, one sample's.
    """

    left: str
    right: str
    held: Literal["left", "right"]
    matrices: int
    rows: int
    columns: int
    vectors: int

    @property
    def names(self) -> tuple[str, str]:
        """The factor that streams, and the one that is held."""
        pair = self.left, self.right
        return pair if self.held == "right" else (self.right, self.left)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample."""
        return self.vectors * self.rows * self.columns

    def tiles(self, ports: int) -> int:
        """Return the tiles of one matrix."""
        return len(blocks(1, self.rows, self.columns, ports))


def activation_product(
    node: Node,
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, np.dtype[np.generic]],
    ports: int,
) -> ActivationProduct | None:
    """Return what a node asks of a mesh that is reprogrammed; None if it is no such product.

    Parameters
    ----------
    node
        One of the graph's nodes.
    graph
        Holds the constants.
    shapes, dtypes
        Measured, by tensor name.
    ports
        Size of a tile.
    """
    if node.domain or node.op != "MatMul":
        return None
    left, right = node.inputs
    for name in (left, right):
        if name in graph.constants or name not in shapes or dtypes[name].kind != "f":
            return None
    if 0 in (*shapes[left], *shapes[right]):
        return None
    options = [_option(left, right, held, shapes) for held in ("right", "left")]
    chosen = min(options, key=lambda o: (o.matrices * o.tiles(ports), o.vectors * o.tiles(ports)))
    return chosen if chosen.macs else None


def _option(
    left: str, right: str, held: Literal["left", "right"], shapes: Mapping[str, tuple[int, ...]]
) -> ActivationProduct:
    """Return the product with one or the other factor in the mesh."""
    a, b = factors.matrix_shapes(shapes[left], shapes[right])
    rows, columns = (b[-1], b[-2]) if held == "right" else a[-2:]
    stack = b[:-2] if held == "right" else a[:-2]
    entries = math.prod(np.broadcast_shapes(a[:-2], b[:-2]))
    each = a[-2] if held == "right" else b[-1]
    return ActivationProduct(left, right, held, math.prod(stack), rows, columns, entries * each)


@dataclass(frozen=True, slots=True)
class FactorRanges:
    """What calibration found for one product of two activations.

    Attributes
    ----------
    inputs
        Numbers of the factor that streams, one group.
    sums
        For each tile of a matrix, or each of its rows, the partial sums over all matrices, in
        units of the tile's scale.
    phase_pi
        Mean over the tiles of the sum of their wrapped phases, in units of pi.
    """

    inputs: Spread
    sums: Spread
    phase_pi: float


def measure(
    product: ActivationProduct,
    values: Mapping[str, Array],
    machine: Machine,
    rule: Rule,
    known: FactorRanges | None = None,
) -> FactorRanges:
    """Return what the ranges of a product depend on, in one run of the float network.

    Parameters
    ----------
    product
        The product.
    values
        Every tensor of the run.
    machine
        Its ports and topology count.
    rule
        Says what of the numbers is asked for.
    known
        What earlier runs found, which is widened.
    """
    left, right = (np.asarray(values[n], np.float64) for n in (product.left, product.right))
    streamed, held, entry = factors.split(left, right, product.held)
    cuts = [cut(matrix[None], machine.mesh.ports)[1] for matrix in held]
    tiles = np.stack(cuts, dtype=np.float64)
    with one_blas_thread():
        scale = np.asarray(np.linalg.svd(tiles, compute_uv=False)[..., 0], np.float64)
        if rule.counts or rule.per == "row":
            sums = _sums(streamed, tiles, scale, entry, product, machine, rule)
        else:
            sums = Spread(_largest_sums(streamed, tiles, scale, entry, product, machine))
    inputs = Spread(np.abs(streamed).max(keepdims=True).ravel())
    if rule.counts:
        whole = streamed.astype(np.float32).reshape(1, -1)
        inputs = Spread.of(whole, np.array([0, 1]), rule.counts)
    if known is None:
        return FactorRanges(inputs, sums, _mean_phase(tiles, machine))
    return FactorRanges(known.inputs.joined(inputs), known.sums.joined(sums), known.phase_pi)


def _largest_sums(
    streamed: NDArray[np.float64],
    tiles: NDArray[np.float64],
    scale: NDArray[np.float64],
    entry: NDArray[np.intp],
    product: ActivationProduct,
    machine: Machine,
) -> NDArray[np.float64]:
    """Return (T,) the largest output of each tile of a matrix in units of the tile's scale."""
    places = blocks(1, product.rows, product.columns, machine.mesh.ports)
    largest = np.zeros(len(places))
    for vectors, matrix in zip(streamed, entry, strict=True):
        for t, place in enumerate(places):
            inputs = vectors[:, place.column : place.column + place.columns]
            outputs = inputs @ tiles[matrix, t, :, : place.columns].T
            if scale[matrix, t] > 0:
                largest[t] = max(largest[t], np.abs(outputs).max() / scale[matrix, t])
    return largest


def _sums(
    streamed: NDArray[np.float64],
    tiles: NDArray[np.float64],
    scale: NDArray[np.float64],
    entry: NDArray[np.intp],
    product: ActivationProduct,
    machine: Machine,
    rule: Rule,
) -> Spread:
    """Return how large outputs are for each tile of a matrix, or each row of one."""
    places = blocks(1, product.rows, product.columns, machine.mesh.ports)
    rows = [place.rows for place in places]
    first = np.cumsum([0, *rows]) if rule.per == "row" else np.arange(len(places) + 1)
    parts = []
    for t, place in enumerate(places):
        unit = np.where(scale[:, t] > 0, scale[:, t], 1.0)
        inputs = streamed[:, :, place.column : place.column + place.columns]
        matrix = (tiles[:, t, : place.rows, : place.columns] / unit[:, None, None])[entry]
        outputs = (matrix @ inputs.transpose(0, 2, 1)).astype(np.float32)
        numbers = np.ascontiguousarray(outputs.transpose(1, 0, 2)).reshape(place.rows, -1)
        starts = np.arange(place.rows + 1) if rule.per == "row" else np.array([0, place.rows])
        groups = np.arange(first[t], first[t + 1])
        parts.append((groups, Spread.of(numbers, starts, rule.counts)))
    return Spread.placed(parts, int(first[-1]), rule.counts)


def _mean_phase(tiles: NDArray[np.float64], machine: Machine) -> float:
    """Decompose some of the tiles of all matrices, and return the mean sum of their phases."""
    ports = machine.mesh.ports
    every = tiles.reshape(-1, ports, ports)
    chosen = every[np.unique(np.linspace(0, len(every) - 1, PHASE_TILES).astype(int))]
    place = blocks(1, ports, ports, ports)
    phases = bank(place * len(chosen), chosen, machine.mesh.topology, machine.cores)
    return float(held_phases(phases, machine.mesh.topology).mean())


def step(
    node: Node,
    product: ActivationProduct,
    ranges: FactorRanges,
    shapes: Mapping[str, tuple[int, ...]],
    machine: Machine,
    rule: Rule,
) -> ReprogrammedStep:
    """Build the step of one product of two activations."""
    ports = machine.mesh.ports
    input_range = input_range_of(ranges.inputs, rule, machine)
    rows = [place.rows for place in blocks(1, product.rows, product.columns, ports)]
    # What calibration saw nothing of gets a range that nothing can overrun: |W x| <= |W| |x|.
    widest = np.full(len(rows), math.sqrt(min(product.columns, ports)))
    adc_range = adc_ranges(
        widest, [ranges.sums], np.full(len(rows), input_range), rows, rule, machine
    )
    return ReprogrammedStep(
        name=node.name,
        op=node.op,
        left=product.left,
        right=product.right,
        output=node.outputs[0],
        held=product.held,
        matrices=product.matrices,
        rows=product.rows,
        columns=product.columns,
        vectors=product.vectors,
        input_range=input_range,
        adc_range=adc_range,
        phase_pi=ranges.phase_pi,
        in_elements=math.prod(shapes[product.left]) + math.prod(shapes[product.right]),
        out_elements=math.prod(shapes[node.outputs[0]]),
        macs=product.macs,
    )
