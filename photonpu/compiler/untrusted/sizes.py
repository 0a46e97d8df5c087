"""Bounds on what a model would compute, before anything computes it.

onnxruntime computes what follows from constants while it loads a model, so a file of a hundred
bytes can ask for terabytes at once. Here the nodes are walked in order with nothing but shapes and
small constants, and a model that asks for more than its limits is refused by the node that does.
What depends on data (a loop that runs until a sum is large enough) no walk can tell.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from photonpu.compiler.untrusted import schemas
from photonpu.compiler.untrusted.limits import Limits
from photonpu.compiler.untrusted.sizing import arrangement, values
from photonpu.compiler.untrusted.sizing.facts import FOLLOWED, Array, Call, Fact, Shape, tidy
from photonpu.compiler.untrusted.sizing.growth import first_shape
from photonpu.compiler.untrusted.sizing.loops import run_if, run_loop, run_scan
from photonpu.compiler.untrusted.stored import BITS, LARGEST_RANK, TEXT, stored_bytes
from photonpu.compiler.untrusted.walk import plain, quoted, subgraphs, where
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnx

#: Nodes in further iterations of loops that are looked at.
PATIENCE = 10_000
#: Outputs of element types other than that of the first input, in bits.
_BITS = {
    "Shape": 64, "Size": 64, "NonZero": 64, "ArgMax": 64, "ArgMin": 64, "QuantizeLinear": 8,
    "DequantizeLinear": 32, "MatMulInteger": 32, "ConvInteger": 32,
    "DynamicQuantizeLinear": 8, "Equal": 8, "Greater": 8, "Less": 8, "GreaterOrEqual": 8,
    "LessOrEqual": 8, "IsNaN": 8, "IsInf": 8, "OneHot": 64, "ConcatFromSequence": 32,
}  # fmt: skip
#: Inputs that have an entry for each axis of something.
_PER_AXIS = {
    "AffineGrid": (1,), "CenterCropPad": (1,), "Col2Im": (1, 2), "ConstantOfShape": (0,),
    "Expand": (1,), "MaxUnpool": (2,), "Pad": (1, 3), "Reshape": (1,), "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4), "Squeeze": (1,), "Tile": (1,), "Unsqueeze": (1,), "Upsample": (1,),
}  # fmt: skip
_SEQUENCES = frozenset({"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase"})

Facts = ChainMap[str, Fact]


def check_sizes(
    proto: onnx.ModelProto,
    limits: Limits,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Shape]:
    """Refuse a model some tensor of which, or all of which, would be larger than allowed.

    Parameters
    ----------
    proto
        A checked model without functions of its own.
    limits
        Bounds on elements, bytes and iterations.
    shapes
        Shapes of inputs, where those of the model are free.

    Returns
    -------
    dict
        The shapes of the graph's tensors as far as they are known; None is a free axis.

    Raises
    ------
    ModelError
        Names the node, or the input.
    UnsupportedModelError
        A size follows from constants in a way that is not followed here.
    """
    versions = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in proto.opset_import}
    walk = Walk(versions, limits, stored_bytes(proto))
    facts: Facts = ChainMap()
    constants = {tensor.name for tensor in proto.graph.initializer}
    for value in proto.graph.input:
        if value.name not in constants:
            given = tuple((shapes or {}).get(value.name, ())) or None
            fact = _declared(value, given)
            walk.bound(fact, value)
            facts[value.name] = fact
    walk.graph(proto.graph, facts, 1)
    return {
        name: fact.shape for name, fact in facts.items() if fact.shape is not None and fact.exact
    }


def _declared(value: onnx.ValueInfoProto, shape: Shape | None) -> Fact:
    """Return what the model says of an input."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return Fact()
    if shape is None and tensor.HasField("shape"):
        shape = tuple(axis.dim_value if axis.dim_value > 0 else None for axis in tensor.shape.dim)
    return Fact(shape, bits=BITS.get(tensor.elem_type, 64))


