"""Sizes of outputs by operator, from shapes and small constants alone; nothing is computed."""

from photonpu.compiler.untrusted.sizing import arrangement, growth, spans

__all__ = ["arrangement", "growth", "spans"]
