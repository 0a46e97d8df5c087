"""The structure of a model, held against the standards before compiled code sees it.

onnx's checker and onnxruntime trust more than they should: a ``Sum`` with an empty input in its
middle ends onnxruntime by a segmentation fault, a ``Split`` whose ``num_outputs`` is not the number
of its outputs aborts onnx's checker. What is refused here never reaches them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from photonpu.compiler.untrusted import bodies, schemas
from photonpu.compiler.untrusted.limits import Limits
from photonpu.compiler.untrusted.walk import (
    STANDARD,
    plain,
    quoted,
    scopes,
    shortened,
    subgraphs,
    where,
)
from photonpu.errors import ModelError, UnsupportedModelError
from photonpu.registry import did_you_mean

if TYPE_CHECKING:
    import onnx

    Body = onnx.GraphProto | onnx.FunctionProto

#: Where onnxruntime's own operators live besides the standard.
DOMAINS = frozenset({*STANDARD, "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
#: Attributes that are divided by, or counted to.
POSITIVE = frozenset(
    {"group", "strides", "dilations", "kernel_shape", "blocksize", "num_groups", "num_outputs"}
    | {"q_num_heads", "kv_num_heads"}
)
#: Characters of a name; a program's file takes twice as many.
LONGEST = 2048
#: What holds the value of an attribute of each type.
FIELDS = {
    1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings", 9: "tensors",
    10: "graphs", 11: "sparse_tensor", 12: "sparse_tensors", 13: "tp", 14: "type_protos",
}  # fmt: skip
_BESIDE = frozenset({"name", "doc_string", "type", "ref_attr_name"})

Key = tuple[str, str, str]


def check_counts(proto: onnx.ModelProto, limits: Limits) -> None:
    """Bound the graphs inside graphs, and the nodes once functions are written out.

    Raises
    ------
    ModelError
        Too many or too deep, or a function calls itself.
    """
    count = 0
    for scope in scopes(proto):
        if scope.depth > limits.depth:
            raise ModelError(
                f"graph {quoted(scope.body.name)} is inside {scope.depth - 1} others and "
                f"{limits.depth} is the limit for depth: export a flatter model, or raise it"
            )
        count += len(scope.body.node)
        _bound(count, limits)
    functions = {key_of(function): function for function in proto.functions}
    if functions:
        count, size = _Expansion(functions, limits).of(proto.graph, 1)
        _bound(count, limits)
        if size > limits.folded_bytes:
            raise ModelError(
                f"the model's functions take {size} bytes once they are written out and "
                f"{limits.folded_bytes} is the limit for folded_bytes: keep large constants out of "
                "functions, as initializers"
            )


def _bound(count: int, limits: Limits) -> None:
    if count > limits.nodes:
        raise ModelError(
            f"the model has {count} nodes or more, and {limits.nodes} is the limit for nodes: if "
            "you trust it, raise the limit"
        )


def key_of(function: onnx.FunctionProto) -> Key:
    """Return what a node must say to call a function."""
    return plain(function.domain), function.name, function.overload


def _called(node: onnx.NodeProto) -> Key:
    return plain(node.domain), node.op_type, node.overload


class _Expansion:
    """Counts nodes, and bytes of functions, as they would be with every function written out."""

    def __init__(self, functions: Mapping[Key, onnx.FunctionProto], limits: Limits) -> None:
        self._functions = functions
        self._limits = limits
        self._known: dict[Key, tuple[int, int]] = {}
        self._open: list[Key] = []

    def of(self, body: Body, depth: int) -> tuple[int, int]:
        """Return the nodes of a graph or function, and the bytes of what it calls, at least."""
        if depth > self._limits.depth:
            names = ", ".join(shortened(name) for _, name, _ in self._open)
            raise ModelError(
                f"functions call each other {depth - 1} deep ({names}) and {self._limits.depth} is "
                "the limit for depth: inline them, or raise the limit"
            )
        count = size = 0
        for node in body.node:
            key = _called(node)
            found = [self._call(key, depth) if key in self._functions else (1, 0)]
            found += [self.of(graph, depth + 1) for graph in subgraphs(node)]
            count += sum(nodes for nodes, _ in found)
            size += sum(written for _, written in found)
            if count > self._limits.nodes or size > self._limits.folded_bytes:
                break
        return count, size

    def _call(self, key: Key, depth: int) -> tuple[int, int]:
        if key in self._open:
            raise ModelError(
                f"function {quoted(key[1])} calls itself: ONNX knows no recursion; unroll it"
            )
        if key not in self._known:
            self._open.append(key)
            count, size = self.of(self._functions[key], depth + 1)
            self._known[key] = count, size + self._functions[key].ByteSize()
            self._open.pop()
        return self._known[key]


def check_schemas(proto: onnx.ModelProto) -> None:
    """Hold every node against its operator's schema, and every name against the graph around it.

    Raises
    ------
    ModelError
        Inputs, outputs or attributes do not fit, or a tensor is given twice, late, or by nobody.
    UnsupportedModelError
        An operator that neither the mesh nor onnxruntime knows.
    """
    if not proto.graph.output:
        raise ModelError(
            f"graph {quoted(proto.graph.name)} has no output: name one when you export the model"
        )
    functions = Counter(key_of(function) for function in proto.functions)
    for (_, name, _), count in functions.items():
        if count > 1:
            raise ModelError(f"function {quoted(name)} is defined {count} times: keep one")
    known = {key_of(f): (len(f.input), len(f.output)) for f in proto.functions}
    oldest = {"": 1} if proto.ir_version < 3 else {}
    versions = oldest | _versions(proto.opset_import, "the model")
    _Checker(versions, known).graph(proto.graph, set())
    for function in proto.functions:
        label = f"function {quoted(function.name)}"
        _Checker(_versions(function.opset_import, label), known).function(function)


def _versions(entries: Iterable[onnx.OperatorSetIdProto], label: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        domain = plain(entry.domain)
        if found.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                f"{label} imports versions {found[domain]} and {entry.version} of operator set "
                f"{quoted(domain)}: keep one"
            )
        if entry.version < 1:
            raise ModelError(
                f"{label} imports operator set version {entry.version}: 1 is the first"
            )
    return found


class _Checker:
    """Checks the nodes of one graph or function and of the graphs inside."""

    def __init__(
        self, versions: Mapping[str, int], functions: Mapping[Key, tuple[int, int]]
    ) -> None:
        self._versions = versions
        self._functions = functions  # of each the most inputs and outputs
        self._in_function = False

    def graph(self, graph: onnx.GraphProto, seen: set[str]) -> None:
        """Check a graph that sees the names `seen` besides its own; they are as before after."""
        own: set[str] = set()
        for value in graph.input:
            if not value.name or value.name in own:
                raise ModelError(
                    f"graph {quoted(graph.name)} has two inputs {quoted(value.name)}, or one "
                    "without a name: give each a name of its own"
                )
            own.add(value.name)
        stored = [t.name for t in graph.initializer]
        stored += [s.values.name for s in graph.sparse_initializer]
        for name, count in Counter(stored).items():
            if count > 1 or not name:
                raise ModelError(
                    f"graph {quoted(graph.name)} has {count} initializers {quoted(name)}: give "
                    "each a name of its own"
                )
        _check_lengths(f"graph {quoted(graph.name)}", (graph.name, *own, *stored))
        self._nodes(graph, own | set(stored), seen)

    def function(self, function: onnx.FunctionProto) -> None:
        """Check a function's body, which sees its inputs alone."""
        for names in (function.input, function.output):
            if len(set(names)) != len(names):
                raise ModelError(
                    f"function {quoted(function.name)} names a parameter twice: rename one"
                )
        self._in_function = True
        self._nodes(function, set(function.input), set())

    def _nodes(self, body: Body, own: set[str], seen: set[str]) -> None:
        added = own - seen  # what to forget again: a copy for each graph would be quadratic
        seen |= added
        for node in body.node:
            _check_lengths(where(node), (node.name, *node.input, *node.output))
            for name in node.input:
                if name and name not in seen:
                    raise ModelError(_unknown(node, name, body))
            self._node(node)
            for graph in subgraphs(node):
                self.graph(graph, seen)
            for name in filter(None, node.output):
                if name in own:
                    raise ModelError(
                        f"{where(node)} gives {quoted(name)}, which is given already: a tensor is "
                        "given once; rename one"
                    )
                own.add(name)
                if name not in seen:
                    added.add(name)
                    seen.add(name)
        for output in body.output:
            name = output if isinstance(output, str) else output.name
            if name not in seen:
                raise ModelError(
                    f"output {quoted(name)} of {quoted(body.name)} is given by no node: export "
                    "the model again"
                )
        seen -= added

    def _node(self, node: onnx.NodeProto) -> None:
        attributes = _attributes(node)
        for name, record in attributes.items():
            if record.ref_attr_name and not self._in_function:
                raise ModelError(
                    f"{where(node)}: attribute {quoted(name)} stands for one of a function, and "
                    "this is in none: export the model again"
                )
        key = _called(node)
        if key in self._functions:
            _check_call(node, *self._functions[key])
            return
        domain = plain(node.domain)
        if node.domain not in DOMAINS:
            raise UnsupportedModelError(
                f"{where(node)}: neither the mesh nor onnxruntime knows an operator of "
                f"{quoted(domain)}; export the model with standard ONNX operators"
            )
        if domain not in self._versions:
            raise ModelError(
                f"{where(node)}: the model imports no operator set {quoted(domain)}; export it "
                "again"
            )
        formal = schemas.formal(node.op_type, self._versions[domain], domain)
        if formal is None:
            nearest = did_you_mean(shortened(node.op_type), schemas.names(domain))
            raise UnsupportedModelError(
                f"{where(node)}: operator set {self._versions[domain]} of ONNX has no such "
                f"operator{nearest or '; export with standard operators'}"
            )
        _check_parameters(node, formal)
        _check_attributes(node, formal, attributes)
        complaint = bodies.complaint(node, attributes)
        if complaint:
            raise ModelError(f"{where(node)}: {complaint}; export the model again")


