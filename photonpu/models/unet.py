"""One U-Net, drawn once: its tensors' shapes, and the ONNX graph that is made of them.

::

    image -> encoder1 ----------------------------> (+) -> decoder1 -> head -> sigmoid
               | pool                          upconv1
             encoder2 ------------> (+) -> decoder2
               | pool           upconv2
               ...  bottleneck  ...

Each encoder, decoder and the bottleneck is twice (3x3 convolution without bias, batch
normalisation, ReLU). The layout is that of Buda, Saha and Mazurowski, "Association of genomic
subtypes of lower-grade gliomas with shape features", Comput. Biol. Med. 109 (2019), 218-225.
Batch normalisation stays a node of its own in the file, as trained networks usually come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from photonpu.errors import InputError

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
NORM_EPSILON = 1e-5

Weights = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class UNet:
    """The size of a U-Net.

    Attributes
    ----------
    in_channels : int
        Channels of the image.
    features : int
        Channels after the first encoder; each level below has twice as many.
    levels : int
        How often the image is halved; its sides are multiples of ``2 ** levels``.
    """

    in_channels: int = 1
    features: int = 8
    levels: int = 4

    def __post_init__(self) -> None:
        """Refuse a size without channels or levels.

        Raises
        ------
        InputError
            If a number is below 1.
        """
        for name in ("in_channels", "features", "levels"):
            if getattr(self, name) < 1:
                raise InputError(f"UNet.{name}={getattr(self, name)}: it must be 1 or more")

    def width(self, level: int) -> int:
        """Return the channels at a level, 1 at the top, ``levels + 1`` at the bottleneck."""
        return int(self.features * 2 ** (level - 1))

    def blocks(self) -> dict[str, tuple[int, int]]:
        """Return the channels in and out of each pair of convolutions, in order of execution."""
        blocks = {"encoder1": (self.in_channels, self.width(1))}
        for level in range(2, self.levels + 1):
            blocks[f"encoder{level}"] = (self.width(level - 1), self.width(level))
        blocks["bottleneck"] = (self.width(self.levels), self.width(self.levels + 1))
        for level in range(self.levels, 0, -1):
            blocks[f"decoder{level}"] = (2 * self.width(level), self.width(level))
        return blocks

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight by its name; ``mean`` and ``variance`` are not trained.

        Returns
        -------
        dict of str to tuple of int
            Convolutions are (outputs, inputs, 3, 3), transposed ones (inputs, outputs, 2, 2).
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for block, (inputs, outputs) in self.blocks().items():
            for index, channels in ((1, inputs), (2, outputs)):
                shapes[f"{block}.conv{index}.weight"] = (outputs, channels, 3, 3)
                for part in ("gamma", "beta", "mean", "variance"):
                    shapes[f"{block}.norm{index}.{part}"] = (outputs,)
        for level in range(self.levels, 0, -1):
            shapes[f"upconv{level}.weight"] = (self.width(level + 1), self.width(level), 2, 2)
            shapes[f"upconv{level}.bias"] = (self.width(level),)
        shapes["head.weight"] = (1, self.features, 1, 1)
        shapes["head.bias"] = (1,)
        return shapes


def random_weights(
    size: UNet, seed: int, spread: float = 0.1
) -> dict[str, npt.NDArray[np.float32]]:
    """Draw weights that keep activations near 1 from the first layer to the last.

    Parameters
    ----------
    size : UNet
    seed : int
        The same seed gives the same weights.
    spread : float
        Standard deviation of the batch normalisation's numbers around 1 and 0. With 0, these are
        the neutral ones that training starts from.

    Returns
    -------
    dict of str to numpy.ndarray of float32
        Convolutions by He's rule: variance 2 / inputs of one output (He et al., ICCV 2015).
        Transposed ones get half of that, since no ReLU follows them.
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in size.tensors().items():
        part = name.rpartition(".")[2]
        drawn = rng.standard_normal(shape)
        if part in ("gamma", "variance"):
            drawn = np.clip(1.0 + spread * drawn, 0.5, 1.5)
        elif part in ("beta", "mean", "bias"):
            drawn = spread * drawn
        elif name.startswith("upconv"):
            drawn = drawn * np.sqrt(1.0 / shape[0])
        else:
            drawn = drawn * np.sqrt(2.0 / np.prod(shape[1:]))
        weights[name] = drawn.astype(np.float32)
    return weights


