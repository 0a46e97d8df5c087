"""Batches that are free in name alone: an operator holds the size that was exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from photonpu.compiler.graph import Graph, Node
from photonpu.errors import ModelError

if TYPE_CHECKING:
    from photonpu.compiler.calibrate import Feeds
    from photonpu.compiler.profiler import Profiler

#: Recurrent operators, and where the first of their initial states is, (directions, batch, ...).
_RECURRENT = {"RNN": 5, "GRU": 5, "LSTM": 5}


def truly_free(graph: Graph, network: Profiler, sample: Feeds) -> tuple[Graph, str]:
    """Fix the batch of a network that takes no other, though an input says it is free.

    Only networks with an operator that may hold a batch are tried, with the sample twice.

    Parameters
    ----------
    graph
        The network.
    network
        It, ready to run.
    sample
        Its inputs, on which it runs.

    Returns
    -------
    graph
        The same one, or with the sample's batch in its inputs.
    note
        What its user should know then; else ``""``.
    """
    free = [info for info in graph.inputs if info.shape and isinstance(info.shape[0], str)]
    holders = list(_holders(graph)) if free else []
    if not holders:
        return graph, ""
    names = {info.name for info in free}
    twice = {n: np.concatenate([x, x]) if n in names else x for n, x in sample.items()}
    try:
        for _ in network.run(twice):
            pass
    except ModelError as error:
        holder = next((node for node in holders if f"'{node.name}'" in str(error)), holders[0])
        sizes = {name: len(sample[name]) for name in names}
        inputs = tuple(
            replace(info, shape=(sizes[info.name], *info.shape[1:])) if info in free else info
            for info in graph.inputs
        )
        first = free[0]
        note = (
            f"node '{holder.name}' ({holder.op}) holds the batch of {sizes[first.name]} though "
            f"axis '{first.shape[0]}' of input '{first.name}' is declared free: the program takes "
            "this batch alone; export the model with a dynamic batch for others"
        )
        return replace(graph, inputs=inputs), note
    return graph, ""


def _holders(graph: Graph) -> Iterator[Node]:
    """Yield the nodes that may hold a batch: those with constants for sizes or for states."""
    for node in graph.nodes:
        if node.domain:
            continue
        if node.op == "Reshape":
            sizes = graph.constants.get(node.inputs[1])
            if sizes is not None and sizes.size and sizes[0] > 0:
                yield node
        elif any(name in graph.constants for name in node.inputs[_RECURRENT.get(node.op, 99) :]):
            yield node
