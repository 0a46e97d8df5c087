"""Which operators a user keeps off the mesh, or puts there, by hand.

A user knows the nodes of the file; what is compiled is the graph after simplification, in which one
node may stand for several of the file (a convolution and the normalisation behind it). So a node
answers to its own name and to those of all nodes of the file that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, get_args

from photonpu.compiler.graph import Graph, Node
from photonpu.errors import InputError
from photonpu.registry import did_you_mean

if TYPE_CHECKING:
    import onnx

ActivationProducts = Literal["digital", "mesh"]

#: Why a node stays digital that was named, and why one does that was not.
KEPT = "it is kept digital by hand"
NOT_CHOSEN = "it is kept digital by hand: it is not among those chosen for the mesh"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user decides about lanes.

    Attributes
    ----------
    keep_digital
        Names of nodes, or patterns as in a shell, that stay digital.
    only
        Names or patterns of the only nodes that may run on the mesh; None for all.
    activation_products
        Where products of two activations run: ``"mesh"`` reprograms it for each sample.
    """

    keep_digital: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    activation_products: ActivationProducts = "digital"

    @classmethod
    def of(
        cls,
        keep_digital: str | Iterable[str] = (),
        only: str | Iterable[str] | None = None,
        activation_products: str = "digital",
    ) -> Choice:
        """Return a choice from the arguments of `photonpu.compile`.

        Raises
        ------
        InputError
            `activation_products` is neither ``"digital"`` nor ``"mesh"``.
        """
        for lane in get_args(ActivationProducts):
            if activation_products == lane:
                chosen = None if only is None else _names(only)
                return cls(_names(keep_digital), chosen, lane)
        raise InputError(
            f"activation_products='{activation_products}': 'digital' or 'mesh' is needed"
        )

    def kept(self, graph: Graph, proto: onnx.ModelProto) -> Mapping[str, str]:
        """Return the nodes that stay digital by this choice, with the reason.

        Parameters
        ----------
        graph
            The network after all passes.
        proto
            The model as the file has it.

        Raises
        ------
        InputError
            A name or pattern matches no node that is left.
        """
        if not self.keep_digital and self.only is None:
            return {}
        names = {node.name: {node.name} for node in graph.nodes}
        known = node_names(proto)
        for node, merged in stands_for(graph, proto):
            names[node.name] |= merged
        named = self._matched("keep_digital", self.keep_digital, names, known)
        reasons: dict[str, str] = {}
        if self.only is not None:
            chosen = self._matched("only", self.only, names, known)
            reasons = {node.name: NOT_CHOSEN for node in graph.nodes if node.name not in chosen}
        return reasons | dict.fromkeys(named, KEPT)

    def _matched(
        self,
        option: str,
        patterns: tuple[str, ...],
        names: Mapping[str, set[str]],
        known: Iterable[str],
    ) -> set[str]:
        """Return the nodes that answer to one of some patterns, each of which must match."""
        found: set[str] = set()
        for pattern in patterns:
            matched = {
                node for node, own in names.items() if any(_matches(name, pattern) for name in own)
            }
            if not matched:
                raise InputError(f"{option}='{pattern}': {_missing(pattern, names, known)}")
            found |= matched
        return found


#: Every product with a constant matrix may run on the mesh, and nothing else.
EVERYTHING = Choice()


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def _missing(pattern: str, names: Iterable[str], known: Iterable[str]) -> str:
    """Say why a pattern matches nothing that is left."""
    if any(_matches(name, pattern) for name in known):
        return (
            "what it names is folded into constants or left out before anything runs: name a node "
            "of `photonpu check`"
        )
    guess = did_you_mean(pattern, dict.fromkeys([*known, *names]))
    return f"no node is called so{guess or '; `photonpu check` lists the products'}"


def node_names(proto: onnx.ModelProto) -> list[str]:
    """Return the names of a file's nodes, made up as the compiler does where they have none."""
    names: dict[str, None] = {}
    for index, node in enumerate(proto.graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in names:
            name = f"{name}_{index}"
        names[name] = None
    return list(names)


def stands_for(graph: Graph, proto: onnx.ModelProto) -> Iterator[tuple[Node, set[str]]]:
    """Yield each node with those of the file that it stands for.

    Parameters
    ----------
    graph
        The network after all passes.
    proto
        The model as the file has it.

    Yields
    ------
    tuple
        A node, and the names of the file's nodes between its inputs and its outputs, those that
        its weights are computed by among them.
    """
    named = zip(node_names(proto), proto.graph.node, strict=True)
    maker = {output: (name, node) for name, node in named for output in node.output}
    tensors = {value.name for value in proto.graph.input} | set(maker)
    for node in graph.nodes:
        inputs = {name for name in node.reads if name not in graph.constants}
        outputs = [name for name in node.writes if name in maker]
        whole = inputs <= tensors  # else walking back from the outputs would not know where to end
        found: set[str] = set()
        while outputs:
            name, original = maker[outputs.pop()]
            if name in found:
                continue
            found.add(name)
            if whole and original.op_type not in ("Shape", "Size"):
                outputs += [n for n in original.input if n in maker and n not in inputs]
        yield node, found
