"""What is fed to a session, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.program import TensorInfo

Array = NDArray[Any]


def check_feeds(
    inputs: Sequence[TensorInfo], feeds: Mapping[str, Array], looked_at: Collection[str] = ()
) -> Mapping[str, Array]:
    """Check names, shapes, types and values of what is fed.

    Parameters
    ----------
    inputs
        What a program takes.
    feeds
        Arrays by name.
    looked_at
        Names of those whose values a step will look at: they are not looked at here.

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
        array = checked[info.name] = np.asarray(feeds[info.name])
        _check_form(info, array)
        if info.name not in looked_at:
            _check_values(info.name, array)
    return checked


def check_values(feeds: Mapping[str, Array]) -> None:
    """Check the values of arrays by name.

    Raises
    ------
    InputError
        One is NaN or infinite.
    """
    for name, value in feeds.items():
        _check_values(name, value)


def _check_form(info: TensorInfo, value: Array) -> None:
    """Make sure of the type and the shape of one input."""
    if value.dtype != np.dtype(info.dtype):
        raise InputError(
            f"input '{info.name}' is {value.dtype}; {info.dtype} is needed: "
            f"convert it with .astype('{info.dtype}')"
        )
    if value.shape == info.shape:
        return
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


def _check_values(name: str, value: Array) -> None:
    """Make sure of the values of one input."""
    if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
        raise InputError(f"input '{name}' holds NaN or infinity; clean the data first")


def describe(info: TensorInfo) -> str:
    """Return a shape and type for people: ``(batch, 1, 128, 128) float32``."""
    sizes = ", ".join(str(size) for size in info.shape)
    return f"({sizes}{',' if len(info.shape) == 1 else ''}) {info.dtype}"
