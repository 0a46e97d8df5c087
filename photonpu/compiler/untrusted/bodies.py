"""What must agree within one node beyond its operator's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    Attributes = Mapping[str, onnx.AttributeProto]


def complaint(node: onnx.NodeProto, attributes: Attributes) -> str | None:
    """Return what does not agree, None if all does.

    Parameters
    ----------
    node
        A node that fits its schema.
    attributes
        Its attributes by name.
    """
    rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    return rule(node, attributes) if rule else None


def _split(node: onnx.NodeProto, attributes: Attributes) -> str | None:
    if "num_outputs" in attributes and attributes["num_outputs"].i != len(node.output):
        return f"num_outputs is {attributes['num_outputs'].i} and it has {len(node.output)} outputs"
    if "split" in attributes and len(attributes["split"].ints) != len(node.output):
        return f"split has {len(attributes['split'].ints)} parts for {len(node.output)} outputs"
    return None


def _if(node: onnx.NodeProto, attributes: Attributes) -> str | None:
    for name in ("then_branch", "else_branch"):
        graph = attributes[name].g
        if graph.input:
            return f"{name} has inputs, and a branch takes none"
        if len(graph.output) != len(node.output):
            return f"{name} gives {len(graph.output)} tensors and the node {len(node.output)}"
    return None


def _loop(node: onnx.NodeProto, attributes: Attributes) -> str | None:
    body, carried = attributes["body"].g, max(len(node.input) - 2, 0)
    if len(body.input) != carried + 2:
        return f"its body takes {len(body.input)} tensors and {carried + 2} are handed to it"
    if len(body.output) != len(node.output) + 1:
        return f"its body gives {len(body.output)} tensors and {len(node.output) + 1} are expected"
    if len(node.output) < carried:
        return f"it carries {carried} tensors and gives {len(node.output)}"
    return None


def _scan(node: onnx.NodeProto, attributes: Attributes) -> str | None:
    body, scanned = attributes["body"].g, attributes["num_scan_inputs"].i
    given = [len(node.input), len(node.input) - 1]  # version 8 has the lengths before all others
    if not 1 <= scanned <= len(node.input):
        return f"num_scan_inputs is {scanned} and it has {len(node.input)} inputs"
    if len(body.input) not in given:
        return f"its body takes {len(body.input)} tensors and {len(node.input)} are handed to it"
    if len(body.output) != len(node.output):
        return f"its body gives {len(body.output)} tensors and the node {len(node.output)}"
    return None


_RULES: dict[str, Callable[[onnx.NodeProto, Attributes], str | None]] = {
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
    "Split": _split,
}
