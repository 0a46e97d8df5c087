"""ONNX operators to matrix products with constant weights, or the reason why one stays digital."""

from __future__ import annotations

from photonpu.compiler.lowerings import convolution, dense, transposed
from photonpu.compiler.lowerings.contraction import CONTRACTIONS, Contraction
from photonpu.compiler.lowerings.dispatch import lower
from photonpu.compiler.lowerings.products import LOWERINGS, MatrixProduct, Operand

__all__ = [
    "CONTRACTIONS",
    "LOWERINGS",
    "Contraction",
    "MatrixProduct",
    "Operand",
    "convolution",
    "dense",
    "lower",
    "transposed",
]
