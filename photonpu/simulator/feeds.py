"""What is fed to a session, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.program import TensorInfo

Array = NDArray[Any]


def check_feeds(inputs: Sequence[TensorInfo], feeds: Mapping[str, Array]) -> Mapping[str, Array]:
    """Check names, shapes, types and values of what is fed.

    Raises
    ------
    InputError
        Anything does not fit.
    """
    names = [info.name for info in inputs]
    for name in feeds:
        if name not in names:
            raise InputError(f"no input is called '{name}'; there are: {', '.join(names)}")
    checked = {}
    for info in inputs:
        if info.name not in feeds:
            raise InputError(f"input '{info.name}' is missing: feed an array of {describe(info)}")
        checked[info.name] = _check_array(info, np.asarray(feeds[info.name]))
    return checked


def _check_array(info: TensorInfo, value: Array) -> Array:
    """Return one input once its type, shape and values are sure."""
    if value.dtype != np.dtype(info.dtype):
        raise InputError(
            f"input '{info.name}' is {value.dtype}; {info.dtype} is needed: "
            f"convert it with .astype('{info.dtype}')"
        )
    fits = len(value.shape) == len(info.shape) and all(
        isinstance(want, str) or want == have
        for want, have in zip(info.shape, value.shape, strict=False)
    )
    if not fits:
        remedy = ""
        if len(value.shape) == len(info.shape) and value.size:
            sizes = "x".join(map(str, value.shape))
            remedy = f": feed that, or compile the model with --shape {info.name}={sizes}"
        raise InputError(
            f"input '{info.name}' has shape {value.shape}; {describe(info)} is needed{remedy}"
        )
    if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
        raise InputError(f"input '{info.name}' holds NaN or infinity; clean the data first")
    return value


def describe(info: TensorInfo) -> str:
    """Return a shape and type for people: ``(batch, 1, 128, 128) float32``."""
    sizes = ", ".join(str(size) for size in info.shape)
    return f"({sizes}{',' if len(info.shape) == 1 else ''}) {info.dtype}"
