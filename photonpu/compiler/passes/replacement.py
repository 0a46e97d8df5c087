"""What takes a node's place: nodes, constants and shapes, each with a name of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, Shape, read_only

#: The operator set from which on these take their axes as an input.
AXES_AS_INPUT = 13


@dataclass(slots=True)
class Replacement:
    """A node's successors while they are written, one after the other.

    Attributes
    ----------
    graph
        The graph that the node is in.
    node
        The node.
    nodes, constants, shapes
        What was written so far.
    """

    graph: Graph
    node: Node
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def constant(self, label: str, value: Array) -> str:
        """Add a constant, and return the name that it got."""
        name = self._fresh(label)
        self.constants[name] = read_only(np.ascontiguousarray(value))
        return name

    def apply(
        self,
        op: str,
        inputs: Sequence[str],
        shape: Shape | None = None,
        *,
        label: str = "",
        **attributes: Any,
    ) -> str:
        """Add an operator of ONNX itself, and return the name of its output.

        Parameters
        ----------
        op, inputs
            The operator, and the tensors that it reads.
        shape
            Shape of its output, where it is known.
        label
            Tells it from its neighbours; the one without any keeps the node's name.
        **attributes
            Its attributes.
        """
        from onnx import helper

        records = {key: helper.make_attribute(key, value) for key, value in attributes.items()}
        output = self._fresh(label or op.lower())
        name = f"{self.node.name}/{label}" if label else self.node.name
        self.nodes.append(Node(name, op, "", tuple(inputs), (output,), MappingProxyType(records)))
        if shape is not None:
            self.shapes[output] = shape
        return output

    def end(self) -> list[Node]:
        """Let the last operator give what the node gave, and return all."""
        *others, last = self.nodes
        self.shapes.pop(last.outputs[0], None)
        return [*others, replace(last, outputs=self.node.outputs[:1])]

    def _fresh(self, label: str) -> str:
        name = self.graph.fresh(f"{self.node.outputs[0]}/{label}")
        while name in self.constants or any(name in node.outputs for node in self.nodes):
            name += "'"
        return name


def rewrite(graph: Graph, change: Callable[[Graph, Node], Replacement | None]) -> Graph:
    """Put what `change` returns in the place of each node, and leave those where it is None."""
    found = {node.name: change(graph, node) for node in graph.nodes}
    if not any(found.values()):
        return graph
    nodes: list[Node] = []
    constants, shapes = dict(graph.constants), dict(graph.shapes)
    for node in graph.nodes:
        new = found[node.name]
        if new is None:
            nodes.append(node)
            continue
        nodes += new.end()
        constants.update(new.constants)
        shapes.update(new.shapes)
    return replace(
        graph,
        nodes=tuple(unique(nodes)),
        constants=MappingProxyType(constants),
        shapes=MappingProxyType(shapes),
    )


def unique(nodes: Iterable[Node]) -> Iterable[Node]:
    """Give each node a name of its own again."""
    taken: set[str] = set()
    for node in nodes:
        name = node.name
        while name in taken:
            name += "'"
        taken.add(name)
        yield node if name == node.name else replace(node, name=name)


def opset(graph: Graph, default: int = AXES_AS_INPUT) -> int:
    """Return the version of ONNX's own operators."""
    return graph.opset.get("", default)


def transposed(new: Replacement, data: str, shape: Shape, order: Sequence[int], label: str) -> str:
    """Add a Transpose, unless it would change nothing."""
    if list(order) == sorted(order):
        return data
    turned = tuple(shape[axis] for axis in order)
    return new.apply("Transpose", [data], turned, label=label, perm=list(order))


def reshaped(new: Replacement, data: str, shape: Shape, target: Shape, label: str) -> str:
    """Add a Reshape, unless it would change nothing; one axis of `target` may be free."""
    if shape == target:
        return data
    sizes = [size if isinstance(size, int) else -1 for size in target]
    wanted = new.constant(f"{label}/shape", np.array(sizes, np.int64))
    return new.apply("Reshape", [data, wanted], target, label=label)


def known(shapes: Mapping[str, Shape], name: str) -> Shape | None:
    """Return the shape of a tensor, if all its axes but the first are known."""
    shape = shapes.get(name)
    if shape is None or any(isinstance(size, str) for size in shape[1:]):
        return None
    return shape