def to_onnx(
    size: UNet,
    weights: Weights,
    *,
    name: str,
    height: int,
    width: int,
    input_name: str = "image",
    output_name: str = "mask_probability",
) -> onnx.ModelProto:
    """Write a U-Net as an ONNX model whose batch size is free.

    Parameters
    ----------
    size : UNet
    weights : mapping of str to numpy.ndarray
        Every tensor of ``size.tensors()``.
    name : str
        The graph's name.
    height, width : int
        Sides of the image in pixels, multiples of ``2 ** size.levels``.
    input_name, output_name : str
        The output is a probability in each pixel, shape (batch, 1, height, width).

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    InputError
        If a side does not divide, or a tensor is missing or has another shape.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    check_size(size, weights, height, width)
    writer = _Writer()
    last = writer.unet(size, input_name)
    writer.node("Sigmoid", [last], output_name)
    image = helper.make_tensor_value_info(
        input_name, TensorProto.FLOAT, ["batch", size.in_channels, height, width]
    )
    mask = helper.make_tensor_value_info(
        output_name, TensorProto.FLOAT, ["batch", 1, height, width]
    )
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(weights[key], dtype=np.float32), key)
        for key in size.tensors()
    ]
    graph = helper.make_graph(writer.nodes, name, [image], [mask], tensors)
    model = helper.make_model(
        graph,
        producer_name="photonpu",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model)
    return model


def check_size(size: UNet, weights: Weights, height: int, width: int) -> None:
    """Check that the image divides and that every tensor is there in its shape.

    Raises
    ------
    InputError
        Naming the side or the tensor.
    """
    step = 2**size.levels
    if height % step or width % step or height < step or width < step:
        raise InputError(
            f"an image of {height} x {width} pixels: {size.levels} levels need multiples of {step}"
        )
    for key, shape in size.tensors().items():
        found = weights[key].shape if key in weights else "nothing"
        if found != shape:
            raise InputError(f"weight '{key}': {shape} is needed and {found} was given")


class _Writer:
    """The nodes of a graph in the making; each method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        name = output.replace(".", "/")
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def block(self, block: str, x: str) -> str:
        for index in (1, 2):
            conv, norm = f"{block}.conv{index}", f"{block}.norm{index}"
            x = self.node(
                "Conv", [x, f"{conv}.weight"], conv, kernel_shape=[3, 3], pads=[1, 1, 1, 1]
            )
            numbers = [f"{norm}.{part}" for part in ("gamma", "beta", "mean", "variance")]
            x = self.node("BatchNormalization", [x, *numbers], norm, epsilon=NORM_EPSILON)
            x = self.node("Relu", [x], f"{block}.relu{index}")
        return x

    def unet(self, size: UNet, x: str) -> str:
        skips = {}
        for level in range(1, size.levels + 1):
            skips[level] = self.block(f"encoder{level}", x)
            x = self.node(
                "MaxPool", [skips[level]], f"pool{level}", kernel_shape=[2, 2], strides=[2, 2]
            )
        x = self.block("bottleneck", x)
        for level in range(size.levels, 0, -1):
            up = f"upconv{level}"
            x = self.node(
                "ConvTranspose",
                [x, f"{up}.weight", f"{up}.bias"],
                up,
                kernel_shape=[2, 2],
                strides=[2, 2],
            )
            x = self.node("Concat", [x, skips[level]], f"concat{level}", axis=1)
            x = self.block(f"decoder{level}", x)
        return self.node("Conv", [x, "head.weight", "head.bias"], "head", kernel_shape=[1, 1])
