"""Bounds on what a model may ask for; a model file is untrusted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from photonpu.errors import InputError


def _limit(default: float, reason: str) -> int:
    """Declare a limit with the reason for its default."""
    value: int = field(default=default, metadata={"reason": reason})  # type: ignore[assignment]
    return value


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model may ask for before it is refused, unseen by onnx's checker and onnxruntime.

    Attributes
    ----------
    file_bytes
        Size of the model's own file, weights in other files not counted.
    nodes
        Operators, those of subgraphs included, and each model-local function as often as it is
        called.
    depth
        Subgraphs and functions within one another.
    elements
        Elements of one tensor; an axis that is free counts as 1.
    total_bytes
        All tensors whose size follows from the model, weights included.
    folded_bytes
        All tensors that are computed from constants alone, which onnxruntime does while it
        loads a model. If the stored weights are larger, four times these.
    iterations
        Iterations of a Loop or Scan, those of loops within one another multiplied.
    seconds
        Time to read and check a model, for the command line's child process.
    memory_bytes
        Memory of that child process.

    Raises
    ------
    InputError
        A limit is no positive number.
    """

    file_bytes: int = _limit(2**31, "protocol buffers hold no more")
    nodes: int = _limit(50_000, "exported language models have some ten thousand")
    depth: int = _limit(16, "exporters nest two or three; protocol buffers' readers stop at 33")
    elements: int = _limit(2**30, "the embedding of a 70 B language model has 1.05e9")
    total_bytes: int = _limit(2**35, "a 3-D network on 256³ voxels keeps 10 GB of activations")
    folded_bytes: int = _limit(
        2**31, "masks take MB; ONNX's test of VGG-19 makes 1.1 GB of weights"
    )
    iterations: int = _limit(100_000, "so many take onnxruntime one or two seconds")
    seconds: float = _limit(20.0, "a model of 2 GB reads in a few seconds")
    memory_bytes: int = _limit(2**33, "four times the largest file")

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value < float("inf"):
                raise InputError(
                    f"limits: {entry.name} = {value!r}: give a positive number, "
                    f"{entry.default} is the default"
                )


#: What is allowed unless someone says otherwise.
DEFAULT = Limits()