def _check_lengths(label: str, names: Iterable[str]) -> None:
    """Refuse names that a program could not hold, with what passes and onnxruntime add to them."""
    for name in names:
        if len(name) > LONGEST:
            raise ModelError(
                f"{label} has the name {quoted(name)} of {len(name)} characters and {LONGEST} are "
                "the most: shorten it"
            )


def _unknown(node: onnx.NodeProto, name: str, body: Body) -> str:
    if any(name in other.output for other in body.node):
        return (
            f"{where(node)} reads {quoted(name)}, which it or a later node gives: put the nodes in "
            "an order in which they can run, without cycles"
        )
    return f"{where(node)} reads {quoted(name)}, which nothing gives: export the model again"


def _check_call(node: onnx.NodeProto, inputs: int, outputs: int) -> None:
    """Compare a call of a function with its parameters, all of which are optional."""
    if len(node.input) > inputs or len(node.output) > outputs:
        raise ModelError(
            f"{where(node)} has {len(node.input)} inputs and {len(node.output)} outputs, and its "
            f"function {inputs} and {outputs}: export the model again"
        )


def _check_parameters(node: onnx.NodeProto, formal: schemas.Formal) -> None:
    """Compare the numbers of inputs and outputs, and find empty ones."""
    for kind, given, (fewest, most) in (
        ("inputs", len(node.input), formal.arity_in),
        ("outputs", len(node.output), formal.arity_out),
    ):
        if not fewest <= given <= most:
            takes = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            takes = f"{fewest} or more" if fewest < most >= 2**31 - 1 else takes
            raise ModelError(
                f"{where(node)} has {given} {kind} and its operator {takes}: export it again"
            )
    for index, name in enumerate(node.input):
        if not name and formal.must_be_given(index):
            raise ModelError(
                f"{where(node)}: input {index} is empty and is not optional; export the model again"
            )
    for index, name in enumerate(node.output):
        if not name and formal.must_be_named(index):
            raise ModelError(
                f"{where(node)}: output {index} has no name and is not optional; name it"
            )


