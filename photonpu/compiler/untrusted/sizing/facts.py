"""What is known of a tensor before anything is computed: its shape, small contents, its origin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler.untrusted.walk import where
from photonpu.errors import UnsupportedModelError

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
Size = int | None
Shape = tuple[Size, ...]

#: Elements up to which the contents of a tensor are followed.
FOLLOWED = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """What is known of a tensor.

    Attributes
    ----------
    shape
        Its axes; None where one is free, or altogether, where it is not known. Of what is constant
        it may be an upper bound; `exact` says so.
    value
        Its numbers, if they are few and known; those that are not are None, in an array of
        objects.
    constant
        It follows from constants alone, and onnxruntime computes it while it loads the model.
    exact
        The shape is the shape, no bound.
    bits
        Of one element.
    items
        Of a sequence what it holds, where known.
    """

    shape: Shape | None = None
    value: Array | None = None
    constant: bool = False
    exact: bool = True
    bits: int = 32
    items: tuple[Fact, ...] | None = None

    @property
    def elements(self) -> int:
        """Return the elements it has at least, free axes counted as 1."""
        return math.prod(1 if size is None else size for size in self.shape or ())

    @property
    def known(self) -> bool:
        """Say whether every axis is known."""
        return self.shape is not None and None not in self.shape


@dataclass(frozen=True, eq=False)
class Call:
    """An operator at work: its node, what is known of its inputs, its operator set's version."""

    node: onnx.NodeProto
    inputs: tuple[Fact | None, ...]
    version: int
    constant: bool = field(default=False)

    @cached_property
    def attributes(self) -> dict[str, onnx.AttributeProto]:
        """The attributes by name."""
        return {record.name: record for record in self.node.attribute}

    def integer(self, name: str, default: int = 0) -> int:
        """Return an attribute that is a number."""
        return int(self.attributes[name].i) if name in self.attributes else default

    def integers(self, name: str) -> list[int] | None:
        """Return an attribute that is a list of numbers; None if it is not there."""
        return list(self.attributes[name].ints) if name in self.attributes else None

    def text(self, name: str, default: str = "") -> str:
        """Return an attribute that is text."""
        if name not in self.attributes:
            return default
        return self.attributes[name].s.decode(errors="replace")

    def fact(self, index: int) -> Fact | None:
        """Return what is known of an input; None if it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def shape(self, index: int = 0) -> Shape | None:
        """Return the shape of an input, if it is known."""
        found = self.fact(index)
        return None if found is None else found.shape

    def numbers(self, index: int) -> list[Any] | None:
        """Return the numbers of an input that a size depends on; None if it is absent or data.

        Raises
        ------
        UnsupportedModelError
            It is constant, but computed in a way that is not followed here.
        """
        found = self.fact(index)
        if found is None:
            return None
        if found.value is not None:
            return list(found.value.reshape(-1).tolist())
        if found.constant:
            self.refuse(f"its input {index}")
        return None

    def refuse(self, what: str) -> None:
        """Refuse a constant that a size depends on and that is not followed.

        Raises
        ------
        UnsupportedModelError
            Always.
        """
        raise UnsupportedModelError(
            f"{where(self.node)}: the size of its output follows from {what}, which constants give "
            "in a way that cannot be bounded beforehand: fold the model's constants first"
        )


def broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    """Return what shapes are stretched to; None if one is not known or they do not fit."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes) or not known:
        return None
    rank = max(len(shape) for shape in known)
    result: list[Size] = []
    for axis in range(1, rank + 1):
        sizes = {shape[-axis] for shape in known if len(shape) >= axis} - {1}
        fixed = sizes - {None}
        if len(fixed) > 1:
            return None
        result.append(1 if not sizes else next(iter(fixed), None))
    return tuple(reversed(result))


def tidy(value: Array) -> Array:
    """Return an array of objects as one of int64 if it holds nothing unknown."""
    if value.dtype != object:
        return value
    flat = [None if v is None or not -(2**63) <= v < 2**63 else v for v in value.reshape(-1)]
    if None not in flat:
        return np.array(flat, np.int64).reshape(value.shape)
    result = np.empty(len(flat), object)
    result[:] = flat
    return result.reshape(value.shape)
