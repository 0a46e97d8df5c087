"""Where each node of a network runs, and what the mesh makes of those that run on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import activations, calibrate, passes
from photonpu.compiler.activations import ActivationProduct, FactorRanges
from photonpu.compiler.batches import truly_free
from photonpu.compiler.calibrate import Feeds, Ranges, Tiles
from photonpu.compiler.choice import Choice
from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.lowerings import LOWERINGS, MatrixProduct, lower
from photonpu.compiler.meanwhile import ahead
from photonpu.compiler.profiler import Profiler
from photonpu.compiler.ranges import Rule
from photonpu.hardware import Machine
from photonpu.program.tiles import Banking, cut, one_blas_thread

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


class Observed(NamedTuple):
    """What one run of the float network shows: every tensor's shape and type."""

    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, np.dtype[np.generic]]


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

    Where shapes follow without a run, onnxruntime is asked for no more than what is measured, and
    phases are made beside it. `held_bytes` is as for `Profiler`.
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
    layers, products = lowered(graph, machine, observed, choice, kept)
    streams = [(part.places, part.numbers) for layer in layers for part in layer.tiles]
    banking = Banking(streams, machine.mesh.ports, machine.mesh.topology, machine.cores)
    wanted: Collection[str] | None = None
    again = samples if network.lean or foretold is not None else samples[1:]
    if foretold is not None:
        wanted = {*graph.output_names, *(layer.product.input for layer in layers)}
        wanted |= {name for pair in products for name in (pair.product.left, pair.product.right)}
    runs = _runs(network, again, wanted, banking)
    if foretold is not None:
        first = tuple(next(runs))
        observed = corrected(observed, first)
    found = measured(layers, products, chain([] if network.lean else [first], runs), machine, rule)
    return Seen(graph, held_batch, observed, layers, products, banking, *found)


def _runs(
    network: Profiler, samples: Sequence[Feeds], wanted: Collection[str] | None, banking: Banking
) -> Iterator[Iterable[tuple[str, Array]]]:
    """Run the network on samples one by one; where memory allows it, phases are made meanwhile."""
    if not network.light:
        return (network.run(sample, wanted) for sample in samples)
    return ahead(lambda sample: tuple(network.run(sample, wanted)), samples, banking.step)


def corrected(foretold: Observed, values: Iterable[tuple[str, object]]) -> Observed:
    """Return what was foretold, but what a run showed where there is something of it."""
    shown = dict(values)
    seen = observe(shown.items())
    kept = foretold.shapes.keys() - shown.keys()
    return Observed(
        {name: foretold.shapes[name] for name in kept} | dict(seen.shapes),
        {name: foretold.dtypes[name] for name in kept} | dict(seen.dtypes),
    )


def observe(values: Iterable[tuple[str, object]]) -> Observed:
    """Note the shape and type of every tensor of a run; sequences and the like have neither."""
    shapes, dtypes = {}, {}
    for name, value in values:
        if isinstance(value, np.ndarray | np.generic):
            shapes[name], dtypes[name] = value.shape, value.dtype
    return Observed(shapes, dtypes)


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


def measured(
    layers: list[Layer],
    products: list[Factors],
    runs: Iterable[Iterable[tuple[str, Array]]],
    machine: Machine,
    rule: Rule,
) -> tuple[dict[str, Ranges], dict[str, FactorRanges]]:
    """Return what the ranges of each product depend on, over all runs of the float network.

    A run gives its tensors one by one; none is held that no product waits for.
    """
    ranges: dict[str, Ranges] = {}
    factor_ranges: dict[str, FactorRanges] = {}
    for run in runs:
        held: dict[str, Array] = {}
        waiting = [(pair, {pair.product.left, pair.product.right}) for pair in products]
        for name, value in run:
            for layer in layers:
                if layer.product.input == name:
                    with one_blas_thread():
                        found = calibrate.measure(value, layer.product.geometry, layer.tiles, rule)
                    ranges[layer.node.name] = calibrate.widen(ranges.get(layer.node.name), found)
            for pair, names in waiting:
                if name in names:
                    held[name] = value
                    if names <= held.keys():
                        factor_ranges[pair.node.name] = activations.measure(
                            pair.product, held, machine, rule, factor_ranges.get(pair.node.name)
                        )
            open_names = {n for _, names in waiting if not names <= held.keys() for n in names}
            held = {n: v for n, v in held.items() if n in open_names}
    return ranges, factor_ranges
