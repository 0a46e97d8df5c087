"""ONNX operators to matrix products with constant weights, or the reason why one stays digital."""

from __future__ import annotations

from photonpu.compiler.lowerings import convolution, dense, transposed
from photonpu.compiler.lowerings.products import LOWERINGS, MatrixProduct, Operand, lower

__all__ = ["LOWERINGS", "MatrixProduct", "Operand", "convolution", "dense", "lower", "transposed"]
