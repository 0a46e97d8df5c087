"""The steps of a program: products on the mesh, and digital segments between them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from photonpu.compiler import control, segments
from photonpu.compiler.calibrate import Ranges
from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.measuring import Observed
from photonpu.compiler.placement import Layer
from photonpu.compiler.ranges import Rule, input_range_of
from photonpu.hardware import Machine
from photonpu.program import Geometry, HostStep, PhotonicStep, ReprogrammedStep, Step, windows


def photonic(
    layers: list[Layer],
    ranges: Mapping[str, Ranges],
    observed: Observed,
    machine: Machine,
    rule: Rule,
) -> dict[str, PhotonicStep]:
    """Build the steps of products with constant matrices, and give each its tiles of the bank."""
    photonic = {}
    first = 0
    for layer in layers:
        tiles = []
        for part in layer.tiles:
            tiles.append((first, first + len(part.places)))
            first += len(part.places)
        name = layer.node.name
        full_scale = input_range_of(ranges[name].inputs, rule, machine)
        photonic[name] = _photonic_step(layer, tuple(tiles), full_scale, observed)
    return photonic


def in_order(
    graph: Graph, on_mesh: Mapping[str, PhotonicStep | ReprogrammedStep], observed: Observed
) -> tuple[Step, ...]:
    """Put steps on the mesh and digital ones in order."""
    steps: list[Step] = []
    for piece in segments.cut(graph, frozenset(on_mesh)):
        if isinstance(piece, Node):
            steps.append(on_mesh[piece.name])
        else:
            steps.append(_host_step(f"digital/{len(steps)}", graph, piece, observed))
    return tuple(steps)


def _photonic_step(
    layer: Layer, tiles: tuple[tuple[int, int], ...], input_range: float, observed: Observed
) -> PhotonicStep:
    """Build the step of one photonic node."""
    geometry, node = layer.product.geometry, layer.node
    shape = observed.shapes[layer.product.input]
    out_shape = observed.shapes[node.outputs[0]]
    vectors, macs = work(geometry, shape)
    bias = layer.product.bias
    return PhotonicStep(
        name=node.name,
        op=node.op,
        input=layer.product.input,
        output=node.outputs[0],
        geometry=geometry,
        tiles=tiles,
        vectors=vectors,
        input_range=input_range,
        bias=None if bias is None else bias.astype(np.float32),
        in_elements=math.prod(shape),
        out_elements=math.prod(out_shape),
        macs=macs,
    )


def work(geometry: Geometry, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the vectors that each stream takes of an input of `shape`, and the MACs of all."""
    form = windows.channels_form(np.empty(shape, np.float32), geometry)
    vectors = tuple(
        len(form) * math.prod(stream.window.count(form.shape[2:])) for stream in geometry.streams
    )
    macs = sum(
        count * rows * columns // geometry.groups
        for count, (rows, columns) in zip(
            vectors, map(geometry.matrix_shape, geometry.streams), strict=True
        )
    )
    return vectors, macs


def _host_step(name: str, graph: Graph, piece: segments.Segment, observed: Observed) -> HostStep:
    """Build the step of one digital segment."""
    dtypes = {name: observed.dtypes[name] for name in piece.inputs if name in observed.dtypes}
    return HostStep(
        name=name,
        model=segments.model(graph, piece.nodes, piece.inputs, piece.outputs, dtypes),
        inputs=piece.inputs,
        outputs=piece.outputs,
        operators=control.operators(graph, piece.nodes, observed.shapes, observed.dtypes),
        constants=segments.apart(graph, piece.nodes),
    )
