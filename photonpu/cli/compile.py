"""``photonpu compile``: an ONNX model becomes a program file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photonpu.cli import options
from photonpu.cli.output import emit


def compile_model(
    model: options.Model,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PPU", help="Where to write the program."),
    ] = None,
    machine: options.MachineName = None,
    settings: options.Settings = None,
    calibration: options.Calibration = None,
    shape: options.Shapes = None,
    as_json: options.Json = False,
) -> None:
    """Compile a model for a machine.

    The program is a file, by default MODEL's name with .ppu in the current folder. It fixes the
    ports, the topology and the cores; all else of the machine may change when it runs.
    """
    from photonpu.cli.inputs import read_arrays, read_program, read_shapes
    from photonpu.cli.summary import describe, describe_text
    from photonpu.sweep.runner import unranged

    if model.endswith(".ppu"):
        raise typer.BadParameter(f"{model} is a program already", param_hint="MODEL")
    ranges = None if calibration is None else read_arrays(calibration)
    with unranged():  # the program notes it
        program, _ = read_program(
            model, machine, settings, calibration=ranges, shapes=read_shapes(shape)
        )
    path = Path(f"{Path(model).stem}.ppu") if output is None else output
    program.save(path)
    emit(
        {"output": path, **describe(program)},
        f"{describe_text(program)}\nwritten to {path}",
        as_json=as_json,
    )
