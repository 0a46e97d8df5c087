"""The tensors that a model stores: their data fit their shapes, and the limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from photonpu.compiler.untrusted.limits import Limits
from photonpu.compiler.untrusted.walk import scopes, shortened, tensors, where
from photonpu.errors import ModelError, UnsupportedModelError

if TYPE_CHECKING:
    import onnx

#: Number of an element type -> bits of one element; texts count as a pointer.
BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 8: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64,
    14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
    27: 6, 28: 6,
}  # fmt: skip
TEXT = 8
#: Axes that NumPy's arrays can have.
LARGEST_RANK = 64
_PARTS = {14: 2, 15: 2}  # numbers of the field that make one element: complex ones
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_FIELD_OF = {1: 0, 14: 0, 8: 2, 7: 3, 11: 4, 15: 4, 12: 5, 13: 5}  # all others: 1


def size_in_bytes(elements: int, kind: int) -> int:
    """Return what so many elements of a type take, packed where ONNX packs them."""
    return -(-elements * BITS.get(kind, 64) // 8)


def stored_bytes(proto: onnx.ModelProto) -> int:
    """Return what all tensors that a model stores take, whether their data are in it or not."""
    return sum(
        size_in_bytes(math.prod(tensor.dims), tensor.data_type) for _, tensor in tensors(proto)
    )


def check_stored(proto: onnx.ModelProto, limits: Limits) -> None:
    """Check the type, shape and amount of data of every tensor, before any is read.

    Parameters
    ----------
    proto
        The model; data in other files are not looked at.
    limits
        Bounds on one tensor and on all together.

    Raises
    ------
    ModelError
        A tensor is malformed or too large.
    """
    total = 0
    for label, tensor in tensors(proto):
        elements = count(label, tensor.dims, limits)
        if tensor.data_type not in BITS:
            raise ModelError(
                f"{label} is of element type {tensor.data_type}, which ONNX does not have: export "
                "the model again"
            )
        if tensor.data_location == 1:
            _check_elsewhere(label, tensor)
        else:
            _check_amount(label, tensor, elements)
        total += size_in_bytes(elements, tensor.data_type)
        if total > limits.total_bytes:
            raise ModelError(
                f"{label}: with it the weights take {total} bytes and {limits.total_bytes} is the "
                "limit for total_bytes: if you trust the model, raise the limit"
            )
    _check_sparse(proto)


def count(label: str, dims: object, limits: Limits) -> int:
    """Return the elements of a tensor of shape `dims`.

    Raises
    ------
    ModelError
        A negative axis, too many axes, or too many elements.
    """
    sizes = [int(size) for size in dims]  # type: ignore[attr-defined]
    shown = f"({', '.join(map(str, sizes[:8]))}{', ...' if len(sizes) > 8 else ''})"
    if len(sizes) > LARGEST_RANK:
        raise ModelError(
            f"{label} has {len(sizes)} axes and {LARGEST_RANK} is the most: reshape it"
        )
    if any(size < 0 for size in sizes):
        raise ModelError(f"{label} has shape {shown}: no axis can be negative; export it again")
    most = math.prod(max(1, size) for size in sizes)  # an axis of 0 must not hide the others
    if most > limits.elements:
        raise ModelError(
            f"{label} of shape {shown} has {most} elements and {limits.elements} is the limit "
            "for elements: if you trust the model, raise the limit"
        )
    return math.prod(sizes)


def _check_elsewhere(label: str, tensor: onnx.TensorProto) -> None:
    held = tensor.HasField("raw_data") or any(len(getattr(tensor, name)) for name in _FIELDS)
    if held or tensor.data_type == TEXT:
        raise ModelError(
            f"{label} holds data and says that they are in another file, or is text, which can't "
            "be: export the model again"
        )


def _check_amount(label: str, tensor: onnx.TensorProto, elements: int) -> None:
    """Compare the amount of data with the shape."""
    kind = tensor.data_type
    lengths = [len(getattr(tensor, name)) for name in _FIELDS]
    if tensor.HasField("raw_data"):
        found, wanted, unit = len(tensor.raw_data), size_in_bytes(elements, kind), "bytes"
        stray = any(lengths) or kind == TEXT
    else:
        place = _FIELD_OF.get(kind, 1)
        found, unit = lengths[place], "numbers"
        wanted = elements * _PARTS.get(kind, 1)
        if BITS[kind] in (2, 4):
            wanted = size_in_bytes(elements, kind)
        stray = sum(lengths) != found
    if stray or tensor.HasField("segment"):
        raise ModelError(
            f"{label} holds data in two places, in one that its type does not use, or in segments: "
            "export the model again"
        )
    if found != wanted:
        raise ModelError(
            f"{label} has shape ({', '.join(map(str, tensor.dims[:8]))}) and so needs {wanted} "
            f"{unit}, but holds {found}: the file is damaged; export the model again"
        )


def _check_sparse(proto: onnx.ModelProto) -> None:
    """Refuse sparse tensors; what uses them writes them out, whatever their size."""
    for scope in scopes(proto):
        found = [
            f"initializer '{shortened(sparse.values.name)}'"
            for sparse in getattr(scope.body, "sparse_initializer", ())
        ]
        found += [
            where(node)
            for node in scope.body.node
            for record in node.attribute
            if record.HasField("sparse_tensor") or record.sparse_tensors
        ]
        if found:
            raise UnsupportedModelError(
                f"{found[0]} is a sparse tensor and photonpu reads dense ones: export the model "
                "without sparse tensors"
            )
