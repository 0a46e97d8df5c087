"""``photonpu compile``: an ONNX model becomes a program file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photonpu.cli import options
from photonpu.cli.output import emit


@options.reads_models
def compile_model(
    model: options.Model,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PPU", help="Where to write the program."),
    ] = None,
    machine: options.MachineName = None,
    settings: options.Settings = None,
    calibration: options.Calibration = None,
    calibration_method: options.CalibrationMethod = "max",
    calibration_per: options.CalibrationPer = "tile",
    shape: options.Shapes = None,
    keep_digital: options.KeepDigital = None,
    only: options.Only = None,
    activation_products: options.ActivationProducts = "digital",
    chip: options.ChipFile = None,
    programming: options.Programming = "local",
    rounding: options.Rounding = "nearest",
    assignment: options.Assignment = "round-robin",
    memory: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="MB",
            help="Refuse MODEL if it would take more to compile it.  [default: no ceiling]",
        ),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            metavar="ONNX",
            help="Write the model, too, with lane, tiles, cycles, latency and energy in each node.",
        ),
    ] = None,
    stop_after: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help="Write no program; print what this stage gives: read, simplify, passes, lower, "
            "tile or program.",
        ),
    ] = None,
    as_json: options.Json = False,
    *,
    reading: options.Reading,
) -> None:
    """Compile a model for a machine.

    The program is a file, by default MODEL's name with .ppu in the current folder. It fixes the
    ports, the topology and the cores; all else of the machine may change when it runs.
    """
    from photonpu.cli.inputs import (
        read_arrays,
        read_chip,
        read_choice,
        read_machine,
        read_model,
        read_shapes,
    )
    from photonpu.cli.summary import describe, describe_text
    from photonpu.compiler import compile
    from photonpu.compiler.inspection import inspect
    from photonpu.compiler.stages import STAGES, stage_text
    from photonpu.report.annotate import annotated, save
    from photonpu.simulator import estimate
    from photonpu.storage import check_place
    from photonpu.sweep.runner import unranged
    from photonpu.tables import printable

    if model.endswith(".ppu"):
        raise typer.BadParameter(f"{model} is a program already", param_hint="MODEL")
    for option, given in (("--output", output), ("--annotate", annotate)):
        if stop_after is not None and given is not None:
            raise typer.BadParameter(
                "with --stop-after no program is written: leave it out", param_hint=option
            )
    if stop_after is not None:
        STAGES[stop_after]  # or say at once that there is none
    path = Path(f"{Path(model).stem}.ppu") if output is None else output
    _keep_apart({"MODEL": Path(model), "--output": path, "--annotate": annotate})
    for place in (path, annotate):
        if stop_after is None and place is not None:
            check_place(place)
    ranges = None if calibration is None else read_arrays(calibration)
    shapes = read_shapes(shape)
    choice = read_choice(keep_digital, only, activation_products)
    target = read_machine(machine, settings)
    source = read_model(model, reading, calibration=ranges, shapes=shapes)
    with unranged():  # the program notes it
        if stop_after is not None:
            text = stage_text(
                source,
                target,
                stop_after,
                calibration=ranges,
                shapes=shapes,
                keep_digital=choice.keep_digital,
                only=choice.only,
                activation_products=choice.activation_products,
            )
            lines = [printable(line) for line in text.rstrip("\n").split("\n")]
            emit({"stage": stop_after, "lines": lines}, "\n".join(lines), as_json=as_json)
            return
        program = compile(
            source,
            target,
            calibration=ranges,
            shapes=shapes,
            keep_digital=choice.keep_digital,
            only=choice.only,
            activation_products=choice.activation_products,
            chip=read_chip(chip),
            programming=programming,
            rounding=rounding,
            assignment=assignment,
            calibration_method=calibration_method,
            calibration_per=calibration_per,
            memory_limit_mb=memory,
        )
    program.save(path)
    if annotate is not None:
        found = inspect(
            source,
            target,
            calibration=ranges,
            shapes=shapes,
            keep_digital=choice.keep_digital,
            only=choice.only,
            activation_products=choice.activation_products,
        )
        save(annotated(found, estimate(program)), annotate)
    emit(
        {"output": path, "annotated": annotate, **describe(program)},
        f"{describe_text(program)}\nwritten to {path}"
        + (f", the model with its costs to {annotate}" if annotate else ""),
        as_json=as_json,
    )


def _keep_apart(files: dict[str, Path | None]) -> None:
    """Refuse to write two things to one file, or one over the model."""
    seen: dict[Path, str] = {}
    for what, path in files.items():
        if path is None:
            continue
        first = seen.setdefault(path.resolve(), what)
        if first != what:
            raise typer.BadParameter(
                f"{path} is what {first} names too: choose another file", param_hint=what
            )
