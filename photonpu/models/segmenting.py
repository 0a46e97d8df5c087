"""Networks that segment images: what they take, and the masks that their outputs stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.models.datasets import Dataset

if TYPE_CHECKING:
    import onnx

    from photonpu.program import Program
    from photonpu.simulator import Session

Masks = NDArray[np.bool_]
# Takes a batch (B, C, H, W) and the index of its first sample, gives the network's output.
Network = Callable[[NDArray[np.float32], int], NDArray[Any]]

_ONNX_FLOATS = {"tensor(float)": "float32", "tensor(double)": "float64"}


def on_chip(session: Session) -> Network:
    """Return the network of a program on a chip."""
    program = session.program
    name, dtype = program.inputs[0].name, np.dtype(program.inputs[0].dtype)
    output = program.outputs[0].name
    return lambda images, first: session.run(
        [output], {name: images.astype(dtype, copy=False)}, first=first
    )[0]


def cases_of_program(program: Program, dataset: Dataset) -> int:
    """Return how many cases a program takes at a time.

    Raises
    ------
    InputError
        It does not take these images.
    """
    return _cases_at_once("program", [(info.name, info.shape) for info in program.inputs], dataset)


def float_network(model: onnx.ModelProto, dataset: Dataset) -> tuple[Network, int]:
    """Return an ONNX model of any size in onnxruntime, and the cases it takes at a time.

    Parameters
    ----------
    model
        What `photonpu.compiler.reader.read` gave.
    dataset
        The images that it is to take.

    Raises
    ------
    InputError
        It does not take these images.
    """
    import onnxruntime

    from photonpu.compiler import weights

    light, apart = weights.part(model)
    session = onnxruntime.InferenceSession(
        light.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = [info for info in session.get_inputs() if info.name not in apart]
    at_once = _cases_at_once("reference", [(info.name, info.shape) for info in inputs], dataset)
    name, output = inputs[0].name, session.get_outputs()[0].name
    if inputs[0].type not in _ONNX_FLOATS:
        raise InputError(f"reference: input '{name}' is {inputs[0].type}; images are tensor(float)")
    dtype = np.dtype(_ONNX_FLOATS[inputs[0].type])

    def run(images: NDArray[np.float32], first: int) -> NDArray[Any]:
        feeds = {name: images.astype(dtype, copy=False), **apart}
        return np.asarray(session.run([output], feeds)[0])

    return run, at_once


def _cases_at_once(
    what: str, inputs: Sequence[tuple[str, Sequence[int | str | None]]], dataset: Dataset
) -> int:
    """Return how many cases a network takes at a time, once it is sure that they fit it."""
    if len(inputs) != 1:
        names = ", ".join(f"'{name}'" for name, _ in inputs)
        raise InputError(f"{what} has {len(inputs)} inputs ({names}): images go into one")
    name, shape = inputs[0]
    needed = f"{what}: input '{name}' has shape ({', '.join(map(str, shape))})"
    if len(shape) != 4:
        raise InputError(f"{needed}: images have shape (batch, channels, height, width)")
    have = dataset.images.shape[1:]
    if any(
        isinstance(want, int) and want != size for want, size in zip(shape[1:], have, strict=True)
    ):
        raise InputError(
            f"{needed} and the images of '{dataset.name}' have {have}: load them with "
            f"channels={shape[1]} and size=({shape[2]}, {shape[3]})"
        )
    if not isinstance(shape[0], int):
        return len(dataset)
    if shape[0] != 1:
        raise InputError(
            f"{needed}: its batch must be free, or 1; export the model with one of them"
        )
    return 1


def segment(
    network: Network, dataset: Dataset, batch: int, threshold: float, step: Callable[[int], None]
) -> Masks:
    """Return the masks (S, H, W) that a network gives; `step` is told of every batch.

    Raises
    ------
    InputError
        Its output is no mask of their size, or holds NaN or infinity.
    """
    masks = np.empty(dataset.masks.shape, dtype=np.bool_)
    for first in range(0, len(dataset), batch):
        images = dataset.images[first : first + batch]
        output = network(images, first)
        masks[first : first + batch] = _mask(output, threshold, (len(images), *dataset.size))
        step(len(images))
    return masks


def _mask(output: NDArray[Any], threshold: float, shape: tuple[int, int, int]) -> Masks:
    """Return the masks (B, H, W) that an output stands for."""
    scores = output[:, None] if output.ndim == 3 else output
    if scores.ndim != 4 or (len(scores), *scores.shape[2:]) != shape or not scores.shape[1]:
        raise InputError(
            f"the network's first output has shape {output.shape}; a mask for each image is "
            f"needed: ({shape[0]}, 1, {shape[1]}, {shape[2]}), or a channel for each class"
        )
    if not np.isfinite(scores).all():
        raise InputError("the network's output holds NaN or infinity: its masks would be arbitrary")
    if scores.shape[1] == 1:
        return np.asarray(scores[:, 0] > threshold)
    return np.asarray(scores.argmax(axis=1) > 0)
