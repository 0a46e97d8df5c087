"""``photonpu check``: what would become of a model, before anything is compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photonpu.cli import options
from photonpu.cli.output import emit


@options.reads_models
def check(
    model: options.ModelOrProgram,
    machine: options.MachineName = None,
    settings: options.Settings = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="NPZ",
            help="Sample inputs by the model's input names, for shapes that depend on them.",
        ),
    ] = None,
    shape: options.Shapes = None,
    keep_digital: options.KeepDigital = None,
    only: options.Only = None,
    activation_products: options.ActivationProducts = "digital",
    as_json: options.Json = False,
    *,
    reading: options.Reading,
) -> None:
    """Say what would run on the mesh, what would not and why.

    Operators by lane, share of the MACs, tiles, and what to change so that more goes to the mesh.
    Of a program, what is in it, and how well its phases suit the chip that it is for.
    """
    from photonpu.cli.inputs import (
        read_arrays,
        read_choice,
        read_machine,
        read_model,
        read_program,
        read_shapes,
    )
    from photonpu.cli.summary import describe, describe_text
    from photonpu.compiler.inspection import inspect
    from photonpu.compiler.listing import table, to_dict

    samples = None if calibration is None else read_arrays(calibration)
    shapes = read_shapes(shape)
    if model.endswith(".ppu"):
        choice = read_choice(keep_digital, only, activation_products)
        program, _ = read_program(
            model, machine, settings, reading, calibration=samples, shapes=shapes, choice=choice
        )
        emit(describe(program), describe_text(program), as_json=as_json)
        return
    target = read_machine(machine, settings)
    found = inspect(
        read_model(model, reading, calibration=samples, shapes=shapes),
        target,
        calibration=samples,
        shapes=shapes,
        keep_digital=keep_digital or (),
        only=only,
        activation_products=activation_products,
    )
    emit(to_dict(found), table(found), as_json=as_json)