def _attributes(node: onnx.NodeProto) -> dict[str, onnx.AttributeProto]:
    """Return a node's attributes by name; each there once, with the value that its type says."""
    found: dict[str, onnx.AttributeProto] = {}
    for record in node.attribute:
        if not record.name or record.name in found:
            raise ModelError(
                f"{where(node)} has two attributes {quoted(record.name)}, or one without a name: "
                "keep one"
            )
        found[record.name] = record
        wanted = FIELDS.get(record.type)
        fields = {entry.name for entry, _ in record.ListFields()} - _BESIDE
        missing = record.type in (4, 5, 11, 13) and not fields and not record.ref_attr_name
        if wanted is None or fields - {wanted} or missing:
            held = ", ".join(sorted(fields)) or "nothing"
            raise ModelError(
                f"{where(node)}: attribute {quoted(record.name)} is of type {record.type} and "
                f"holds {held}; export the model again"
            )
    return found


def _check_attributes(
    node: onnx.NodeProto, formal: schemas.Formal, attributes: Mapping[str, onnx.AttributeProto]
) -> None:
    """Compare attributes with the schema: names, types, those that must be there, divisors."""
    for name, record in attributes.items():
        if name not in formal.attributes:
            nearest = did_you_mean(shortened(name), formal.attributes)
            raise ModelError(
                f"{where(node)} has no attribute {quoted(name)}{nearest or ': remove it'}"
            )
        kind, _ = formal.attributes[name]
        if record.type != kind:
            raise ModelError(
                f"{where(node)}: attribute {quoted(name)} is of type {record.type} and must be "
                f"{kind} ({FIELDS[kind]}); export the model again"
            )
        values = (record.i,) if record.type == 2 else record.ints
        wrong = [value for value in values if not 1 <= value < 2**31]
        if name in POSITIVE and not record.ref_attr_name and wrong:
            raise ModelError(
                f"{where(node)}: attribute {quoted(name)} is {wrong[0]} and must be 1 or more, and "
                "below 2**31"
            )
    for name, (_, required) in formal.attributes.items():
        if required and name not in attributes:
            raise ModelError(f"{where(node)} lacks its attribute {quoted(name)}: export it again")
