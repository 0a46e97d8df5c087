"""A program as text that a person can read, and a test can compare."""

from __future__ import annotations

from collections import Counter

from photonpu.program.values import (
    HostStep,
    PhotonicStep,
    Program,
    ReprogrammedStep,
    Step,
    TensorInfo,
)


def text(program: Program) -> str:
    """Return a program with one line for each input, step and output.

    Parameters
    ----------
    program
        What to print.

    Returns
    -------
    str
        Lines that end in a newline.
    """
    machine = program.machine
    head = (
        f"program {program.name} for {machine.name}: {len(program.mesh_steps)} products in "
        f"{len(program.tiles)} tiles of {machine.mesh.ports} ports, "
        f"{len(program.host_steps)} digital steps"
    )
    lines = [head]
    lines += [f"input {_tensor(info)}" for info in program.inputs]
    lines += [_step(step) for step in program.steps]
    lines += [f"output {_tensor(info)}" for info in program.outputs]
    if program.programming is not None:
        lines.append(program.programming.text())
    lines += [f"note: {note}" for note in program.notes]
    return "\n".join(lines) + "\n"


def _tensor(info: TensorInfo) -> str:
    """Return ``image: float32[batch, 1, 128, 128]``."""
    return f"{info.name}: {info.dtype}[{', '.join(map(str, info.shape))}]"


def _step(step: Step) -> str:
    if isinstance(step, HostStep):
        return _host(step)
    return _photonic(step) if isinstance(step, PhotonicStep) else _reprogrammed(step)


def _photonic(step: PhotonicStep) -> str:
    """Return one line for a product: its matrices, its vectors, its tiles."""
    matrices = ", ".join(
        f"{rows}x{columns} over {vectors} vectors in {last - first} tiles"
        for (rows, columns), vectors, (first, last) in zip(
            map(step.geometry.matrix_shape, step.geometry.streams),
            step.vectors,
            step.tiles,
            strict=True,
        )
    )
    return f"mesh    {step.output} = {step.op}({step.input}): {matrices}"


def _reprogrammed(step: ReprogrammedStep) -> str:
    """Return one line for a product of two activations: which is in the mesh, and how often."""
    matrices = (
        f"{step.matrices} of {step.rows}x{step.columns} over {step.vectors} vectors in "
        f"{step.matrices} times {step.tiles} tiles, the {step.held} factor reprogrammed for each "
        "sample"
    )
    return f"mesh    {step.output} = {step.op}({step.left}, {step.right}): {matrices}"


def _host(step: HostStep) -> str:
    """Return one line for a digital segment: its operators, counted."""
    counted = Counter(operator.op for operator in step.operators)
    operators = ", ".join(f"{op} x{n}" if n > 1 else op for op, n in counted.items())
    return f"digital {', '.join(step.outputs)} = [{operators}]({', '.join(step.inputs)})"
