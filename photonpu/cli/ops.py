"""``photonpu ops``: the operators that are supported, and how."""

from __future__ import annotations

from photonpu.cli import options
from photonpu.cli.output import emit


def list_operators(as_json: options.Json = False) -> None:
    """List the operators that go to the mesh, and what the others cost.

    Whatever else onnxruntime runs is supported, too: digitally.
    """
    from photonpu.compiler.supported import digital, on_mesh, others
    from photonpu.tables import text_table

    values = {"on_mesh": on_mesh(), "digital": digital(), "others": others()}
    mesh = text_table(["on the mesh", "as"], list(on_mesh().items()), "ll")
    rest = text_table(["digital", "costs"], [*digital().items(), ("any other", others())], "ll")
    emit(values, f"{mesh}\n\n{rest}", as_json=as_json)
