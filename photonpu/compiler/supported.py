"""Which operators are supported and how, from the tables that the compiler itself uses."""

from __future__ import annotations

from photonpu.compiler.lowerings import CONTRACTIONS, LOWERINGS
from photonpu.compiler.operations import OPERATIONS, OTHERS
from photonpu.compiler.passes.fused import FUSED
from photonpu.compiler.passes.quantised import REWRITES


def on_mesh() -> dict[str, str]:
    """Return what each operator that can go to the mesh becomes there, in a sentence."""
    entries = {**CONTRACTIONS, **LOWERINGS, **REWRITES, **FUSED}
    return {op: _sentence(entry) for op, entry in sorted(entries.items())}


def digital() -> dict[str, str]:
    """Return what each operator of the table costs the digital unit, in a sentence."""
    return {op: _sentence(OPERATIONS[op]) for op in sorted(OPERATIONS)}


def others() -> str:
    """Return what an operator that is in no row costs the digital unit, in a sentence."""
    return _sentence(OTHERS)


def _sentence(function: object) -> str:
    """Return the first line of a docstring."""
    return (function.__doc__ or "").strip().splitlines()[0].replace("``", "`")
