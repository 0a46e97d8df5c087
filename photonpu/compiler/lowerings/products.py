"""What a lowering takes and gives, and their table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.program.geometry import Geometry
from photonpu.registry import Registry

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Operand:
    """An input of an operator as its lowering sees it.

    Attributes
    ----------
    name
        Name of the tensor.
    value
        Its numbers if it is a constant, else None.
    shape
        Its shape if the number of its axes is known, else None; None for an axis that is free.
    """

    name: str
    value: NDArray[Any] | None
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """A product with constant matrices, all that the mesh needs to know of an operator.

    Attributes
    ----------
    input
        Name of the tensor that streams through the matrices.
    geometry
        How it turns into vectors, and the results into the output.
    weights
        For each stream (groups, rows / groups, columns / groups).
    bias
        (out_channels,) or None.
    """

    input: str
    geometry: Geometry
    weights: tuple[Floats, ...]
    bias: Floats | None


class StaysDigital(Exception):  # noqa: N818 - the outcome of a lowering, not an error
    """A lowering found that the mesh can't take an operator; `lower` hands the reason on."""


#: A function whose signature is the operator's in the ONNX specification. It returns the product
#: or raises `StaysDigital`.
Lowering = Callable[..., MatrixProduct]
LOWERINGS: Registry[Lowering] = Registry("lowering")


def constant_on_left(a: Operand, b: Operand) -> bool:
    """Say whether the constant of two factors is the left one.

    Raises
    ------
    StaysDigital
        Neither is constant.
    """
    if a.value is None and b.value is None:
        raise StaysDigital(f"its factors '{a.name}' and '{b.name}' are both computed at run time")
    return b.value is None


def constant(role: str, operand: Operand) -> Floats:
    """Return the numbers of an operand that goes to the mesh.

    Parameters
    ----------
    role
        What the operand is to its operator: ``"weight"``.
    operand
        The operand.

    Raises
    ------
    StaysDigital
        They are not known beforehand, or are no float32.
    """
    if operand.value is None:
        raise StaysDigital(f"its {role} '{operand.name}' is computed at run time")
    if operand.value.dtype != np.float32:
        raise StaysDigital(
            f"its {role} '{operand.name}' is {operand.value.dtype} and the mesh takes float32"
        )
    return operand.value


def spatial_size(role: str, operand: Operand) -> tuple[int, ...]:
    """Return the sizes of the axes of `operand` after batch and channels.

    Parameters
    ----------
    role
        What needs them: ``"auto_pad"``.
    operand
        The operand.

    Raises
    ------
    StaysDigital
        One of them is unknown.
    """
    sizes = tuple(size for size in (operand.shape or ())[2:] if size is not None)
    if operand.shape is None or len(sizes) != len(operand.shape) - 2:
        raise StaysDigital(f"its {role} depends on the shape of '{operand.name}', which is free")
    return sizes