class Walk:
    """Goes through a graph and the graphs inside, and keeps count.

    Parameters
    ----------
    versions
        Version of each operator set by domain.
    limits
        What is allowed.
    weights
        What these take, in bytes.
    """

    def __init__(self, versions: Mapping[str, int], limits: Limits, weights: int) -> None:
        self.limits = limits
        self._versions = versions
        self._folded_limit = max(limits.folded_bytes, 4 * weights)
        self._folded = 0
        self.total = weights
        #: Nodes that may still be looked at, before loops are foreseen no further.
        self.patience = PATIENCE

    def graph(self, graph: onnx.GraphProto, facts: Facts, times: int) -> list[Fact]:
        """Walk over a graph that runs `times` times, and return what is known of its outputs."""
        for tensor in graph.initializer:
            facts[tensor.name] = stored_fact(tensor)
        for node in graph.node:
            self.patience -= 1
            outputs = self._node(node, facts, times)
            for name, fact in zip(node.output, outputs, strict=False):
                if name:
                    self._count(node, fact)
                    facts[name] = fact
        return [facts.get(value.name, Fact()) for value in graph.output]

    def bound(self, fact: Fact, of: onnx.NodeProto | onnx.ValueInfoProto) -> None:
        """Refuse a tensor, the output of a node or an input, that is too large by itself."""
        if fact.shape is None:
            return
        if len(fact.shape) > LARGEST_RANK:
            raise ModelError(
                f"{_label(of)} has {len(fact.shape)} axes and {LARGEST_RANK} is the most: reshape "
                "it"
            )
        if fact.elements > self.limits.elements:
            shown = ", ".join("?" if size is None else str(size) for size in fact.shape[:8])
            raise ModelError(
                f"{_label(of)} of shape ({shown}) has {fact.elements} elements and "
                f"{self.limits.elements} is the limit for elements: make it smaller, or, if you "
                "trust the model, raise the limit"
            )

    def _count(self, node: onnx.NodeProto, fact: Fact) -> None:
        self.bound(fact, node)
        size = fact.elements * fact.bits // 8
        self.total += size
        if fact.constant and node.op_type != "Constant":
            self._folded += size
        if self._folded <= self._folded_limit and self.total <= self.limits.total_bytes:
            return
        for name, found, limit in (
            ("folded_bytes", self._folded, self._folded_limit),
            ("total_bytes", self.total, self.limits.total_bytes),
        ):
            if found > limit:
                what = "computed from constants" if name == "folded_bytes" else "of the model"
                raise ModelError(
                    f"{where(node)}: with its output the tensors {what} take {found} bytes and "
                    f"{limit} is the limit for {name}: if you trust the model, raise the limit"
                )

    def _node(self, node: onnx.NodeProto, facts: Facts, times: int) -> list[Fact]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = self._versions.get(domain, 1)
        inputs = tuple(facts.get(name, Fact()) if name else None for name in node.input)
        graphs = subgraphs(node)
        if graphs:
            return self._control(Call(node, inputs, version), graphs, facts, times)
        if node.op_type == "Constant" and not domain:
            return [_constant(node)]
        formal = schemas.formal(node.op_type, version, domain)
        constant = formal is None or formal.deterministic
        given = [fact for fact in inputs if fact is not None]
        constant &= bool(given) and all(fact.constant for fact in given)
        call = Call(node, inputs, version, constant)
        if node.op_type in _SEQUENCES or node.op_type.startswith(("Sequence", "SplitToSeq")):
            return [_sequence(call)]
        self._refuse_axes(call)
        if node.op_type in ("Div", "Mod"):
            values.check_division(call)
        outputs = _outputs(call)
        if constant and outputs and not outputs[0].known:
            call.refuse("its inputs")
        return outputs

    def _refuse_axes(self, call: Call) -> None:
        """Refuse what would give a tensor more axes than one can have, even if data say which."""
        op = call.node.op_type
        if op not in _PER_AXIS and not op.startswith("Reduce"):
            return
        for index in _PER_AXIS.get(op, (1,)):
            fact = call.fact(index)
            if fact is not None and fact.elements > 2 * LARGEST_RANK:
                raise ModelError(
                    f"{where(call.node)}: its input {index} has {fact.elements} numbers for the "
                    f"axes of a tensor, and {LARGEST_RANK} axes are the most: export it again"
                )

    def _control(
        self, call: Call, graphs: Sequence[onnx.GraphProto], facts: Facts, times: int
    ) -> list[Fact]:
        op = call.node.op_type
        if op == "If":
            return run_if(self, call, facts, times)
        if op == "Loop":
            return run_loop(self, call, facts, times)
        if op == "Scan":
            return run_scan(self, call, facts, times)
        for graph in graphs:  # SequenceMap and operators to come: their inputs are data
            inside = facts.new_child({value.name: Fact() for value in graph.input})
            self.graph(graph, inside, times)
        return [Fact() for _ in call.node.output]


def _label(of: onnx.NodeProto | onnx.ValueInfoProto) -> str:
    """Return what to call an input, or the output of a node."""
    return f"{where(of)}: its output" if hasattr(of, "op_type") else f"input {quoted(of.name)}"


def stored_fact(tensor: onnx.TensorProto) -> Fact:
    """Return what is known of a tensor that the model stores: all of it, if it is small."""
    from onnx import numpy_helper

    shape = tuple(int(size) for size in tensor.dims)
    if tensor.data_type == TEXT:
        longest = max(map(len, tensor.string_data), default=0)
        return Fact(shape, constant=True, bits=8 * (32 + longest))
    value = None
    if math.prod(shape) <= FOLLOWED and tensor.data_location != 1:
        value = numpy_helper.to_array(tensor)
        if value.dtype.kind not in "iufb":
            value = None
    return Fact(shape, value, constant=True, bits=max(8, BITS.get(tensor.data_type, 64)))


