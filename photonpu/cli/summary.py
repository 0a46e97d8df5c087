"""What a program is, in numbers: for `compile` and the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from photonpu.tables import engineering, printable, text_table

if TYPE_CHECKING:
    from photonpu.program import PhotonicStep, Program, ReprogrammedStep


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
        "programming": None if program.programming is None else program.programming.to_dict(),
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
    if program.programming is not None:
        lines.append(printable(program.programming.text()))
    return "\n".join(lines + [f"note: {note}" for note in program.notes])
