"""``photonpu estimate``: latency, energy and area of a network on a machine."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photonpu.cli import options
from photonpu.cli.output import emit, refuse, write_file

if TYPE_CHECKING:
    from photonpu.simulator import Estimate


@options.reads_models
def estimate_cost(
    model: options.ModelOrProgram,
    batch: Annotated[int, typer.Option(min=1, help="Samples that run together.")] = 1,
    machine: options.MachineName = None,
    settings: options.Settings = None,
    calibration: options.Calibration = None,
    shape: options.Shapes = None,
    keep_digital: options.KeepDigital = None,
    only: options.Only = None,
    activation_products: options.ActivationProducts = "digital",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the layers as CSV, too.")
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="Exit code 4 if the batch takes longer.")
    ] = None,
    max_energy_mj: Annotated[
        float | None, typer.Option(metavar="MJ", help="Exit code 4 if the batch takes more.")
    ] = None,
    as_json: options.Json = False,
    *,
    reading: options.Reading,
) -> None:
    """Estimate latency, energy and area.

    In total, by component and by layer, with the share of each.
    """
    from photonpu.cli.inputs import read_arrays, read_choice, read_program, read_shapes
    from photonpu.cli.summary import programming, programming_text
    from photonpu.simulator import estimate
    from photonpu.sweep.runner import unranged

    ranges = None if calibration is None else read_arrays(calibration)
    with unranged():
        program, target = read_program(
            model,
            machine,
            settings,
            reading,
            calibration=ranges,
            shapes=read_shapes(shape),
            choice=read_choice(keep_digital, only, activation_products),
        )
    found = estimate(program, batch, machine=target)
    if csv_file is not None:
        write_file(csv_file, _layers(found).encode())
    told = {} if program.programming is None else {"programming": programming(program)}
    text = "\n".join([found.table(), *programming_text(program)])
    emit(found.to_dict() | told, text, as_json=as_json)
    refuse(
        [
            f"{quantity} {value:.4g} {unit} is above {bound:g} {unit}"
            for quantity, value, bound, unit in (
                ("latency", 1e3 * found.latency_s, max_latency_ms, "ms"),
                ("energy", 1e3 * found.energy_j, max_energy_mj, "mJ"),
            )
            if bound is not None and value > bound
        ]
    )


def _layers(found: Estimate) -> str:
    """Return one line of CSV a layer; units stand in the header."""
    records = [layer.to_dict() for layer in found.layers]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
