"""The compiler: an ONNX model becomes a program."""

from photonpu.compiler.pipeline import compile

__all__ = ["compile"]
