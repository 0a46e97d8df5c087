"""The float network, run for its tensors: what calibration measures and shapes are read from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import segments
from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.untrusted import checks
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

    from photonpu.compiler.calibrate import Feeds

Array = NDArray[np.generic]

HELD_BYTES = 1 << 30  # of tensors that may be in memory at once; beyond, they go node by node
_SINGLE = 4  # bytes
_NO_TENSORS = ("Sequence", "Optional", "Loop", "Scan", "If")  # in names of operators


@dataclass(slots=True)
class _Piece:
    """Nodes that run together, and what may be forgotten once they have."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    forgets: tuple[str, ...]
    session: onnxruntime.InferenceSession | None = None


class Profiler:
    """The float network, with every tensor handed out.

    Parameters
    ----------
    graph
        The network.

    Attributes
    ----------
    lean
        Whether its tensors are too large to be held together: they then come node by node, each
        forgotten after its last reader.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.lean = _tensor_bytes(graph) > HELD_BYTES and not any(
            part in node.op for node in graph.nodes for part in _NO_TENSORS
        )
        groups = [(node,) for node in graph.nodes] if self.lean else [graph.nodes]
        self._pieces = list(_pieces(graph, groups))

    def run(self, sample: Feeds) -> Iterator[tuple[str, Array]]:
        """Yield every tensor of the network for one sample by its name, the sample first.

        Raises
        ------
        ModelError
            onnxruntime refuses the network, or fails on it.
        """
        values: dict[str, Any] = dict(sample)
        yield from sample.items()
        for piece in self._pieces:
            if piece.session is None:
                piece.session = self._load(piece, values)
            names = [name for node in piece.nodes for name in node.writes]
            feeds = {name: values[name] for name in piece.inputs}
            feeds.update(segments.apart(self._graph, piece.nodes))
            try:
                found = piece.session.run(names, feeds)
            except Exception as error:  # onnxruntime's own errors have no other common root
                raise ModelError(
                    f"onnxruntime cannot run the network: {checks.first_line(error)}"
                ) from error
            del feeds
            values.update(zip(names, found, strict=True))
            yield from zip(names, found, strict=True)
            del found
            for name in piece.forgets:
                values.pop(name, None)

    def _load(self, piece: _Piece, values: Feeds) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = not self.lean
        dtypes = {name: np.asarray(values[name]).dtype for name in piece.inputs}
        outputs = tuple(name for node in piece.nodes for name in node.writes)
        model = segments.model(self._graph, piece.nodes, piece.inputs, outputs, dtypes)
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # as above
            raise ModelError(
                f"onnxruntime cannot load the network: {checks.first_line(error)}"
            ) from error


def _tensor_bytes(graph: Graph) -> int:
    """Return what the tensors of a network take together at batch 1, where shapes are known."""
    names = [name for node in graph.nodes for name in node.writes]
    shapes = [graph.shapes.get(name, (0,)) for name in names]
    return _SINGLE * sum(
        math.prod(1 if isinstance(size, str) else size for size in shape) for shape in shapes
    )


def _pieces(graph: Graph, groups: Sequence[tuple[Node, ...]]) -> Iterator[_Piece]:
    """Say of each group of nodes what it reads from before it, and what nobody reads after it."""
    last = {
        name: index
        for index, nodes in enumerate(groups)
        for node in nodes
        for name in (*node.writes, *node.reads)
    }
    for index, nodes in enumerate(groups):
        made = {name for node in nodes for name in node.writes}
        read = dict.fromkeys(name for node in nodes for name in node.reads)
        inputs = tuple(n for n in read if n not in made and n not in graph.constants)
        if len(groups) == 1:
            inputs = tuple(info.name for info in graph.inputs)
        yield _Piece(nodes, inputs, tuple(n for n, i in last.items() if i == index))
