"""Where each node of a network runs, and what the mesh makes of those that run on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import activations, passes
from photonpu.compiler.activations import ActivationProduct, FactorRanges
from photonpu.compiler.batches import truly_free
from photonpu.compiler.calibrate import Feeds, Ranges, Tiles
from photonpu.compiler.choice import Choice
from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.lowerings import LOWERINGS, MatrixProduct, lower
from photonpu.compiler.meanwhile import Aside
from photonpu.compiler.measuring import Measured, Observed, Run, beside, in_turn, observe
from photonpu.compiler.profiler import Profiler
from photonpu.compiler.ranges import Rule
from photonpu.hardware import Machine
from photonpu.program.cutting import cut
from photonpu.program.tiles import Banking

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Layer:
    """A photonic node on its way: its product, whose matrices went into its tiles, and these."""

    node: Node
    product: MatrixProduct
    tiles: tuple[Tiles, ...]


@dataclass(frozen=True, slots=True)
class Factors:
    """A node on its way whose factors are two activations."""

    node: Node
    product: ActivationProduct


class Seen(NamedTuple):
    """What running the float network says of a graph.

    Attributes
    ----------
    graph
        The graph, its batch fixed if it takes no other.
    held_batch
        Why, or ``""``.
    observed
        Every tensor's shape and type.
    layers, products
        What runs on the mesh.
    banking
        The phases of these layers' tiles, some of which are made.
    ranges, factor_ranges
        What their converters must represent, by the node's name.
    """

    graph: Graph
    held_batch: str
    observed: Observed
    layers: list[Layer]
    products: list[Factors]
    banking: Banking
    ranges: dict[str, Ranges]
    factor_ranges: dict[str, FactorRanges]


def see(
    graph: Graph,
    samples: Sequence[Feeds],
    machine: Machine,
    choice: Choice,
    kept: Mapping[str, str],
    rule: Rule,
    held_bytes: int | None = None,
) -> Seen:
    """Run the float network, place its nodes, and measure; its tensors are gone afterwards.

    Where shapes follow without a run, onnxruntime is asked for no more than what is measured; where
    memory allows it, phases are made meanwhile. `held_bytes` is as for `Profiler`.
    """
    network = Profiler(graph, held_bytes)
    foretold = network.foretold(samples[0])
    first: Iterable[tuple[str, Array]] = ()
    if foretold is None:
        first = network.run(samples[0])
        first = first if network.lean else tuple(first)
        observed = observe(first)
    else:
        observed = Observed(
            {name: told.shape for name, told in foretold.items()},
            {name: told.dtype for name, told in foretold.items()},
        )
    graph, held_batch = truly_free(graph, network, samples[0])
    wanted = None if foretold is None else _wanted(graph, kept)
    runs = deque[Run](partial(network.run, sample, wanted) for sample in samples)
    with Aside() as aside:
        if foretold is None and not network.lean:
            runs[0] = lambda: first
        elif network.light:
            runs[0] = aside.start(partial(_run, runs[0])).result
        layers, products = lowered(graph, machine, observed, choice, kept)
        streams = [(part.places, part.numbers) for layer in layers for part in layer.tiles]
        banking = Banking(streams, machine.mesh.ports, machine.mesh.topology, machine.cores)
        asked = layers, products, runs, machine, rule
        found = beside(*asked, aside, banking.step) if network.light else in_turn(*asked)
    if foretold is not None:
        observed = corrected(observed, found)
    ranges, factor_ranges = found.ranges, found.factor_ranges
    return Seen(graph, held_batch, observed, layers, products, banking, ranges, factor_ranges)


def _wanted(graph: Graph, kept: Mapping[str, str]) -> frozenset[str]:
    """Return the names of tensors that are measured if all nodes that may be are on the mesh."""
    read = {
        name
        for node in graph.nodes
        if node.op in LOWERINGS and not node.domain and node.name not in kept
        for name in node.inputs
    }
    return graph.output_names | read


def _run(run: Run) -> Iterable[tuple[str, Array]]:
    """Run the network to its end."""
    return tuple(run())


def corrected(foretold: Observed, found: Measured) -> Observed:
    """Return what was foretold, or a run showed, where it did; nothing of what it left empty."""
    shapes, dtypes = {**foretold.shapes}, {**foretold.dtypes}
    for name in found.empty & shapes.keys():
        del shapes[name], dtypes[name]
    return Observed({**shapes, **found.shown.shapes}, {**dtypes, **found.shown.dtypes})


def placed(
    node: Node,
    graph: Graph,
    machine: Machine,
    observed: Observed,
    choice: Choice,
    kept: Mapping[str, str],
) -> MatrixProduct | ActivationProduct | str:
    """Return what a node becomes on the mesh, or why it stays digital.

    Parameters
    ----------
    node
        One of the graph's nodes.
    graph, machine, observed
        The network, what it is for, and what one run of it showed.
    choice
        What the user decides.
    kept
        By it, the nodes that stay digital and why.
    """
    if node.name in kept and not node.domain and node.op in LOWERINGS:
        return kept[node.name]
    if node.operator in passes.REWRITES:
        return passes.why_digital(node, graph)
    product = lower(node, graph, observed.shapes)
    if isinstance(product, str) and choice.activation_products == "mesh":
        found = activations.activation_product(
            node, graph, observed.shapes, observed.dtypes, machine.mesh.ports
        )
        return found or product
    return product


def lowered(
    graph: Graph, machine: Machine, observed: Observed, choice: Choice, kept: Mapping[str, str]
) -> tuple[list[Layer], list[Factors]]:
    """Lower every node that is a product, and cut those with constant matrices into tiles."""
    layers, products = [], []
    for node in graph.nodes:
        product = placed(node, graph, machine, observed, choice, kept)
        if isinstance(product, MatrixProduct):
            tiles = tuple(Tiles(*cut(w, machine.mesh.ports)) for w in product.weights)
            layers.append(Layer(node, replace(product, weights=()), tiles))
        elif isinstance(product, ActivationProduct):
            products.append(Factors(node, product))
    return layers, products