def _constant(node: onnx.NodeProto) -> Fact:
    """Return what is known of the output of a Constant."""
    for record in node.attribute:
        if record.name == "value":
            return stored_fact(record.t)
        if record.name == "sparse_value":
            sparse = record.sparse_tensor
            return Fact(tuple(sparse.dims), None, constant=True, bits=64)
        if record.name in ("value_int", "value_ints"):
            numbers: Array = np.array(record.i if record.type == 2 else record.ints, np.int64)
            return Fact(numbers.shape, numbers, constant=True, bits=64)
        if record.name in ("value_float", "value_floats"):
            numbers = np.array(record.f if record.type == 1 else record.floats, np.float32)
            return Fact(numbers.shape, numbers, constant=True)
        if record.name in ("value_string", "value_strings"):
            texts = [record.s] if record.type == 3 else list(record.strings)
            longest = max(map(len, texts), default=0)
            shape = () if record.type == 3 else (len(texts),)
            return Fact(shape, constant=True, bits=8 * (32 + longest))
    return Fact(constant=True)


def _sequence(call: Call) -> Fact:
    """Return what is known of a sequence, or of what is taken out of one."""
    op = call.node.op_type
    given = [fact or Fact() for fact in call.inputs]
    if op == "SequenceConstruct":
        return Fact(items=tuple(given))
    if op == "SequenceEmpty":
        return Fact(items=())
    held = given[0].items if given else None
    if op == "SequenceInsert" and held is not None and len(given) == 2:
        return Fact(items=(*held, given[1])[-FOLLOWED:])
    if op == "SequenceAt" and held and len({fact.shape for fact in held}) == 1:
        return Fact(held[0].shape, bits=held[0].bits)
    return Fact(items=held if op == "SequenceErase" else None)


def _outputs(call: Call) -> list[Fact]:
    """Return what is known of each output of an operator."""
    op = call.node.op_type
    if op == "ConcatFromSequence":
        return [_joined(call)]
    shapes = arrangement.split(call) if op == "Split" else [first_shape(call)]
    shapes *= 2 if op in ("TopK", "Dropout") else 1
    shape = shapes[0] if shapes else None
    first = call.fact(0)
    bits = _BITS.get(op, first.bits if first is not None else 32)
    if op in ("Cast", "EyeLike", "RandomUniform", "RandomNormal"):
        bits = BITS.get(call.integer("to") or call.integer("dtype"), bits)
    if op == "StringConcat":
        bits = sum(fact.bits for fact in call.inputs if fact is not None)
    if op in ("Gather", "Range", "Where"):
        bits = max((fact.bits for fact in call.inputs if fact is not None), default=32)
    # onnxruntime's own convolutions and pools may have their channels last.
    laid_out = plain(call.node.domain) == "" or not ("Conv" in op or "Pool" in op)
    exact = op not in ("NonZero", "Compress", "Unique") and laid_out
    exact &= all(fact is None or fact.exact for fact in call.inputs)
    constant = call.constant
    small = shape is not None and Fact(shape).elements <= FOLLOWED
    found = values.evaluate(call) if small and exact else None
    about_shape = _about_shape(call)
    if about_shape is not None:
        found = [about_shape]
    outputs = []
    for index, _ in enumerate(call.node.output):
        value = found[index] if found is not None and index < len(found) else None
        own = shapes[index] if index < len(shapes) else None
        if value is not None:
            own = value.shape
        outputs.append(Fact(own, value, constant, exact, bits))
    return outputs


def _about_shape(call: Call) -> Array | None:
    """Return the value of Shape and Size, which need no more than the shape."""
    first = call.fact(0)
    if call.node.op_type not in ("Shape", "Size") or first is None or first.shape is None:
        return None
    if not first.exact:
        return None
    if call.node.op_type == "Size":
        return np.array(first.elements, np.int64) if first.known else None
    stop = call.integer("end") if "end" in call.attributes else None
    part = first.shape[call.integer("start") : stop]
    whole = np.empty(len(part), object)
    whole[:] = part
    return tidy(whole)


def _joined(call: Call) -> Fact:
    """Return what is known of the tensors of a sequence put together."""
    first = call.fact(0)
    items = first.items if first is not None else None
    if not items or any(item.shape is None for item in items):
        return Fact()
    if call.integer("new_axis"):
        whole = [*(items[0].shape or ())]
        axis = call.integer("axis")
        whole.insert(axis + len(whole) + 1 if axis < 0 else axis, len(items))
        return Fact(tuple(whole), bits=items[0].bits)
    return Fact(arrangement.concat(Call(call.node, items, call.version)), bits=items[0].bits)
