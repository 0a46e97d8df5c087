"""MNIST's test digits and an open network for them: what several published results share."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Layers = list[tuple[Floats, Floats]]  # weights (outputs, inputs) and bias
Product = Callable[[Floats, Floats, int], Floats]
"""Takes weights, inputs and the layer's index; returns their noisy product."""


@dataclass(frozen=True)
class Digits:
    """A network of two hidden layers, images (n, 784) from 0 to 1 and what they show."""

    layers: Layers
    images: Floats
    labels: NDArray[np.uint8]

    def share_right(self, product: Product) -> float:
        """Return the accuracy with `product` in place of each exact one."""
        x = self.images
        for index, (weight, bias) in enumerate(self.layers):
            x = product(weight, x, index) + bias
            if index < len(self.layers) - 1:
                x = np.maximum(x, 0.0)
        return float((x.argmax(axis=1) == self.labels).mean())


def exact(weight: Floats, x: Floats, index: int) -> Floats:
    """Return the product without noise."""
    del index
    return x @ weight.T


def digits(assets: Path) -> Digits:
    """Return an open network of two hidden layers of 256, and MNIST's 10,000 test digits."""
    import onnx
    from onnx import numpy_helper

    def read(name: str, header: int) -> NDArray[np.uint8]:
        data = gzip.decompress((assets / "digits" / name).read_bytes())
        return np.frombuffer(data[header:], np.uint8)

    model = onnx.load(assets / "models" / "mnist_mlp_256x2.onnx")
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    layers = [
        (tensors[node.input[1]].astype(float), tensors[node.input[2]].astype(float))
        for node in model.graph.node
        if node.op_type == "Gemm"
    ]
    images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784) / 255.0
    return Digits(layers, images, read("t10k-labels-idx1-ubyte.gz", 8))
