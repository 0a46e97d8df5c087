"""The float network, run for its tensors: what calibration measures and shapes are read from."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

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
LIGHT_BYTES = 1 << 28  # of tensors and constants that may be in memory beside a program
_SINGLE = 4  # bytes
_NAMES = "bool float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
#: onnxruntime's names of types that arrays have, too.
_KINDS = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{f"tensor({name})": name for name in _NAMES.split()},
}
_NO_TENSORS = ("Sequence", "Optional", "Loop", "Scan", "If")  # in names of operators


@dataclass(slots=True)
class _Piece:
    """Nodes that run together, and what may be forgotten once they have."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    forgets: tuple[str, ...]
    session: onnxruntime.InferenceSession | None = None
    gives: tuple[str, ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)


class Foretold(NamedTuple):
    """Shape and type of a tensor."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Profiler:
    """The float network, with every tensor handed out.

    Parameters
    ----------
    graph
        The network.
    held_bytes
        Of its tensors that may be in memory at once, if not `HELD_BYTES`.

    Attributes
    ----------
    lean
        Whether its tensors are too large to be held together: they then come node by node, each
        forgotten after its last reader.
    light
        Whether its tensors and constants are so small that other work may go on beside it, and
        several samples at the same time. What is so small runs on one thread.
    """

    def __init__(self, graph: Graph, held_bytes: int | None = None) -> None:
        self._graph = graph
        most = HELD_BYTES if held_bytes is None else min(held_bytes, HELD_BYTES)
        self.lean = _tensor_bytes(graph) > most and not any(
            part in node.op for node in graph.nodes for part in _NO_TENSORS
        )
        held = sum(value.nbytes for value in graph.constants.values())
        self._small = _tensor_bytes(graph) + held <= LIGHT_BYTES
        self.light = self._small and held_bytes is None
        groups = [(node,) for node in graph.nodes] if self.lean else [graph.nodes]
        self._pieces = list(_pieces(graph, groups))

    def foretold(self, sample: Feeds) -> dict[str, Foretold] | None:
        """Return shape and type of every tensor for one sample, if they follow without a run.

        Raises
        ------
        ModelError
            onnxruntime refuses the network.
        """
        if self.lean or not self._graph.nodes:
            return None
        (piece,) = self._pieces
        values = {name: np.asarray(value) for name, value in sample.items()}
        found = {name: Foretold(value.shape, value.dtype) for name, value in values.items()}
        for told in self._session(piece, values, _written(piece), fixed=True).get_outputs():
            kind = _KINDS.get(told.type)
            if kind is None or not all(isinstance(size, int) for size in told.shape):
                return None
            found[told.name] = Foretold(tuple(told.shape), np.dtype(kind))
        return found

    def run(
        self, sample: Feeds, only: Collection[str] | None = None
    ) -> Iterator[tuple[str, Array]]:
        """Yield the tensors of the network for one sample by their names, the sample first.

        Parameters
        ----------
        sample
            The network's inputs.
        only
            Names of those that are asked for, where all can be held together; None for all.

        Raises
        ------
        ModelError
            onnxruntime refuses the network, or fails on it.
        """
        values: dict[str, Any] = dict(sample)
        yield from sample.items()
        for piece in self._pieces:
            names = _written(piece)
            if only is not None and not self.lean:
                names = tuple(name for name in names if name in only)
            with piece.lock:
                if piece.session is None or not set(names) <= set(piece.gives):
                    piece.session, piece.gives = self._session(piece, values, names), names
                session = piece.session
            feeds = {name: values[name] for name in piece.inputs}
            feeds.update(_streamed(self._graph, piece.nodes))
            feeds.update(segments.apart(_light(self._graph, piece.nodes), piece.nodes))
            try:
                found = session.run(list(names), feeds)
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

    def _session(
        self, piece: _Piece, values: Feeds, outputs: tuple[str, ...], *, fixed: bool = False
    ) -> onnxruntime.InferenceSession:
        """Load nodes; `fixed` says whether their inputs have the sizes of `values` only."""
        import numba
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1 if self._small else numba.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = not self.lean
        arrays = {name: np.asarray(values[name]) for name in piece.inputs}
        arrays.update(_streamed(self._graph, piece.nodes))
        model = segments.model(
            _light(self._graph, piece.nodes),
            piece.nodes,
            tuple(arrays),
            outputs,
            {name: array.dtype for name, array in arrays.items()},
            {name: array.shape for name, array in arrays.items()} if fixed else None,
        )
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # as above
            raise ModelError(
                f"onnxruntime cannot load the network: {checks.first_line(error)}"
            ) from error


def _written(piece: _Piece) -> tuple[str, ...]:
    """Return the names of all tensors that a piece gives."""
    return tuple(name for node in piece.nodes for name in node.writes)


def _streamed(graph: Graph, nodes: Iterable[Node]) -> dict[str, Array]:
    """Return the weights of convolutions: given as inputs, onnxruntime takes them as they lie."""
    names = [node.inputs[1] for node in nodes if node.op == "Conv" and not node.domain]
    held = {name: graph.constants[name] for name in names if name in graph.constants}
    return {name: value for name, value in held.items() if value.dtype == np.float32}


def _light(graph: Graph, nodes: Iterable[Node]) -> Graph:
    """Return a graph without the constants that are `_streamed`."""
    streamed = _streamed(graph, nodes)
    constants = {name: value for name, value in graph.constants.items() if name not in streamed}
    return replace(graph, constants=constants)


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
