"""What a program is, in numbers: for `compile`, `check`, `estimate` and the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from photonpu.tables import engineering, printable, text_table

if TYPE_CHECKING:
    from photonpu.program import PhotonicStep, Program, ReprogrammedStep

_TOLD = 5  # tiles that are farthest off


def mac_share(program: Program) -> float:
    """Return the share of the model's multiply-accumulates that runs on the meshes, 0 to 1."""
    on_mesh = sum(step.macs for step in program.mesh_steps)
    digital = sum(operator.macs for step in program.host_steps for operator in step.operators)
    total = on_mesh + digital
    return on_mesh / total if total else 0.0


def tiles(step: PhotonicStep | ReprogrammedStep) -> int:
    """Return the tiles of a step; of a product of two activations those of one sample."""
    from photonpu.program import ReprogrammedStep

    if isinstance(step, ReprogrammedStep):
        return step.matrices * step.tiles
    return sum(last - first for first, last in step.tiles)


def vectors(step: PhotonicStep | ReprogrammedStep) -> int:
    """Return the vectors that stream through the matrices of a step, one sample's."""
    from photonpu.program import ReprogrammedStep

    return step.vectors if isinstance(step, ReprogrammedStep) else sum(step.vectors)


def describe(program: Program) -> dict[str, object]:
    """Return what a program is, as plain values."""
    from photonpu.program import ReprogrammedStep

    return {
        "name": program.name,
        "model_sha256": program.model_sha256,
        "machine": program.machine.name,
        "ports": program.tiles.ports,
        "cores": program.machine.cores,
        "parameters": program.parameters,
        "tiles": len(program.tiles),
        "macs": sum(step.macs for step in program.mesh_steps),
        "mac_share_on_mesh": mac_share(program),
        "photonic": [
            {
                "name": step.name,
                "op": step.op,
                "tiles": tiles(step),
                "vectors": vectors(step),
                "macs": step.macs,
                "reprogrammed": isinstance(step, ReprogrammedStep),
            }
            for step in program.mesh_steps
        ],
        "digital": [
            {"name": operator.name, "op": operator.op, "operations": operator.operations}
            for step in program.host_steps
            for operator in step.operators
        ],
        "programming": programming(program),
        "notes": list(program.notes),
    }


def describe_text(program: Program) -> str:
    """Return what a program is, for people."""
    steps = program.mesh_steps
    rows = [
        [
            step.name,
            step.op,
            tiles(step),
            vectors(step),
            engineering(step.macs),
        ]
        for step in steps
    ]
    table = text_table(["on the meshes", "operator", "tiles", "vectors", "MACs"], rows, "llrrr")
    operators = [operator for step in program.host_steps for operator in step.operators]
    kinds = sorted({operator.op for operator in operators})
    head = (
        f"{printable(program.name)} on {printable(program.machine.name)}: "
        f"{program.parameters:,} parameters, layers on the meshes {len(steps)}, "
        f"tiles of {program.tiles.ports} ports {len(program.tiles)}, "
        f"share of all MACs {mac_share(program):.1%}"
    )
    digital = f"digital operators: {len(operators)} ({', '.join(kinds)})" if operators else ""
    lines = [head, "", table, *([digital] if digital else [])]
    lines += programming_text(program)
    return "\n".join(lines + [f"note: {note}" for note in program.notes])


def programming(program: Program) -> dict[str, object] | None:
    """Return for which chip a program's phases are and how well they do; None for no chip."""
    made = program.programming
    if made is None:
        return None
    worst = [
        {
            "layer": layer,
            "tile": tile,
            "core": int(program.tiles.core[tile]),
            "unreachable": int(made.unreachable[tile]),
            "error": float(made.error[tile]),
        }
        for layer, tile in _worst(program)
    ]
    return made.to_dict() | {"worst": worst}


def programming_text(program: Program) -> list[str]:
    """Return what `programming` does, for people: a line, and the tiles that are farthest off."""
    made = program.programming
    if made is None:
        return []
    rows = [
        [
            printable(layer),
            tile,
            int(program.tiles.core[tile]),
            int(made.unreachable[tile]) if made.unreachable[tile] >= 0 else "unknown",
            f"{made.error[tile]:.3g}",
        ]
        for layer, tile in _worst(program)
    ]
    head = ["farthest off", "tile", "core", "splits out of reach", "relative error"]
    return ["", printable(made.text()), "", text_table(head, rows, "lrrrr")]


def _worst(program: Program) -> list[tuple[str, int]]:
    """Return the layers and numbers of the tiles that are farthest off, worst first."""
    import numpy as np

    error = np.zeros(0) if program.programming is None else program.programming.error
    worst = np.argsort(-error, kind="stable")[:_TOLD].tolist()
    layers = {
        tile: step.name
        for step in program.photonic_steps
        for first, last in step.tiles
        for tile in range(first, last)
    }
    return [(layers[tile], tile) for tile in worst]
