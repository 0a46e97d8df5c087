"""A model that was read and checked already, so that nobody checks it twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from photonpu.compiler.untrusted.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What `photonpu.compiler.reader.read` gave, with the name of the file that it came from.

    Attributes
    ----------
    proto
        The model. It is shared: nobody may change it.
    name
        What to call programs that are compiled from it.
    limits
        What it may ask for, here and later, when shapes are known.
    """

    proto: onnx.ModelProto
    name: str
    limits: Limits = DEFAULT
