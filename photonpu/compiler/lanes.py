"""Which lane each operator of a graph takes, the mesh or the digital unit, and what it asks for.

The float network runs once, for its shapes, and matrices are cut into rectangles; nothing is
decomposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import calibrate, control
from photonpu.compiler.activations import ActivationProduct
from photonpu.compiler.choice import EVERYTHING, Choice
from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.lowerings import MatrixProduct
from photonpu.compiler.lowerings.dense import LAST
from photonpu.compiler.measuring import Observed, observe
from photonpu.compiler.operations import PRODUCTS
from photonpu.compiler.pipeline import Array
from photonpu.compiler.placement import placed
from photonpu.compiler.profiler import Profiler
from photonpu.compiler.remedies import remedy
from photonpu.compiler.steps import work
from photonpu.errors import InputError, ModelError
from photonpu.hardware import Machine
from photonpu.program import Geometry, HostOperator, TensorInfo
from photonpu.program.cutting import Block, blocks


@dataclass(frozen=True, slots=True)
class OnMesh:
    """An operator that runs on the meshes.

    Attributes
    ----------
    name, op
        The node's name in the model, and its ONNX operator.
    input, output
        Names of the tensors.
    geometry
        Its matrices and what streams through them.
    bias
        Whether numbers are added after the ADC.
    vectors
        For each stream, vectors a sample.
    blocks
        For each stream, the rectangles of its matrix that become tiles.
    macs
        Multiply-accumulates of one sample, padding not counted.
    held
        Name of the factor that is programmed anew for each sample; ``""`` for a constant.
    matrices
        Its matrices, one sample's; 1 for a constant.
    """

    name: str
    op: str
    input: str
    output: str
    geometry: Geometry
    bias: bool
    vectors: tuple[int, ...]
    blocks: tuple[tuple[Block, ...], ...]
    macs: int
    held: str = ""
    matrices: int = 1

    @property
    def tiles(self) -> int:
        """Tiles that its matrices are cut into; of those of two activations, one sample's."""
        return self.matrices * sum(map(len, self.blocks))

    @property
    def passes(self) -> int:
        """Passes of a vector through a tile, for one sample."""
        return sum(
            number * len(places) for number, places in zip(self.vectors, self.blocks, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Digital:
    """An operator that runs on the digital unit.

    Attributes
    ----------
    name, op
        The node's name in the model, and its ONNX operator.
    inputs, outputs
        Names of the tensors.
    operations
        Elementary operations of one sample; a multiply-accumulate counts as two.
    macs
        Multiply-accumulates among them; 0 but for products.
    product
        Whether it is a matrix product, or a control flow that holds one.
    reason
        Why it is not on the mesh.
    remedy
        What to change if it is a product; ``""`` where nothing is known.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operations: int
    macs: int
    product: bool
    reason: str
    remedy: str


def lanes(
    graph: Graph,
    machine: Machine,
    calibration: Array | Mapping[str, Array] | None = None,
    choice: Choice = EVERYTHING,
    kept: Mapping[str, str] = MappingProxyType({}),
) -> tuple[OnMesh | Digital, ...]:
    """Return what becomes of each node of a graph whose passes have run.

    Parameters
    ----------
    graph
        The network.
    machine
        What it is for.
    calibration
        Samples, of which the first is run; else ones and zeros are.
    choice, kept
        What the user decides, and the nodes that stay digital by it.

    Raises
    ------
    ModelError
        onnxruntime cannot run it, or a weight on its way to the mesh does not hold.
    InputError
        The calibration data do not fit, or it needs some.
    """
    observed = _observed(graph, calibration)
    costs = control.operators(graph, graph.nodes, observed.shapes, observed.dtypes)
    return tuple(
        _lane(
            node,
            graph,
            observed,
            cost,
            placed(node, graph, machine, observed, choice, kept),
            machine.mesh.ports,
        )
        for node, cost in zip(graph.nodes, costs, strict=True)
    )


def _observed(graph: Graph, calibration: Array | Mapping[str, Array] | None) -> Observed:
    """Run the float network once for its shapes."""
    network = Profiler(graph)
    if calibration is not None:
        return observe(network.run(calibrate.feeds(graph.inputs, calibration)[0]))
    try:
        return observe(network.run({info.name: _sample(info) for info in graph.inputs}))
    except ModelError as error:
        raise InputError(
            f"the network does not run on inputs of ones and zeros: give calibration samples "
            f"({error})"
        ) from error


def _sample(info: TensorInfo) -> NDArray[np.generic]:
    """Return an input of the right shape: ones, or zeros where they may be indices."""
    shape = tuple(size if isinstance(size, int) else 1 for size in info.shape)
    kind = np.dtype(info.dtype)
    return np.ones(shape, kind) if np.issubdtype(kind, np.floating) else np.zeros(shape, kind)


def _lane(
    node: Node,
    graph: Graph,
    observed: Observed,
    cost: HostOperator,
    product: MatrixProduct | ActivationProduct | str,
    ports: int,
) -> OnMesh | Digital:
    if isinstance(product, MatrixProduct):
        vectors, macs = work(product.geometry, observed.shapes[product.input])
        return OnMesh(
            name=node.name,
            op=node.op,
            input=product.input,
            output=node.outputs[0],
            geometry=product.geometry,
            bias=product.bias is not None,
            vectors=vectors,
            blocks=tuple(_blocks(weight, ports) for weight in product.weights),
            macs=macs,
        )
    if isinstance(product, ActivationProduct):
        return _reprogrammed(node, product, ports)
    inner = control.inside(node, graph, observed.shapes, observed.dtypes)
    reason = inner.reason(node.op) if inner is not None and inner.products else product
    is_product = node.operator in PRODUCTS or bool(inner and inner.products)
    return Digital(
        name=node.name,
        op=node.operator,
        inputs=node.reads,
        outputs=node.writes,
        operations=cost.operations,
        macs=cost.macs,
        product=is_product,
        reason=reason,
        remedy=remedy(node.operator, reason) if is_product else "",
    )


def _reprogrammed(node: Node, product: ActivationProduct, ports: int) -> OnMesh:
    """Return the lane of a product of two activations, one of which the mesh holds."""
    streamed, held = product.names
    return OnMesh(
        name=node.name,
        op=node.op,
        input=streamed,
        output=node.outputs[0],
        geometry=Geometry("last", 1, product.columns, product.rows, (LAST,)),
        bias=False,
        vectors=(product.vectors,),
        blocks=(blocks(1, product.rows, product.columns, ports),),
        macs=product.macs,
        held=held,
        matrices=product.matrices,
    )


def _blocks(weight: NDArray[np.float32], ports: int) -> tuple[Block, ...]:
    groups, rows, columns = weight.shape
    return blocks(groups, rows, columns, ports)
